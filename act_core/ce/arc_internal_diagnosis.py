"""What stands between us and a job at an A-REX on this host: account, directories, its pipe, what arc.conf allows."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from act_core.ce.arc_conf import ArcConf
from act_core.ce.arc_control import NEW, OTHERS, Control
from act_core.ce.diagnosis import Finding, Verdict, environments_there
from act_core.ce.registry import Place
from act_core.credentials.proxy import load_proxy
from act_core.errors import ActError, ConfigError, CredentialError, ProtocolError

LITTLE = 1024**3  # bytes that are free
PROBE = 4096  # bytes that are written, into files without a name
ENABLED = "rte/enabled"  # links that `arcctl rte enable` makes in the control directory
_OK, _BAD, _ODD = Verdict.OK, Verdict.BAD, Verdict.ODD


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One walk through the steps. `conf` reads arc.conf anew, and raises ConfigError."""

    place: Place
    queue: str | None
    control: Control
    conf: Callable[[], ArcConf]
    account: str
    environments: Collection[str] = ()

    async def steps(self) -> AsyncIterator[Finding]:
        """See :class:`act_core.ce.diagnosis.Diagnosable`. None after one that has no A-REX behind it."""
        seconds = self.place.site.deadline.total_seconds()
        needed = {"arc.conf": self._arc_conf, "account": self._account, "control": self._control, "A-REX": self._arex}
        free = {"new jobs": self._new_jobs, "queue": self._queue, "RTEs": self._rtes, "session": self._sessions}
        for step, check in (needed | free | {"identity": self._identity}).items():
            try:
                async with asyncio.timeout(seconds):
                    found = await asyncio.to_thread(check)
            except TimeoutError:
                found = Finding(step, _BAD, f"no answer in time ({seconds:g} s)", "Does its file system hang?")
            except (ActError, OSError) as err:
                found = Finding(step, _BAD, str(err), "Try again; if it stays so, ask who runs A-REX.")
            yield found
            if found.bad and step in needed:
                return

    def _arc_conf(self) -> Finding:
        try:
            conf = self.conf()
        except ConfigError as err:
            return Finding("arc.conf", _BAD, str(err), f"Mend sites.{self.place.name}.options.arc_config.")
        return Finding("arc.conf", _OK, f"jobs are kept in {conf.control}, batch system {conf.lrms}")

    def _account(self) -> Finding:
        wrong = self._unfit(ConfigError)
        if wrong is not None:
            return Finding("account", _BAD, str(wrong), "Tower and A-REX run as the same account, not as root.")
        return Finding("account", _OK, f"A-REX and we are {self.account}")

    def _control(self) -> Finding:
        path = self.control.path
        wrong = self._unfit(ProtocolError)
        if wrong is not None:
            return Finding("control", _BAD, str(wrong), "Only the layouts of A-REX 6.17 and 7 are known: report it.")
        for place in (path, *(path / name for name in (NEW, *OTHERS))):
            if trouble := _no_place(place):
                return Finding(
                    "control", _BAD, trouble, "Has A-REX run there? It makes its directories when it starts."
                )
        return _room("control", [path])

    def _arex(self) -> Finding:
        wrong = self._unfit(ActError)
        if wrong is not None:
            return Finding("A-REX", _BAD, str(wrong), "Start it: systemctl start arc-arex.")
        return Finding("A-REX", _OK, "it reads gm.fifo")

    def _unfit(self, kind: type[ActError]) -> ActError | None:
        """What of this kind the back end itself finds before each call."""
        try:
            self.control.check()
        except kind as err:
            return err
        except ActError:
            return None
        return None

    def _new_jobs(self) -> Finding:
        conf = self.conf()
        if not conf.takes_jobs:
            do = "Nobody can submit until allownew in [arex/ws/jobs] of arc.conf is yes again."
            return Finding("new jobs", _BAD, "A-REX takes none: allownew=no", do)
        if conf.most is None:
            return Finding("new jobs", _OK, "A-REX takes them (allownew)")
        there = len(self.control.jobs())
        told = f"{there} of at most {conf.most} jobs are there, ended ones too (maxjobs)"
        if there >= conf.most:
            return Finding("new jobs", _BAD, told, "Wait, clean, or raise the fourth number of maxjobs in [arex].")
        return Finding("new jobs", _OK, told)

    def _queue(self) -> Finding:
        conf = self.conf()
        there, found = ", ".join(conf.queues) or "none", conf.queue_for(self.queue)
        if found is None:
            wanted = self.queue or conf.default_queue or "at all"
            do = f"Mend sites.{self.place.name}.options.queue, or add [queue:NAME] to arc.conf."
            return Finding("queue", _BAD, f"there is no queue {wanted}; there are {there}", do)
        if self.queue is None:
            return Finding("queue", _OK, f"none is configured: A-REX takes {found}; there are {there}")
        return Finding("queue", _OK, f"{found} is there")

    def _rtes(self) -> Finding:
        there, gone = _enabled(self.control.path / ENABLED)
        if lost := sorted(set(gone) & set(self.environments)):
            do = "Their scripts are not where the links point: ask who runs A-REX (arcctl rte list)."
            return Finding("RTEs", _BAD, f"enabled without a script: {', '.join(lost)}", do)
        return environments_there(self.environments, there, whole=True)

    def _sessions(self) -> Finding:
        sessions = self.conf().sessions
        if not sessions:
            do = "Take `drain` from a sessiondir of [arex] in arc.conf, or add one."
            return Finding("session", _BAD, "no session directory takes new jobs: all drain", do)
        for place in sessions:
            if trouble := _no_place(place):
                return Finding("session", _BAD, trouble, "It must be there, have room, and be ours to write.")
        return _room("session", sessions)

    def _identity(self) -> Finding:
        if self.place.proxy is None:
            return Finding("identity", Verdict.SKIPPED, "no proxy: jobs cannot read from or write to grid storage")
        try:
            held = load_proxy(self.place.proxy, self.place.now())
        except CredentialError as err:
            return Finding("identity", _BAD, str(err), "Renew it: `act credentials renew`, or whoever does.")
        told = ", ".join((held.subject, *held.roles))
        return Finding("identity", _OK, f"{told}, good until {held.expires:%Y-%m-%d %H:%M}Z")


def _no_place(place: Path) -> str:
    """Why nothing can be read and written there; empty: it can."""
    try:
        os.scandir(place).close()
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(bytes(PROBE))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as err:
        return f"{place}: {err.strerror}"
    return ""


def _room(step: str, places: Collection[Path]) -> Finding:
    free = {place: shutil.disk_usage(place).free for place in places}
    told = ", ".join(f"{place} has {size / 1024**3:.1f} GiB free" for place, size in free.items())
    if min(free.values()) < LITTLE:
        return Finding(step, _ODD, told, "Make room: a full disk fails jobs, and A-REX with them.")
    return Finding(step, _OK, told)


def _enabled(directory: Path) -> tuple[list[str], list[str]]:
    """Names of runtime environments, and of those whose script is gone."""
    there: list[str] = []
    gone: list[str] = []
    for above, _, names in os.walk(directory):
        for name in names:
            path = Path(above) / name
            (there if path.exists() else gone).append(str(path.relative_to(directory)))
    return sorted(there), sorted(gone)

"""The configuration of a tower that is up: looked at every two seconds, checked, and taken over or refused."""

import asyncio
import hashlib
import json
import os
import socket
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from act_core import logs
from act_core.ce.registry import open_ce
from act_core.db import ces, downtimes, ledger
from act_core.db.ledger import Line
from act_core.db.session import Database
from act_core.errors import ConfigError
from act_core.installed import applications
from act_core.logs import log
from act_core.processes import process_start
from act_core.reasons import Reason, Topic
from act_core.settings import BadSettings, Settings, load_settings
from act_core.settings.changes import changes, in_force
from act_core.settings.complaints import NAMES
from act_core.settings.load import find
from act_core.settings.taken import FILE, copies, copy_of, last_good, says_something
from act_core.words import kept

logger = log(__name__)
MOST_TOLD, LONGEST = 50, 300  # changes in the log; characters of problems in the ledger
Marks = Mapping[str, tuple[object, ...]]


def _now() -> datetime:
    return datetime.now(UTC)


class Live:
    """The configuration that holds in a process, and the look at its files. `holds` is replaced whole."""

    def __init__(self, started: Settings, env: Mapping[str, str] | None = None) -> None:
        self.holds = self._started = self._read = started
        self._env = os.environ if env is None else env
        self._known: Marks | None = marks(self._env)  # of the files whose fate is decided
        self._seen = self._known
        self.taken, self.digest = _now(), digest(self._env)
        self.problems: tuple[str, ...] = ()
        self.restart: tuple[str, ...] = ()
        self.owed = True  # the tables and the state directory are to be told

    @classmethod
    def open(cls, env: Mapping[str, str] | None = None) -> "Live":
        """The files as they are. Bad ones end no tower whose worker is started again: the last good ones hold.

        Raises ConfigError where there are none.
        """
        env = os.environ if env is None else env
        try:
            made = cls(_read(env, copies(env)), env)
        except BadSettings as err:
            made = cls(last_good(env, err), env)
            made.problems, made.digest = err.problems, ""
            made.complain("the configuration is bad, and the last good one holds")
        return made

    def look(self, hurry: bool = False) -> bool:
        """Whether another configuration holds. Files that change are left alone until the next look, unless `hurry`."""
        found = marks(self._env)
        if found == self._known:
            return False
        if found != self._seen and not hurry:
            self._seen = found
            return False
        before = digest(self._env)
        try:
            fresh = _read(self._env, self._read.files)
            asyncio.run(check_parts(fresh, _now))
        except ConfigError as err:
            self._refuse(err)
            fresh = None
        if digest(self._env) != before:  # somebody is writing: what was read may be half of it
            return False
        self._known = self._seen = found
        self.owed = True
        return fresh is not None and self._take(fresh, before)

    def _refuse(self, err: ConfigError) -> None:
        problems = err.problems if isinstance(err, BadSettings) else (str(err),)
        if problems != self.problems:
            self.problems = tuple(problems)
            self.complain(
                f"the changed configuration is refused, and the one of {self.taken:%Y-%m-%d %H:%M:%S} UTC holds"
            )

    def complain(self, words: str) -> None:
        """Into the log, a line a problem."""
        logger.error("%s: %d problems", words, len(self.problems))
        for problem in self.problems[:MOST_TOLD]:
            logger.error("configuration: %s", problem)

    def _take(self, fresh: Settings, read: str) -> bool:
        found = changes(self._read, fresh)
        self.problems, self.digest, self.taken = (), read, _now()
        self.restart = tuple(one.key for one in changes(self._started, fresh) if one.restart)
        for one in found[:MOST_TOLD]:
            logger.info("configuration: %s%s", one, "; it wants a restart" if one.restart else "")
        if len(found) > MOST_TOLD:
            logger.info("configuration: … and %d more", len(found) - MOST_TOLD)
        logger.info("the configuration was read again: %d changes", len(found))
        held, self._read = self.holds, fresh
        self.holds = in_force(self._started, fresh)
        if self.holds.arc.logger != held.arc.logger:
            logs.configure(self.holds.arc.logger, self.holds.state_dir)
        return bool(found)

    def line(self) -> Line:
        """What the ledger says of it."""
        here = socket.gethostname()[:100]
        if self.problems:
            words = kept("; ".join(self.problems), LONGEST)
            facts = {"problems": words, "taken": self.taken.isoformat()}
            return Line(Topic.CONFIG, Reason.CONFIG_REFUSED, share=here, n=len(self.problems), facts=facts)
        if self.restart:
            return Line(Topic.CONFIG, Reason.CONFIG_RESTART, share=here, facts={"keys": ", ".join(self.restart)})
        return Line(Topic.CONFIG, None, share=here)

    def tell(self, db: Database) -> None:
        """Bring tables and state directory up to date with what holds. Raises Transient: later, then."""
        now, arc = db.clock(), self.holds.arc
        db.write(ces.sync_ces, arc.sites, ces.CONFIG, now)
        db.write(downtimes.sync_configured, arc.downtime)
        db.write(ledger.note, [self.line()], now)
        db.write(ledger.correct, [self.line()])
        self._remember()
        self.owed = False

    def _remember(self) -> None:
        """For `act config check` and `act status`; and the files themselves, for a worker that is started again."""
        said = {
            "pid": os.getpid(),
            "start": process_start(os.getpid()),
            "taken": self.taken.isoformat(),
            "digest": self.digest,
            "files": {kind: str(path) for kind, path in self._read.files.items()},
            "problems": self.problems,
            "restart": self.restart,
            "observing": self.holds.arc.tower.observe,
        }
        _write(self.holds.state_dir / FILE, json.dumps(said).encode())
        if not self.problems and digest(self._env) == self.digest:
            for kind, path in self._read.files.items():
                _write(copy_of(self.holds.state_dir, kind), path.read_bytes())


def marks(env: Mapping[str, str]) -> Marks:
    """What tells that a file is another one: editors write a new one in its place."""
    found: dict[str, tuple[object, ...]] = {}
    for kind in NAMES:
        try:
            path = find(kind, None, env)
            stat = path.stat() if path else None
        except (ConfigError, OSError):
            found[kind] = ("away",)
        else:
            found[kind] = (path, stat.st_mtime_ns, stat.st_size, stat.st_ino) if stat else ("none",)
    return found


def _read(env: Mapping[str, str], former: Mapping[str, Path]) -> Settings:
    """The files as they are. Raises BadSettings, too where one says nothing that did."""
    read = load_settings(env=env).settings
    if lost := emptied(former, read.files):
        raise BadSettings(lost)
    return read


def emptied(former: Mapping[str, Path], found: Mapping[str, Path]) -> list[str]:
    """What is wrong where a file said something and says nothing now: a save that failed, or a disk that was full.

    Nothing at all is a good configuration, of a tower without CEs that does not observe.
    """
    problems = []
    for kind, path in former.items():
        there = found.get(kind)
        if there is None:
            problems.append(f"{path}: is not there any more; to do without it, let {NAMES[kind]} say {{}}")
        elif not says_something(there):
            problems.append(f"{there}: is empty; to set nothing in it, let it say {{}}")
    return problems


def digest(env: Mapping[str, str], named: Mapping[str, Path | None] | None = None) -> str:
    """Of what the files say, and where they are. `named`: those of a command line."""
    said = hashlib.sha256()
    for kind in NAMES:
        try:
            path = find(kind, (named or {}).get(kind), env)
            words = path.read_bytes() if path else b""
        except (ConfigError, OSError):
            path, words = None, b"away"
        said.update(f"{kind} {path.absolute() if path else ''} {len(words)}\n".encode() + words)
    return said.hexdigest()


async def check_parts(settings: Settings, now: Callable[[], datetime]) -> None:
    """Raises BadSettings: no such application or back end, or what it does not take."""
    problems: list[str] = []
    try:
        applications(settings)
    except ConfigError as err:
        problems.append(str(err))
    for name in settings.arc.sites:
        try:
            ce = open_ce(settings, name, now)
        except BadSettings as err:
            problems += err.problems
        except ConfigError as err:
            problems.append(str(err))
        else:
            await ce.close()
    if problems:
        raise BadSettings(problems)


def _write(path: Path, words: bytes) -> None:
    """Only for us: the files may hold passwords."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(f".{os.getpid()}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(words)
    fresh.replace(path)

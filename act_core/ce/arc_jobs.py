"""Our jobs in the control directory of an A-REX: found, told, marked, served with files. Jobs of others are not ours.

All methods block and raise OSError; those that copy to our own disk raise DiskError too.
"""

from collections.abc import Callable, Collection, Container, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from act_core.ce import arc_adl, arc_dialect, arc_records, folders
from act_core.ce.arc_control import Control
from act_core.ce.arc_records import DELETED, FINISHED, Owner
from act_core.ce.base import (
    Accepted,
    Capacity,
    Facts,
    Fetched,
    FetchPlan,
    Gone,
    Listing,
    Refused,
    RemoteId,
    Seen,
    SubmissionKey,
    TowerId,
    key_belongs,
)
from act_core.ce.folders import Limits
from act_core.ce.patterns import diagnosed
from act_core.errors import ProtocolError
from act_core.jobspec import InputFile

NAMELESS_FOR = timedelta(hours=1)
STALE = timedelta(hours=1)  # an information document of that age says nothing of today
Answer = Accepted | Gone | Refused


class Jobs:
    """`tower`: a file that remembers whose jobs are ours, for calls that do not tell."""

    def __init__(self, control: Control, tower: Path) -> None:
        self._control, self._tower = control, tower
        self._asked: TowerId | None = None  # who asked last for a list
        self._foreign: set[RemoteId] = set()  # to it
        self._nameless: dict[RemoteId, datetime] = {}  # first listed then
        self._names: dict[RemoteId, str] = {}

    def _name(self, job: RemoteId) -> str | None:
        """A job's name, which never changes. Empty: it has none; None: it is not told yet."""
        if job not in self._names:
            name = arc_adl.name_in(self._control.read(job, "description"))
            if name is None:
                return None
            self._names[job] = name
        return self._names[job]

    def _ours(self, job: RemoteId) -> bool:
        """Whether some tower named it; the callers ask for their own ids alone."""
        return arc_dialect.possible(job) and arc_records.family(self._name(job) or "") is not None

    def _words(self, jobs: Collection[RemoteId]) -> Iterator[tuple[RemoteId, str]]:
        """Those that A-REX knows, with its word; empty while it is changing it."""
        for job in jobs:
            if not self._ours(job):
                continue
            word = self._control.status(job)
            if word is None:
                self._names.pop(job, None)
            else:
                yield job, word

    def _word(self, job: RemoteId) -> str | None:
        return next((word for _job, word in self._words([job])), None)

    def remember(self, tower: TowerId) -> None:
        """Write down who we are, where that is news."""
        if tower != self._remembered():
            self._tower.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._tower.write_text(tower, encoding="utf-8")

    def _remembered(self) -> TowerId | None:
        try:
            return TowerId(self._tower.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def listing(self, tower: TowerId, known: Container[RemoteId], now: datetime) -> Listing:
        there = self._control.jobs()
        self._foreign = self._foreign & there.keys() if tower == self._asked else set()
        self._asked = tower
        self._names = {job: name for job, name in self._names.copy().items() if job in there}
        mine: dict[RemoteId, SubmissionKey] = {}
        nameless: dict[RemoteId, datetime] = {}
        for job in there:
            if job in known or job in self._foreign:
                continue
            name = self._name(job) if arc_dialect.possible(job) else ""
            if name is None:
                nameless[job] = self._nameless.get(job, now)
            elif key_belongs(name, tower) and self._control.status(job) != DELETED:
                mine[job] = SubmissionKey(name)
            else:
                self._foreign.add(job)
                self._names.pop(job, None)
        self._nameless = nameless
        young = {job: first for job, first in nameless.items() if now - first < NAMELESS_FOR}
        foreign = len(self._foreign) + len(nameless) - len(young)
        return Listing(mine, total=len(there), foreign=foreign, nameless=young)

    def marks(self, ids: Collection[RemoteId]) -> dict[RemoteId, str]:
        known = [job for job in ids if arc_dialect.possible(job)]
        return {job: arc_adl.mark_in(self._control.read(job, "description")) for job in known}

    def ended(self, ids: Container[RemoteId]) -> dict[RemoteId, Seen]:
        over = [job for job in self._control.ended() if job in ids]
        return {job: self._seen(job, word) for job, word in self._words(over) if word in (FINISHED, DELETED)}

    def states(self, ids: Collection[RemoteId]) -> dict[RemoteId, Seen]:
        return {job: self._seen(job, word) for job, word in self._words(ids)}

    def _seen(self, job: RemoteId, word: str) -> Seen:
        document = self._document(job) if word == arc_records.INLRMS else {}
        failed = self._control.read(job, "failed") if word == FINISHED else ""
        return arc_records.seen(word, document, failed)

    def _document(self, job: RemoteId) -> Mapping[str, Any]:
        """What the information provider wrote of a job; empty where it cannot be read (yet)."""
        try:
            return arc_records.document(self._control.read(job, "xml"))
        except ProtocolError:
            return {}

    def details(self, ids: Collection[RemoteId]) -> dict[RemoteId, Facts]:
        found: dict[RemoteId, Facts] = {}
        for job, word in self._words(ids):
            over = word in (FINISHED, DELETED)
            files = {name: self._control.read(job, name) for name in ("diag", "failed", "local") if over}
            found[job] = arc_records.facts(self._document(job), over, files)
        return found

    def put(self, job: RemoteId, files: Collection[InputFile]) -> Refused | None:
        """Bring inputs and say that they are there. One that has started keeps what it has."""
        word = self._word(job)
        session = self._session(job) if word is not None else None
        if word is None or session is None:
            return Refused("the CE does not know the job", for_good=True)
        if not word:
            return Refused("A-REX is just changing the job's state", for_good=False)
        if word.removeprefix("PENDING:") in arc_records.STARTED:
            return None
        for file in files:
            if refused := folders.put(session, file):
                return refused
        status = arc_records.arrived(self._control.read(job, "input_status"), [file.name for file in files])
        if not self._control.rewrite(job, "input_status", status.encode()):
            return Refused("the CE does not know the job any more", for_good=True)
        self._control.tell([job])
        return None

    def fetch(self, job: RemoteId, plan: FetchPlan, limits: Limits) -> Fetched | Gone | Refused:
        session = self._session(job) if self._word(job) is not None else None
        if session is None:
            return Gone()
        controls = {home: self._diagnose(job, name) for name, home in diagnosed(plan.patterns)}
        there = {home: path for home, path in controls.items() if path is not None}
        return folders.bring(session, there, plan, limits)

    def _diagnose(self, job: RemoteId, name: str) -> Path | None:
        if "/" in name or name == "proxy":
            return None
        path = self._control.file(job, name) if name != "status" else self._control.status_file(job)
        return path if path is not None and path.is_file() else None

    def _session(self, job: RemoteId) -> Path | None:
        path = arc_dialect.pairs(self._control.read(job, "local")).get("sessiondir", "")
        return Path(path) if path.startswith("/") else None

    def wish(self, jobs: Collection[RemoteId], what: str) -> dict[RemoteId, Answer]:
        """`cancel`, `restart` or `clean`."""
        rules: dict[str, Callable[[RemoteId, str], Answer | None]] = {
            "cancel": self._cancel,
            "restart": self._restart,
            "clean": self._clean,
        }
        answers: dict[RemoteId, Answer] = dict.fromkeys(jobs, Gone())
        marked = []
        for job, word in self._words(jobs):
            answer = rules[what](job, word)
            if answer is None:
                self._control.mark(job, what)
                if what == "clean":
                    self._control.unmark(job, "cancel")
                marked.append(job)
            answers[job] = answer or Accepted()
        self._control.tell(marked)
        return answers

    @staticmethod
    def _cancel(_job: RemoteId, word: str) -> Answer | None:
        """A mark on an ended job would lie there for ever."""
        return Accepted() if word in (FINISHED, DELETED) else None

    def _restart(self, job: RemoteId, word: str) -> Answer | None:
        if word != FINISHED:
            return Refused("Job has not failed", for_good=word != "")
        why = arc_records.restart_refused(arc_dialect.pairs(self._control.read(job, "local")))
        return Refused(why, for_good=True) if why else None

    @staticmethod
    def _clean(_job: RemoteId, word: str) -> Answer | None:
        """A-REX would clean a living job at its end, unseen; of a deleted one nothing is left but its record."""
        if word == DELETED:
            return Gone()
        return None if word == FINISHED else Refused("it has not ended: kill it first", for_good=False)

    def renew(self, owner: Owner) -> None:
        """Give our jobs of this identity its new proxy, where they hold an older one."""
        tower = self._remembered()
        for job in self._control.jobs() if tower and owner.pem else ():
            if not self._ours(job) or not key_belongs(self._name(job) or "", TowerId(tower or "")):
                continue
            held = self._control.read(job, "proxy")
            same = arc_dialect.pairs(self._control.read(job, "local")).get("subject") == owner.subject
            if held and same and owner.pem and held.encode() != owner.pem:
                self._control.rewrite(job, "proxy", owner.pem)

    def capacity(self, now: datetime) -> Capacity:
        """What the information provider wrote last, unless that was long ago."""
        file = self._control.path / "info.xml"
        try:
            written = datetime.fromtimestamp(file.stat().st_mtime, UTC)
            text = file.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return Capacity()
        if now - written > STALE or not text.strip():
            return Capacity()
        return arc_dialect.capacity_in(arc_records.document(text))

"""The tower's rows of PanDA jobs: how they come in, and the only door through which they change."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import accumulate
from typing import Any, Literal, get_args

from sqlalchemy import ColumnElement, event, func, insert, select
from sqlalchemy.orm import Session

from act_core import meters
from act_core.db.bulk import chunks, update_rows
from act_core.db.models import ERROR_LENGTH
from act_core.db.panda_models import PandaRow
from act_core.logs import log
from act_core.runtime import Counts
from act_core.settings.model import Settings
from act_core.states import PANDA_FINAL, PANDA_LIFE, PandaState, end_of
from act_core.words import kept

logger = log(__name__)
NAME = "atlas"  # of the first instance, to the engine
TRANSFERRING = "transferring"  # PanDA's word
PILOT = "pilot"  # the reporter of a job whose pilot talks to PanDA itself once it runs
HARVESTER = "harvester"  # of a job that a Harvester took: PanDA never hears of it from us
REPORTS = 32 * 1024 * 1024  # bytes of final reports that a step reads at a time
WRITABLE = frozenset(
    {
        "told",
        "told_at",
        "wanted",
        "heartbeat_due_at",
        "refused",
        "reporter",
        "ce",
        "node",
        "started_at",
        "ended_at",
        "outputs",
        "checks",
        "check_due_at",
        "report",
        "sent_at",
        "error",
        "ended_as",
        "cause",
        "unverified",
    }
)


@dataclass(frozen=True, slots=True, eq=False)
class Booked:
    """A row of `panda_jobs` that was picked, with the version that it had; its long texts if asked for."""

    id: int
    version: int
    server: str
    panda_id: int
    attempt_nr: int
    queue: str
    label: str
    state: PandaState
    told: str | None
    told_at: datetime | None
    wanted: str
    refused: int
    ce: str | None
    node: str | None
    cores: int
    started_at: datetime | None
    ended_at: datetime | None
    checks: int
    reporter: str
    error: str | None
    created: datetime | None = None  # when PanDA handed it out
    state_since: datetime | None = None
    sent_at: datetime | None = None  # its final report was sent for the first time
    outputs: str | None = None
    report: str | None = None
    job: str = "{}"
    secrets: bytes | None = field(default=None, repr=False)  # sealed

    @property
    def app_job_id(self) -> str:
        """What the engine's rows call this job."""
        return app_job_id(self.panda_id, self.attempt_nr)


LongText = Literal["job", "secrets", "outputs", "report"]
_SHORT = tuple(name for name in Booked.__slots__ if name not in get_args(LongText))


def app_of(settings: Settings) -> str:
    """What the engine calls the application whose settings these are."""
    return settings.instance or NAME


def app_job_id(panda_id: int, attempt_nr: int) -> str:
    return f"{panda_id}.{attempt_nr}"


def panda_ids(app_job_ids: Iterable[str]) -> set[tuple[int, int]]:
    """The (PandaID, attemptNr) of these."""
    return {(int(panda), int(attempt)) for panda, _, attempt in (one.partition(".") for one in app_job_ids)}


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a PanDA job: another state (None: it stays), and columns."""

    to: PandaState | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)


def picked(session: Session, *where: ColumnElement[bool], limit: int, texts: Sequence[LongText] = ()) -> list[Booked]:
    """Rows, the oldest first, with these of their long texts."""
    names = (*_SHORT, *texts)
    columns = [getattr(PandaRow, name) for name in names]
    rows = session.execute(select(*columns).where(*where).order_by(PandaRow.id).limit(limit))
    return [_booked(dict(zip(names, row, strict=True))) for row in rows]


def _booked(values: dict[str, Any]) -> Booked:
    return Booked(**values | {"state": PandaState(values["state"])})


def with_reports(session: Session, rows: Sequence[Booked], wanted: Collection[int]) -> list[Booked]:
    """The rows, those with `wanted` ids with their reports; the last are left out if that is too much to read."""
    sizes: dict[int, int | None] = {}
    for chunk in chunks(wanted):
        lengths = select(PandaRow.id, func.length(PandaRow.report)).where(PandaRow.id.in_(chunk))
        sizes |= dict(session.execute(lengths).tuples().all())
    ids = [row.id for row in rows if row.id in sizes]
    totals = accumulate(sizes[one] or 0 for one in ids)
    chosen = [one for n, (one, total) in enumerate(zip(ids, totals, strict=True)) if n == 0 or total <= REPORTS]
    reports: dict[int, str | None] = {}
    for chunk in chunks(chosen):
        texts = select(PandaRow.id, PandaRow.report).where(PandaRow.id.in_(chunk))
        reports |= dict(session.execute(texts).tuples().all())
    known = [row for row in rows if row.id in reports or row.id not in wanted]
    return [replace(row, report=reports[row.id]) if row.id in reports else row for row in known]


def by_app_job_ids(
    session: Session, server: str, ids: Collection[str], texts: Sequence[LongText] = ()
) -> dict[str, Booked]:
    """The rows of these jobs, by what the engine calls them."""
    found: dict[str, Booked] = {}
    wanted = panda_ids(ids)
    for chunk in chunks({panda for panda, _ in wanted}):
        these = (PandaRow.server == server, PandaRow.panda_id.in_(chunk))
        rows = picked(session, *these, limit=10 * len(chunk), texts=texts)
        found |= {row.app_job_id: row for row in rows if (row.panda_id, row.attempt_nr) in wanted}
    return found


@dataclass(slots=True)
class Settled:
    """Rows that were written, and those that were left alone because the move is illegal (our bug)."""

    written: list[Booked] = field(default_factory=list)
    illegal: list[Booked] = field(default_factory=list)

    def counts(self, **words: int) -> Counts:
        """These, where there are any, and the illegal ones: they turn the run red."""
        words["illegal"] = len(self.illegal)
        return Counts({word.replace("_", " "): n for word, n in words.items() if n})


def lock(session: Session, rows: Collection[Booked]) -> None:
    """Who writes rows of PanDA jobs and of attempts in one transaction locks those of PanDA jobs first."""
    for chunk in chunks(sorted(row.id for row in rows)):
        session.execute(select(PandaRow.id).where(PandaRow.id.in_(chunk)).order_by(PandaRow.id).with_for_update())


def settle(session: Session, changes: Mapping[Booked, Change], now: datetime) -> Settled:
    """Write what has not changed since it was picked. Raises ValueError for a column that nobody may write."""
    settled = Settled(illegal=[row for row, change in changes.items() if not _legal(row, change)])
    for row in settled.illegal:
        frozen = ", with another report than the one that was sent" if row.sent_at else ""
        logger.error("PanDA job %d: illegal move %s → %s%s", row.panda_id, row.state, changes[row].to, frozen)
    for change in changes.values():
        if strange := set(change.columns) - WRITABLE:
            raise ValueError(f"a change may not write {sorted(strange)}")
    legal = sorted(set(changes) - set(settled.illegal), key=lambda row: row.id)
    for chunk in chunks(legal):
        versions = dict(
            session.execute(
                select(PandaRow.id, PandaRow.version)
                .where(PandaRow.id.in_([row.id for row in chunk]))
                .with_for_update()
            )
            .tuples()
            .all()
        )
        fresh = [row for row in chunk if versions.get(row.id) == row.version]
        settled.written += fresh
        update_rows(session, PandaRow, {row.id: _columns(row, changes[row], now) for row in fresh})
    numbers = len(settled.written), len(legal) - len(settled.written), len(settled.illegal)
    event.listen(session, "after_commit", lambda _: meters.settled(meters.PANDA_JOBS, *numbers, {}), once=True)
    return settled


def _legal(row: Booked, change: Change) -> bool:
    if row.sent_at is not None and {"report", "sent_at"} & change.columns.keys():
        return False  # PanDA may have it: never another one
    return change.to is None or change.to is row.state or change.to in PANDA_LIFE[row.state]


def _columns(row: Booked, change: Change, now: datetime) -> dict[str, Any]:
    values = dict(change.columns) | {"modified": now}
    if isinstance(values.get("error"), str):
        values["error"] = kept(values["error"], ERROR_LENGTH)
    if row.reporter == HARVESTER and (change.to or row.state) is not PandaState.TOREPORT:
        values["heartbeat_due_at"] = None  # what is due of it is the report for its Harvester, and nothing else
    if change.to is not None and change.to is not row.state:
        values |= {"state": change.to.value, "state_since": now}
    if change.to in PANDA_FINAL:
        values["secrets"] = None
        values.setdefault("ended_as", end_of(row.state, values.get("told", row.told)).value)
    return values


def known(session: Session, server: str, numbers: Collection[int]) -> set[tuple[int, int]]:
    """(PandaID, attemptNr) of the jobs with these PandaIDs that are booked."""
    of_job = select(PandaRow.panda_id, PandaRow.attempt_nr).where(PandaRow.server == server)
    return {
        (row.panda_id, row.attempt_nr)
        for chunk in chunks(numbers)
        for row in session.execute(of_job.where(PandaRow.panda_id.in_(chunk)))
    }


def insert_jobs(session: Session, rows: Sequence[Mapping[str, Any]]) -> int:
    """Book jobs that PanDA has handed out; one that is booked already is left as it is. Returns how many are new."""
    if not rows:
        return 0
    server = rows[0]["server"]
    once: dict[tuple[int, int], dict[str, Any]] = {}
    for row in rows:
        once.setdefault((row["panda_id"], row["attempt_nr"]), dict(row))
    booked = known(session, server, {panda_id for panda_id, _ in once})
    new = [row for key, row in once.items() if key not in booked]
    if new:
        session.execute(insert(PandaRow), new)
    return len(new)

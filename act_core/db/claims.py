"""Settle: the only door through which an attempt's state changes (architecture rule 2)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, event, select, update
from sqlalchemy.orm import Session

from act_core import meters
from act_core.db.attempts import AnyRow, Attempt, new_key, tower_of
from act_core.db.bulk import chunks, insert_rows, update_rows
from act_core.db.fences import fence_of
from act_core.db.models import BATCH_ID_LENGTH, ERROR_LENGTH, NODE_LENGTH, CeJob, CeJobEvent
from act_core.decisions import WRITABLE, Decision, Move
from act_core.states import LIFE, STRENGTH, CeState, Request
from act_core.words import clean, kept
from act_core.work import RUN

_LENGTHS = {"error": ERROR_LENGTH, "node": NODE_LENGTH, "native_state": 64, "batch_id": BATCH_ID_LENGTH}

_ALIKE = frozenset({"state", "state_since", "news", "tries", "due_at", "modified"})  # mostly, in a batch
_ROW: Any = CeJob.__table__
_THESE = _ROW.c.id.in_(bindparam("ids", expanding=True))
_LOCKED = (
    select(*(_ROW.c[name] for name in ("id", "version", "request", "request_at", "released_at")))
    .where(_THESE)
    .with_for_update()
)
_HEARD = update(_ROW).where(_THESE).values(news=False)


@dataclass(slots=True)
class Settled:
    """What became of a batch: ids written, dropped because the row had changed, refused because illegal (our bug)."""

    written: set[int] = field(default_factory=set)
    stale: set[int] = field(default_factory=set)
    illegal: dict[int, str] = field(default_factory=dict)
    successors: int = 0

    def __iadd__(self, other: "Settled") -> "Settled":
        self.written |= other.written
        self.stale |= other.stale
        self.illegal |= other.illegal
        self.successors += other.successors
        return self


def settle(session: Session, decisions: Mapping[Attempt, Decision], now: datetime, actor: str) -> Settled:
    """Write decisions: checked against LIFE, guarded by version, recorded as events.

    Three statements a chunk and kind of change (select for update, update from a list of values, insert of events),
    whatever the number of rows. A wish is cleared only if it is still the one that was picked.
    """
    settled = Settled()
    legal: dict[Attempt, Decision] = {}
    for attempt, decision in decisions.items():
        if isinstance(decision, Move) and decision.to not in LIFE[attempt.state]:
            settled.illegal[attempt.id] = f"{attempt.state} → {decision.to}: {decision.reason}"
        else:
            legal[attempt] = decision
    for chunk in chunks(sorted(legal, key=lambda attempt: attempt.id)):  # one order for all: fewer deadlocks
        settled += _settle_chunk(session, {attempt: legal[attempt] for attempt in chunk}, now, actor)
    _measure(session, legal, settled)
    return settled


def _measure(session: Session, decisions: Mapping[Attempt, Decision], settled: Settled) -> None:
    """Count what this transaction did, once it is committed."""
    moves = Counter(
        (decision.columns.get("ce") or attempt.ce or "", decision.to.value)
        for attempt, decision in decisions.items()
        if isinstance(decision, Move) and decision.to is not attempt.state and attempt.id in settled.written
    )
    numbers = len(settled.written), len(settled.stale), len(settled.illegal)
    event.listen(session, "after_commit", lambda _: meters.settled(meters.ATTEMPTS, *numbers, moves), once=True)


def _settle_chunk(session: Session, decisions: Mapping[Attempt, Decision], now: datetime, actor: str) -> Settled:
    ids = [attempt.id for attempt in decisions]
    session.flush()
    locked = {row.id: row for row in session.connection().execute(_LOCKED, {"ids": ids})}
    settled = Settled()
    changes: dict[Attempt, dict[str, Any]] = {}
    for attempt, decision in decisions.items():
        row = locked.get(attempt.id)
        if row is None or row.version != attempt.version or (decision.successor and _released_since(attempt, row)):
            settled.stale.add(attempt.id)
            continue
        settled.written.add(attempt.id)
        changes[attempt] = _changes(attempt, decision, row, now)
    settled.successors = _succeed(session, {a: decisions[a] for a in changes}, locked, changes, now)
    update_rows(session, CeJob, {attempt.id: written for attempt, written in changes.items()}, alike=_ALIKE)
    _record(session, {attempt: decisions[attempt] for attempt in changes}, now, actor)
    return settled


def _released_since(attempt: Attempt, row: AnyRow) -> bool:
    return attempt.released_at is None and row.released_at is not None


def _changes(attempt: Attempt, decision: Decision, row: AnyRow, now: datetime) -> dict[str, Any]:
    """The columns that this decision writes, cut to their length."""
    written: dict[str, Any] = {"modified": now}
    for name, value in decision.columns.items():
        if name not in WRITABLE:
            raise ValueError(f"a decision may not write {name}")
        written[name] = _fit(name, value) if isinstance(value, str) else value
    if isinstance(decision, Move):
        written |= {"state": decision.to.value, "state_since": now, "news": decision.news}
        written.setdefault("due_at", None)
        if decision.to is not attempt.state:
            written.setdefault("tries", 0)
    return written | _wishes(attempt, decision, row, now)


def _fit(name: str, text: str) -> str:
    """Errors are what others said; all else is taken as it is."""
    return kept(text, ERROR_LENGTH) if name == "error" else clean(text)[: _LENGTHS.get(name)]


def _wishes(attempt: Attempt, decision: Decision, row: AnyRow, now: datetime) -> dict[str, Any]:
    """What becomes of the wish: only the one that was picked is ever cleared."""
    request: str | None = row.request
    if decision.wish_done and (row.request, row.request_at) == (attempt.request, attempt.request_at):
        request = None
    if decision.wish and (request is None or STRENGTH[decision.wish] > STRENGTH[Request(request)]):
        return {"request": decision.wish.value, "request_at": now}
    if request == row.request:
        return {}
    # it may have stood in the way of what its application wants: that is news
    return {"request": None, "news": True}


def _record(session: Session, decisions: Mapping[Attempt, Decision], now: datetime, actor: str) -> None:
    run = RUN.get()
    said = {decision.reason for decision in decisions.values() if decision.reason}
    reasons = {reason: kept(reason, ERROR_LENGTH) for reason in said}
    events = [
        {
            "job_id": attempt.id,
            "attempt": attempt.attempt,
            "at": now,
            "from_state": attempt.state.value,
            "to_state": (decision.to if isinstance(decision, Move) else attempt.state).value,
            "reason": reasons[decision.reason],
            "actor": actor,
            "ce": decision.columns.get("ce", attempt.ce),
            "run_id": run,
        }
        for attempt, decision in decisions.items()
        if decision.reason
    ]
    insert_rows(session, CeJobEvent, events)


INHERITED = (
    "app",
    "app_job_id",
    "placement_id",
    "priority",
    "share",
    "cores_asked",
    "proxy_copy",
    "walltime_s",
    "description_id",
    "submit_before",
    "vouched_until",
    "fence_s",
)


def _heirs(decisions: Mapping[Attempt, Decision], locked: Mapping[int, AnyRow]) -> list[Attempt]:
    """Attempts that are succeeded; a cancel or clean of the old one is heeded (rule 3).

    Nothing follows what its application has released: it may have told of the end already.
    """
    return [
        attempt
        for attempt, decision in decisions.items()
        if decision.successor
        and attempt.superseded_by is None
        and locked[attempt.id].released_at is None
        and locked[attempt.id].request not in (Request.CANCEL.value, Request.CLEAN.value)
    ]


def _succeed(
    session: Session,
    decisions: Mapping[Attempt, Decision],
    locked: Mapping[int, AnyRow],
    changes: dict[Attempt, dict[str, Any]],
    now: datetime,
) -> int:
    """Insert the next attempts, each with a new key."""
    heirs = _heirs(decisions, locked)
    if not heirs:
        return 0
    wanted = (CeJob.id, *(getattr(CeJob, name) for name in INHERITED))
    old = {row.id: row for row in session.execute(select(*wanted).where(CeJob.id.in_([heir.id for heir in heirs])))}
    rows = []
    for heir in heirs:
        key = new_key(tower_of(heir.key))
        changes[heir] |= {"superseded_by": key, "released_at": now}
        if heir.remote_id and heir.ce_clean_at is None:
            changes[heir] |= {"request": Request.CLEAN.value, "request_at": now}
        rows.append(
            {name: getattr(old[heir.id], name) for name in INHERITED}
            | {
                "attempt": heir.attempt + 1,
                "attempts_left": max(0, heir.attempts_left - (1 if decisions[heir].costs_attempt else 0)),
                "submission_key": key,
                "tries": changes[heir].get("tries", 0),
                "due_at": changes[heir].get("due_at"),
                "fenced_until": fence_of(old[heir.id].fence_s, heir.remote_id, now),
                "state": CeState.TOSUBMIT.value,
                "state_since": now,
                "created": now,
                "modified": now,
            }
        )
    insert_rows(session, CeJob, rows)
    return len(rows)


def hear(session: Session, rows: Iterable[Attempt]) -> None:
    """Clear `news` of rows that have not moved since they were picked; the others have more to tell."""
    session.flush()
    connection = session.connection()
    for chunk in chunks(rows):
        picked = {attempt.id: attempt.version for attempt in chunk}
        found = connection.execute(_LOCKED, {"ids": list(picked)})
        heard = [row.id for row in found if row.version == picked[row.id]]
        connection.execute(_HEARD, {"ids": heard})

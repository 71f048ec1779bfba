"""Pick what may go to a CE and write the intent: one transaction that holds the CE's row, so that limits are exact."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.db import backlog, claims, downtimes, filling, operator_modes
from act_core.db.attempts import Attempt
from act_core.db.backlog import OPEN, Gate, Waiting
from act_core.db.downtimes import Downtime
from act_core.db.models import Ce
from act_core.db.modes import BLACKHOLE, OPERATOR, PERMITS, Mode
from act_core.db.operator_modes import Words
from act_core.decisions import Decision, Move
from act_core.engine.fill import Held, Here, Limits, Plan, choose, full_of, here_of, longest_before, recent
from act_core.engine.identity import Identity
from act_core.engine.settling import after
from act_core.reasons import Reason
from act_core.states import CeState


@dataclass(frozen=True, slots=True)
class Terms:
    """What the configuration says of submissions to a CE. `limits.maxjobs` is the row's."""

    limits: Limits
    spread: timedelta
    patience: timedelta  # from the intent to the send deadline
    fit: bool = True  # jobs have to end before a downtime that is known
    shown: Identity | None = None  # what the CE is shown
    proxy_covers: timedelta | None = None  # the longest wall time that a worker node's copy of the proxy outlives


@dataclass(slots=True)
class Claimed:
    """`written`: what is ours to send, as the rows now stand, in the order in which it goes. `held`: by share."""

    decisions: dict[Attempt, Decision] = field(default_factory=dict)
    settled: claims.Settled = field(default_factory=claims.Settled)
    written: list[Attempt] = field(default_factory=list)
    held: Mapping[str, Held] = field(default_factory=dict)
    looked: bool = False  # False: the CE's mode forbids it, so that nobody looked who waits


def intent(attempt: Attempt, ce: str, now: datetime, patience: timedelta, shown: Identity | None = None) -> Decision:
    """What is written before the call: the job is in the air, or too late for it."""
    if attempt.submit_before and now >= attempt.submit_before:
        return Move(CeState.CANCELLED, f"not sent: its best-before {attempt.submit_before:%H:%M:%S} has passed")
    deadline = now + patience if attempt.vouched_until is None else min(now + patience, attempt.vouched_until)
    columns = {
        "ce": ce,
        "send_deadline": deadline,
        "due_at": deadline,
        "absent_since": None,
        "tries": attempt.tries,
        "credential_id": shown and shown.credential_id,
        "proxy_until": shown.proxy_until if shown and attempt.proxy_copy else None,
    }
    return Move(CeState.SUBMITTING, f"to {ce}", columns)


def claim(session: Session, ce: str, terms: Terms, now: datetime) -> Claimed:
    """A constant number of statements, however many jobs are there, wait and go."""
    row = filling.locked(session, ce)
    if row is None or not (PERMITS[Mode(row.mode)].new or is_probe(row, now)):
        return Claimed()
    known = downtimes.of(downtimes.coming(session, now), row)
    if downtimes.under_way(known, now) and row.mode_owner != OPERATOR:
        return Claimed()
    limits = replace(terms.limits, maxjobs=row.maxjobs, most=1 if is_probe(row, now) else terms.limits.most)
    here = _here(session, row, limits, now)
    words = operator_modes.of_submission(session, now)
    stopped = _stopped(session, ce, words)
    if full := full_of(limits, here.jobs):  # most CEs, most of the time: nobody is looked at
        return Claimed(held=dict.fromkeys(backlog.shares(session, ce), full) | stopped, looked=True)
    gate, why = _gate(terms, here, downtimes.ahead(known, now) if terms.fit else None, words, now)
    plan, left = plan_of(session, ce, replace(terms, limits=limits), here, gate, now, words.shares)
    held = dict(plan.held)
    if why:
        held = _shut_out(session, ce, terms, gate, left | words.shares.keys(), why, now) | held
    made = _write(session, ce, plan, terms, now)
    made.held = held | stopped
    _remember(row, here, limits, made, now)
    return made


def _stopped(session: Session, ce: str, words: Words) -> dict[str, Held]:
    """The shares that wait here and that an operator stopped."""
    waits = backlog.shares(session, ce) if words.shares else ()
    return {share: Held(Reason.SHARE_MODE, words.shares[share].facts) for share in waits if share in words.shares}


def is_probe(row: Ce, now: datetime) -> bool:
    """Whether the CE rests as a black hole and the time has come to send one job."""
    due = row.probe_at is not None and row.probe_at <= now and row.probe_job is None
    return row.mode == Mode.REST and row.mode_owner == BLACKHOLE and due


def _here(session: Session, row: Ce, limits: Limits, now: datetime) -> Here:
    said = row.capacity or {}
    here = here_of(
        filling.standing(session, row.name),
        limits.slots,
        last_start=row.last_start,
        queued_since=row.queued_since,
        total_slots=said.get("total_slots"),
        capacity_at=row.capacity_at,
        sent=tuple((datetime.fromisoformat(at), n) for at, n in row.sent or ()),
    )
    if not here.queued or row.queued_since is None or now - row.queued_since < limits.stalled:
        return here
    # the queue may have been empty meanwhile: what is begun again where it failed comes without a claim
    oldest = filling.queued_since(session, row.name) or row.queued_since
    return replace(here, queued_since=max(row.queued_since, oldest))


def _gate(
    terms: Terms, here: Here, next_one: Downtime | None, words: Words, now: datetime
) -> tuple[Gate, Held | None]:  # fmt: skip
    """Which jobs may go, and why the others do not: by their wall time; of a tower that is drained, by their past."""
    gate, why = OPEN, None
    if terms.proxy_covers is not None and terms.shown and terms.shown.proxy_until:
        gate = Gate(copies=terms.proxy_covers)
        why = Held(Reason.PROXY_SHORT, {"until": _minute(terms.shown.proxy_until)})
    if next_one is not None:
        fits = longest_before(here, next_one.start - now, now)
        if gate.copies is None or fits < gate.copies:
            why = Held(Reason.DOWNTIME_AHEAD, _told(next_one))
        gate = replace(gate, fits=fits)
    if words.tower is not None:
        gate, why = replace(gate, again=True), Held(Reason.TOWER_DRAIN, words.tower.facts)
    return gate, why


def plan_of(
    session: Session,
    ce: str,
    terms: Terms,
    here: Here,
    gate: Gate,
    now: datetime,
    without: Collection[str] = (),
) -> tuple[Plan, set[str]]:
    """Who goes, and the shares of which something that may pass is left; nothing goes of the shares in `without`."""

    def read(depth: int, only: Collection[str] | None = None) -> list[Waiting]:
        return backlog.waiting(session, ce, now, depth, terms.spread, gate.passed, only, without)

    return choose(terms.limits, here, read, now)


def _shut_out(
    session: Session, ce: str, terms: Terms, gate: Gate, left: Collection[str], why: Held, now: datetime
) -> dict[str, Held]:
    """The shares of which nothing is left but what may not pass: a share with a long line is not read to its end."""
    others = [share for share in backlog.shares(session, ce) if share not in left]
    return {job.share: why for job in backlog.waiting(session, ce, now, 1, terms.spread, gate.shut, others)}


def _told(downtime: Downtime) -> dict[str, str]:
    reason = downtime.reason or "no reason given"
    return {"start": _minute(downtime.start), "end": _minute(downtime.end), "reason": reason}


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _write(session: Session, ce: str, plan: Plan, terms: Terms, now: datetime) -> Claimed:
    """The intents, in the order of the plan, through the only door."""
    made = Claimed(looked=True)
    jobs = [*plan.go, *plan.late]
    rows = filling.picked(session, [job.id for job in jobs]) if jobs else {}
    chosen = [rows[job.id] for job in jobs if job.id in rows]
    made.decisions = {one: intent(one, ce, now, terms.patience, terms.shown) for one in chosen}
    if made.decisions:
        made.settled = claims.settle(session, made.decisions, now, "submit")
    written = made.settled.written
    done = [after(one, decision, now) for one, decision in made.decisions.items() if one.id in written]
    made.written = [one for one in done if one.state is CeState.SUBMITTING]
    return made


def _remember(row: Ce, here: Here, limits: Limits, made: Claimed, now: datetime) -> None:
    """What the CE's row keeps of a submission: since when jobs are queued, how many went, which one is the probe."""
    if not made.written:
        return
    if not here.queued or row.queued_since is None:
        row.queued_since = now
    if limits.rate is not None:
        sent = [*recent(limits, here.sent, now), (now, len(made.written))]
        row.sent = [(at.isoformat(), n) for at, n in sent]
    if is_probe(row, now):
        row.probe_job, row.probe_at = made.written[0].id, None

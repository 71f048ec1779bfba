"""What time alone changes: modes and downtimes, CEs that are empty, reasons that hold no more, jobs past their date."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from act_core.db import backlog, downtimes, filling, modes, operator_modes
from act_core.db.downtimes import Downtime
from act_core.db.ledger import Line
from act_core.db.models import Ce
from act_core.db.modes import DOWNTIME, OPERATOR, Mode, Wanted
from act_core.db.operator_modes import Kind, Word
from act_core.db.policy_models import Standing
from act_core.engine.blackhole import judge_probe, probed
from act_core.engine.claim import intent
from act_core.engine.settling import settle
from act_core.logs import log
from act_core.reasons import Topic
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings

logger = log(__name__)
EVERY, REASONS_EVERY = timedelta(seconds=5), timedelta(seconds=60)
LATE = 1000  # jobs that are given up in one look


class _Looked:
    """When this process looked last."""

    def __init__(self, _settings: Settings) -> None:
        self.at: datetime | None = None
        self.reasons_at: datetime | None = None

    async def close(self) -> None:
        """Nothing is open."""


async def keep_modes(rt: Runtime) -> Counts:
    """A look each few seconds; writes only what changes, each CE in a transaction that finds out anew."""
    now, looked = rt.now(), rt.kept(_Looked, _Looked)
    if looked.at and now - looked.at < EVERY:
        return Counts()
    looked.at, changed, counts = now, 0, Counts()
    for ce in await rt.read(to_change, now):
        changed += await rt.write(change, ce, now)
    changed += await _operators(rt, now)
    policy = rt.settings.arc.blackhole
    for ce in await rt.read(probed, policy, now):
        await rt.write(judge_probe, ce, policy, now)
    if looked.reasons_at is None or now - looked.reasons_at >= REASONS_EVERY:
        looked.reasons_at = now
        if over := await rt.read(over_reasons):
            await rt.note(over)
        counts = await give_up_late(rt)
    return counts + Counts({"modes": changed} if changed else {})


async def _operators(rt: Runtime, now: datetime) -> int:
    """Words of operators whose time is over, and shares that are emptied."""
    over, empty = await rt.read(_done_with, now)
    ended = await rt.write(operator_modes.end_over, now) if over else []
    for word in ended:
        logger.info("%s %s mode=%s is over, as its owner wanted", word.kind, word.name, word.mode)
    return len(ended) + sum([await rt.write(operator_modes.emptied, word, now) for word in empty])


def _done_with(session: Session, now: datetime) -> tuple[bool, list[Word]]:
    draining = operator_modes.draining(session, now, Kind.SHARE)
    empty = [one for one in draining if filling.share_is_empty(session, one.name)]
    return operator_modes.any_over(session, now), empty


async def give_up_late(rt: Runtime) -> Counts:
    """Cancel what waits past its best-before: a claim does too, but there is none where no CE takes jobs."""
    now, patience = rt.now(), rt.settings.arc.jobs.senddeadline
    late = await rt.read(filling.late, now, LATE)
    return await settle(rt, {one: intent(one, "", now, patience) for one in late}, "submit") if late else Counts()


def wanted_mode(row: Ce, known: Iterable[Downtime], now: datetime) -> Wanted | None:
    """The mode that a downtime asks for now. None: none does."""
    if (held := downtimes.under_way(downtimes.of(known, row), now)) is None:
        return None
    return Wanted(held.mode, DOWNTIME, held.reason or "announced downtime", held.until)


def to_change(session: Session, now: datetime) -> list[str]:
    """CEs of which something may have to be written: a mode is over, a downtime began or is gone, one is emptied."""
    known = downtimes.coming(session, now)
    candidates = select(Ce)
    if not any(one.start <= now for one in known):
        drained = (Ce.mode == Mode.DRAIN.value) & (Ce.mode_owner == OPERATOR)
        endless = Ce.mode_until >= downtimes.FOREVER
        candidates = candidates.where(or_(Ce.mode_until <= now, Ce.mode_owner == DOWNTIME, drained, endless))
    rows = session.scalars(candidates.order_by(Ce.name))
    return [row.name for row in rows if _differs(session, row, known, now)]


def _differs(session: Session, row: Ce, known: Iterable[Downtime], now: datetime) -> bool:
    if row.mode_until is not None and row.mode_until <= now:
        return True
    wanted = wanted_mode(row, known, now)
    if wanted is None:
        return row.mode_owner == DOWNTIME or _outlasted(row) or _emptied(session, row)
    held = Wanted(Mode(row.mode), row.mode_owner or "", row.mode_reason or "", row.mode_until)
    return held != wanted and modes.may_replace(row.mode_owner, DOWNTIME)


def _outlasted(row: Ce) -> bool:
    """Whether an operator's `on` stood against a downtime without an end, which is over: the next ones count again."""
    held = row.mode == Mode.ON and row.mode_owner == OPERATOR
    return held and row.mode_until is not None and row.mode_until >= downtimes.FOREVER


def _emptied(session: Session, row: Ce) -> bool:
    return row.mode == Mode.DRAIN and row.mode_owner == OPERATOR and filling.is_empty(session, row.name)


def change(session: Session, ce: str, now: datetime) -> bool:
    """Write the mode that this CE should have; False: somebody else did, or decided otherwise."""
    row = filling.locked(session, ce)
    if row is None:
        return False
    changed = modes.end_over(session, ce, now)
    if wanted := wanted_mode(row, downtimes.coming(session, now), now):
        changed |= modes.set_mode(session, ce, wanted, now)
    elif row.mode_owner == DOWNTIME:
        changed |= modes.give_back(session, ce, DOWNTIME, now)
    elif _outlasted(row):
        changed |= modes.back_on(session, ce, row.mode_reason or "", None, now)
    elif _emptied(session, row):
        reason = f"emptied; {row.mode_reason}" if row.mode_reason else "emptied"
        changed |= modes.set_mode(session, ce, Wanted(Mode.STOP, OPERATOR, reason, row.mode_until), now)
    if changed:
        logger.info(
            "ce=%s mode=%s owner=%s until=%s: %s", ce, row.mode, row.mode_owner, row.mode_until, row.mode_reason
        )
    return changed


def over_reasons(session: Session) -> list[Line]:
    """The reasons to wait of shares that do not wait any more, or wait for the CE's mode: there no step looks."""
    held: defaultdict[str, list[str]] = defaultdict(list)
    for row in session.execute(select(Standing.ce, Standing.share).where(Standing.topic == Topic.SUBMIT.value)):
        held[row.ce].append(row.share)
    sent = set(session.scalars(select(Ce.name).where(Ce.mode.in_(modes.SENT_TO))))
    waits = {ce: set(backlog.shares(session, ce)) if ce in sent else set() for ce in held}
    return [
        Line(Topic.SUBMIT, None, ce, share) for ce, shares in held.items() for share in shares if share not in waits[ce]
    ]

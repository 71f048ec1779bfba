"""CEs that do not answer: their attempts are given up after `reconcile.giveup`, or when an operator says so.

Only time in which the silence is the CE's own counts: it was asked and did not answer, and meanwhile another CE did. A
tower that slept, or whose network was away, has learned nothing of anybody. Where no other CE could vouch, since there
is none, a third of the time counts. Time is the second witness here, so that the brake does not hold this.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from act_core.db import brakes, ces, silence
from act_core.db.attempts import Attempt
from act_core.db.ledger import Line
from act_core.db.models import Ce
from act_core.db.modes import CARED_FOR, Mode
from act_core.decisions import Decision, Move, Stay
from act_core.engine.belief import no_longer_others
from act_core.engine.settling import settle
from act_core.errors import ConfigError
from act_core.logs import log
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts, Runtime
from act_core.states import ENDED, FINAL, LIVING, CeState

logger = log(__name__)
BATCH = 1000
LONGEST_STEP = timedelta(hours=1)  # of time between two looks, which are 30 minutes apart; the rest was sleep
ALONE = 3  # without another CE to vouch, so many times longer
TOLD_AFTER = timedelta(hours=1)


def after_silence(row: Ce, others: Sequence[Ce], now: datetime) -> dict[str, Any] | None:
    """What is written of a CE's silence: columns of `ces`. None: nothing has changed."""
    start = {"silent_s": 0, "silent_at": now, "silent_tries": row.failures}
    if row.mode not in CARED_FOR or row.failures == 0:
        return start if row.silent_s else None
    if row.silent_at is None or (row.last_seen is not None and row.last_seen > row.silent_at):
        return start
    tried = row.failures > row.silent_tries
    if not tried:
        return None if now - row.silent_at < LONGEST_STEP else {**start, "silent_s": row.silent_s}
    step = min(now - row.silent_at, LONGEST_STEP).total_seconds()
    return {**start, "silent_s": row.silent_s + int(step * vouched(row, others))}


def vouched(row: Ce, others: Sequence[Ce]) -> float:
    """How much the time since the last look says of this CE: all, if another one answered meanwhile."""
    if any(one.last_seen is not None and row.silent_at and one.last_seen > row.silent_at for one in others):
        return 1.0
    return 0.0 if others else 1 / ALONE


def given_up(attempt: Attempt, now: datetime, why: str, commit: timedelta | None) -> Decision | None:
    """What becomes of an attempt whose CE was given up. None: it is not known yet.

    What is found of it when the CE returns is an orphan, and is killed as such: nothing is left to be cleaned here.
    `commit`: after so long a submission in doubt cannot run any more (two-phase), so that a successor may follow.
    """
    left: dict[str, Any] = {"error": why, "ce_clean_at": now, "due_at": None}
    if attempt.state in LIVING:
        return Move(CeState.ABANDONED, why, left, wish_done=True)
    if attempt.state in FINAL:
        return Stay({"ce_clean_at": now, "due_at": None}, f"not cleaned: {why}", wish_done=True)
    if attempt.state in ENDED:
        return Move(CeState.DONEFAILED, f"{why}: its outputs cannot be had", left, wish_done=True)
    if attempt.state is not CeState.SUBMITTING or attempt.send_deadline is None:
        return None
    if commit is None:
        return Move(CeState.DONEFAILED, f"{why} while the submission was in doubt", left, wish_done=True)
    if now < attempt.send_deadline + commit:
        return None
    return Move(CeState.VOID, f"{why}; without our input it never ran", successor=True, costs_attempt=False)


async def watch(rt: Runtime, _key: str) -> Counts:
    """Count the silence of all CEs, and give up what has been silent for too long, or was given up by hand.

    Whatever ended jobs, and whether or not anybody asks their CE: what is told of their identity is brought up to date.
    """
    now, rows = rt.now(), await rt.read(ces.all_ces)
    asked = [row for row in rows if row.mode in CARED_FOR]
    changes = {row.name: new for row in rows if (new := after_silence(row, _others(row, asked), now))}
    if changes:
        await rt.write(silence.keep, changes)
    await rt.write(brakes.forget, now - timedelta(days=1))
    silent = {row.name: timedelta(seconds=changes.get(row.name, {}).get("silent_s", row.silent_s)) for row in rows}
    there = await rt.read(silence.on_ces, [row.name for row in rows if silent[row.name] or row.mode == Mode.ABANDONED])
    counts, lines = Counts(), []
    for row in rows:
        n = there.get(row.name, 0)
        if row.mode == Mode.ABANDONED and n:
            counts += await abandon(rt, row.name, f"{row.name} was given up by hand", "operator")
        elif silent[row.name] >= rt.settings.arc.reconcile.giveup and n:
            counts += await abandon(rt, row.name, f"{row.name} did not answer for {_hours(giveup(rt))}", "unseen")
        lines += _lines(row, _others(row, asked), silent[row.name], n, giveup(rt))
    await rt.note(lines)
    await no_longer_others(rt)
    return counts


def _others(row: Ce, asked: Sequence[Ce]) -> list[Ce]:
    """Those that could vouch: what has never answered cannot."""
    return [one for one in asked if one.name != row.name and one.last_seen is not None]


def giveup(rt: Runtime) -> timedelta:
    return rt.settings.arc.reconcile.giveup


def _lines(row: Ce, others: Sequence[Ce], silent: timedelta, n: int, longest: timedelta) -> list[Line]:
    """What the operator is told of a CE's silence."""
    if not silent:
        return [Line(Topic.UNSEEN, None, row.name)]
    if not n or silent < TOLD_AFTER:
        return []
    reason = Reason.GIVEN_UP if silent >= longest else Reason.SILENT
    return [Line(Topic.UNSEEN, reason, row.name, n=n, facts=_facts(row, others, longest, n))]


def _facts(row: Ce, others: Sequence[Ce], longest: timedelta, n: int) -> Mapping[str, Any]:
    seen = f"{row.last_seen:%Y-%m-%d %H:%M} UTC" if row.last_seen else "it was named"
    words = "Only time in which another CE answers counts." if others else "No other CE can vouch for our network."
    return {
        "ce": row.name,
        "seen": seen,
        "n": n,
        "vouched": words,
        "giveup": _hours(longest * (1 if others else ALONE)),
    }


def _hours(time: timedelta) -> str:
    return f"{time.total_seconds() / 3600:g} h"


async def abandon(
    rt: Runtime, ce: str, why: str, actor: str, identity: int | None = None, sent: datetime | None = None
) -> Counts:
    """Give up all that a CE has of ours, or what one identity left there, or what was sent by then; in batches."""
    commit = await _commit(rt, ce)
    counts, last = Counts(), 0
    what = partial(silence.there, ce=ce)
    if identity is not None:
        what = partial(silence.of_identity, ce=ce, identity=identity)
    elif sent is not None:
        what = partial(silence.of_before, ce=ce, sent=sent)
    while rows := await rt.read(what, after=last, limit=BATCH):
        now, last = rt.now(), rows[-1].id
        found = {attempt: decision for attempt in rows if (decision := given_up(attempt, now, why, commit))}
        left = sum(isinstance(one, Stay) for one in found.values())
        counts += await settle(rt, found, actor) + (Counts({"not cleaned": left}) if left else Counts())
    if counts:
        logger.warning("ce=%s %s: %s", ce, why, dict(counts))
    return counts


async def _commit(rt: Runtime, ce: str) -> timedelta | None:
    """After so long what is in doubt there cannot run; None: it may, or nobody knows the CE's kind any more."""
    try:
        traits = (await rt.ce(ce)).traits
    except ConfigError:
        return None
    return traits.input_patience if traits.two_phase else None

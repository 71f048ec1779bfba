"""Black holes: CEs that end jobs far too fast and badly, and so draw ever more of them. The rules: docs/policy.md."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db import backlog, ces, filling, ledger, modes
from act_core.db.endings import Ending, Stood, class_range, endings, outcomes
from act_core.db.ledger import Line
from act_core.db.models import Ce
from act_core.db.modes import BLACKHOLE, Mode, Wanted
from act_core.db.policy_models import Standing
from act_core.logs import log
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts, Runtime
from act_core.settings.policy import BlackHole
from act_core.states import FINAL, CeState

logger = log(__name__)
ELSEWHERE_WELL = 0.5  # of `failed`: where the share fails elsewhere too, the CE is not to blame


@dataclass(slots=True)
class Tally:
    """Jobs that ended, by class of wall time."""

    walls: Counter[int] = field(default_factory=Counter)
    failed: int = 0

    def add(self, ending: Ending) -> None:
        self.walls[ending.wall_class] += ending.n
        self.failed += ending.n if ending.failed else 0

    @property
    def jobs(self) -> int:
        return self.walls.total()

    def median(self) -> tuple[int, int]:
        """Between which wall times the median lies, in seconds."""
        seen = 0
        for wall_class in sorted(self.walls):
            seen += self.walls[wall_class]
            if 2 * seen >= self.jobs:
                return class_range(wall_class)
        return 0, 0


@dataclass(frozen=True, slots=True)
class Suspect:
    """A share that ends far too fast and badly at a CE. Wall times in seconds, at worst for the suspicion."""

    ce: str
    share: str
    jobs: int
    failed: float
    wall: int
    wall_elsewhere: int

    @property
    def times(self) -> float:
        return self.wall_elsewhere / max(self.wall, 1)


def suspects(ended: Iterable[Ending], policy: BlackHole) -> list[Suspect]:
    """Both are needed, against the same share elsewhere: too fast, and failing where others do not."""
    by_share: defaultdict[str, defaultdict[str, Tally]] = defaultdict(lambda: defaultdict(Tally))
    for ending in ended:
        by_share[ending.share][ending.ce].add(ending)
    found = []
    for share, tallies in sorted(by_share.items()):
        for ce, here in sorted(tallies.items()):
            others = [tally for name, tally in tallies.items() if name != ce]
            if suspect := _suspect(ce, share, here, others, policy):
                found.append(suspect)
    return found


def _suspect(ce: str, share: str, here: Tally, others: Sequence[Tally], policy: BlackHole) -> Suspect | None:
    well = [tally for tally in others if tally.failed <= policy.failed * ELSEWHERE_WELL * tally.jobs]
    elsewhere = Tally(sum((tally.walls for tally in well), Counter()))
    if min(here.jobs, elsewhere.jobs) < policy.jobs or here.failed < policy.failed * here.jobs:
        return None
    if len(well) < len(others) - len(well):
        return None  # it fails at most CEs
    made = Suspect(ce, share, here.jobs, here.failed / here.jobs, here.median()[1], elsewhere.median()[0])
    return made if made.times >= policy.faster else None


def last_of(ce: str, others: Collection[str], ended: Iterable[Ending], sole: Sequence[str]) -> list[str]:
    """Shares that would be left without a CE. `others`: CEs that take jobs; `sole`: shares that wait for it alone."""
    by_share: defaultdict[str, set[str]] = defaultdict(set)
    for ending in ended:
        by_share[ending.share].add(ending.ce)
    alone = {share for share, names in by_share.items() if ce in names and not (names - {ce}) & set(others)}
    return sorted(alone | set(sole))


Outcome = Literal["good", "bad", "gone"]


def after_probe(end: Stood, long_enough: timedelta, policy: BlackHole, now: datetime) -> Outcome | None:
    """What the probe's state says of the CE; `gone`: it was never tried. None: wait.

    `long_enough`: a black hole would have ended it by then. One that is still queued says nothing of the nodes: the
    next one goes beside it.
    """
    if end.state in (CeState.FINISHED, CeState.DONE):
        return "bad" if end.exit_code else "good"
    if end.state in (CeState.TOSUBMIT, CeState.VOID, CeState.CANCELLED):
        return "gone"
    if end.state is CeState.RUNNING:
        return "good" if now - end.since >= long_enough else None
    if end.state in (CeState.SUBMITTED, CeState.HOLDING):
        return "gone" if now - end.since >= policy.within else None
    return "bad" if end.state in FINAL | {CeState.FAILED} else None


async def look_for_black_holes(rt: Runtime, _key: str) -> Counts:
    """Tell of suspects; with `blackhole.mode: rest` they rest too, but for the last CE of a share."""
    policy = rt.settings.arc.blackhole
    if policy.mode == "off":
        return Counts()
    now = rt.now()
    ended = await rt.read(endings, now - policy.within)
    found = suspects(ended, policy)
    for suspect in found:
        logger.warning(
            "ce=%s share=%s looks like a black hole: %d jobs, %.0f %% failed, median wall time %d s, elsewhere %d s",
            *(suspect.ce, suspect.share, suspect.jobs, 100 * suspect.failed, suspect.wall, suspect.wall_elsewhere),
        )
    counts = Counts({"black holes": len({one.ce for one in found})} if found else {})
    await rt.write(conclude, found, ended, policy, now)
    return counts


def conclude(
    session: Session, found: Sequence[Suspect], ended: Sequence[Ending], policy: BlackHole, now: datetime
) -> None:
    """Write what follows from the suspicions into the modes and the ledger."""
    rows = {row.name: row for row in ces.all_ces(session)}
    suspected = {one.ce for one in found}
    taking = {
        name
        for name, row in rows.items()
        if row.mode == Mode.ON
        and row.maxjobs > 0
        and name not in suspected
        and (row.retry_at is None or row.retry_at <= now)
    }
    nexts = {ce: _act(session, rows[ce], taking, ended, policy, now) for ce in sorted(suspected) if ce in rows}
    lines = {(one.ce, one.share): _line(one, nexts[one.ce]) for one in found if one.ce in nexts}
    held = [row for row in ledger.standing(session) if row.topic == Topic.BLACKHOLE]
    over = [
        Line(Topic.BLACKHOLE, None, row.ce, row.share)
        for row in held
        if (row.ce, row.share) not in lines and not _rests(rows.get(row.ce))
    ]
    ledger.note(session, [*lines.values(), *over], now)


def _rests(row: Ce | None) -> bool:
    return row is not None and row.mode == Mode.REST and row.mode_owner == BLACKHOLE


def _act(
    session: Session, row: Ce, taking: Collection[str], ended: Sequence[Ending], policy: BlackHole, now: datetime
) -> str:
    """What is done about a black hole, in words."""
    if _rests(row):  # jobs that were there already end as badly: the probe stays where it is
        return f"It rests; one job is sent at {row.probe_at:%H:%M}." if row.probe_at else "It rests; one job was sent."
    if policy.mode != "rest":
        return "Nothing is done about it by itself (blackhole.mode: report)."
    if last := last_of(row.name, taking, ended, backlog.sole_shares(session, row.name, taking)):
        named = ", ".join(share or "the jobs without a share" for share in last)
        return f"It goes on: there is no other CE for {named}."
    why = "ends jobs far too fast and badly"
    if not modes.set_mode(session, row.name, Wanted(Mode.REST, BLACKHOLE, why), now):
        return f"It is left as it is: {row.mode} by {row.mode_owner}."
    row.probe_at = now + policy.probe
    return f"It rests; one job is sent at {row.probe_at:%H:%M} to see whether it is well again."


def _line(one: Suspect, what_next: str) -> Line:
    facts: Mapping[str, object] = {
        "ce": one.ce,
        "share": one.share or "the jobs without a share",
        "jobs": one.jobs,
        "percent": round(100 * one.failed),
        "wall": one.wall,
        "wall_elsewhere": one.wall_elsewhere,
        "times": round(one.times, 1),
        "next": what_next,
    }
    return Line(Topic.BLACKHOLE, Reason.BLACK_HOLE, one.ce, one.share, n=one.jobs, facts=facts)


def probed(session: Session, policy: BlackHole, now: datetime) -> list[str]:
    """CEs whose probe has something to tell."""
    rows = session.execute(select(Ce.name, Ce.probe_job).where(Ce.probe_job.is_not(None))).all()
    return [row.name for row in rows if _outcome(session, row.name, row.probe_job, policy, now)]


def _outcome(session: Session, ce: str, probe: int, policy: BlackHole, now: datetime) -> Outcome | None:
    """What became of the probe; one that came back unsent may be another CE's by now."""
    end = outcomes(session, [probe]).get(probe)
    if end is None or end.ce != ce:
        return "gone"
    walls = [one.facts["wall_elsewhere"] for one in _suspicions(session, ce)]
    return after_probe(end, timedelta(seconds=max(walls) / policy.faster) if walls else policy.probe, policy, now)


def _suspicions(session: Session, ce: str) -> list[Standing]:
    return [one for one in ledger.standing(session, ces=[ce]) if one.topic == Topic.BLACKHOLE]


def judge_probe(session: Session, ce: str, policy: BlackHole, now: datetime) -> Outcome | None:
    """End the rest after a good end of the probe; after a bad one wait for the next, after none send it anew."""
    row = filling.locked(session, ce)
    if row is None or row.probe_job is None:
        return None
    outcome = _outcome(session, ce, row.probe_job, policy, now)
    if outcome == "good":
        modes.give_back(session, ce, BLACKHOLE, now)
        ledger.note(session, [Line(Topic.BLACKHOLE, None, ce, one.share) for one in _suspicions(session, ce)], now)
    elif outcome is not None:
        row.probe_job, row.probe_at = None, now if outcome == "gone" else now + policy.probe
    if outcome:
        logger.info("ce=%s the probe of a black hole: %s", ce, outcome)
    return outcome

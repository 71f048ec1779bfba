"""What a look at the whole tower means: judgements over facts that were gathered, each with what to do."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median_low
from typing import Any

from act_core.disks import FileSystem, Sample, Stops, foretold, left, limit_in_words, size, stops
from act_core.monitor.times import span
from act_core.settings.policy import Disk
from act_core.timetable import STAGES
from act_core.words import redact

HERE = "this machine"
CLOCK_ODD, CLOCK_BAD = 30.0, 300.0  # seconds
SOON, VERY_SOON = timedelta(days=14), timedelta(hours=24)  # until a disk is full
COUNTS_LATE, WINDOW = timedelta(minutes=2), timedelta(minutes=1)
JUST_UP, LOOKED_BACK = timedelta(minutes=4), timedelta(hours=1)
ENDS_SOON = timedelta(hours=12)  # a credential


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """`name`: what was looked at; `do`: what mends it, for people."""

    name: str
    verdict: Verdict
    found: str
    do: str = ""

    def for_programs(self) -> dict[str, Any]:
        return {"name": self.name, "verdict": self.verdict.value, "found": self.found, "do": self.do}


def ok(name: str, found: str) -> Check:
    return Check(name, Verdict.OK, redact(found))


def warn(name: str, found: str, do: str) -> Check:
    return Check(name, Verdict.WARN, redact(found), do)


def bad(name: str, found: str, do: str) -> Check:
    return Check(name, Verdict.BAD, redact(found), do)


def skipped(name: str, found: str) -> Check:
    return Check(name, Verdict.SKIPPED, redact(found))


def clock(offsets: Mapping[str, float]) -> Check:
    """`offsets`: by how many seconds the clocks of others are ahead of ours. The most common time counts as right."""
    if not offsets:
        return skipped("clock", "nobody could be asked for the time")
    right = median_low([0.0, *offsets.values()])
    wrong = {name: offset - right for name, offset in {HERE: 0.0, **offsets}.items() if abs(offset - right) > CLOCK_ODD}
    if not wrong:
        furthest = max(offsets, key=lambda name: abs(offsets[name]))
        agree = "1 other clock agrees" if len(offsets) == 1 else f"{len(offsets)} other clocks agree"
        words = f"{agree} with this machine's; {furthest} is {_apart(offsets[furthest])}"
        return ok("clock", words)
    verdict = Verdict.BAD if max(map(abs, wrong.values())) > CLOCK_BAD else Verdict.WARN
    ntp = "Let it take its time from the network (`timedatectl set-ntp true`, or chrony)"
    if len(offsets) == 1:
        (name,), (offset,) = offsets, offsets.values()
        found = f"{name} and this machine differ: {name} is {_apart(offset)}; no third clock could be asked"
        return Check("clock", verdict, found, f"Find out which one is wrong (`date -u`). {ntp}.")
    if HERE in wrong:
        why = "certificates, leases and deadlines go by it"
        found = f"the clock of this machine is {_apart(wrong[HERE])} ({len(offsets)} others were asked); {why}"
        return Check("clock", verdict, found, f"{ntp}.")
    told = "; ".join(f"the clock of {name} is {_apart(offset)}" for name, offset in sorted(wrong.items()))
    return Check("clock", verdict, told, f"{ntp} there, or ask those who run it; this machine agrees with the others.")


def _apart(seconds: float) -> str:
    if abs(seconds) < 1:
        return "right"
    apart = round(abs(seconds) / 60) * 60 if abs(seconds) >= 600 else round(abs(seconds))
    return f"{span(timedelta(seconds=apart))} {'ahead' if seconds > 0 else 'behind'}"


def disk(one: FileSystem, limits: Disk, samples: Sequence[Sample]) -> Check:
    """A file system with all that the tower keeps on it."""
    name, lasts = f"disk {one.path}", left(one.free, samples)
    found = f"{size(one.free)} free of {size(one.total)} ({one.share:.0%}); {', '.join(one.what)}. "
    found += foretold(one.free, samples)
    room = f"Make room on it: `du -xhd2 {one.path}` tells what lies there; results of jobs that are over can go."
    stopped = stops(one, limits)
    if stopped is Stops.DOWNLOADS:
        stop = f"Below {limit_in_words(limits.downloads)} (disk.downloads) outputs stay on the CEs. "
        return bad(name, stop + found, room)
    if stopped is Stops.JOBS:
        stop = f"Below {limit_in_words(limits.fetchjobs)} (disk.fetchjobs) no jobs are taken from PanDA. "
        return bad(name, stop + found, room)
    if lasts is not None and lasts < SOON:
        return Check(name, Verdict.BAD if lasts < VERY_SOON else Verdict.WARN, found, room)
    return ok(name, found)


def lateness(
    counted: datetime | None,
    newest: Mapping[str, datetime],
    wanted: Collection[str],
    up: timedelta | None,
    now: datetime,
) -> Check:
    """Whether the stages go round: when each began last, and how old the counts of jobs are.

    `wanted`: the stages that have anything to do here; `up`: how long the tower is up, None: it is not.
    """
    if up is None:
        return skipped("stages", "no tower is up here, so that nothing goes round")
    if up < JUST_UP:
        return skipped("stages", f"the tower came up {span(up)} ago: look again in a few minutes")
    never = [name for name, stage in STAGES.items() if stage.every is None and name in wanted and name not in newest]
    allowed = {name: (stage.every or WINDOW) + 2 * WINDOW for name, stage in STAGES.items()}
    late = [
        f"{name} for {span(now - at)}"
        for name, at in newest.items()
        if name in wanted and now - at > allowed.get(name, 3 * WINDOW) and up > allowed.get(name, 3 * WINDOW)
    ]
    late += [f"{name} for {span(min(up, LOOKED_BACK))} or more" for name in never]
    do = "Look into log/worker.log and at the runs in Prefect's UI (`act status` tells where); `act down`, `act up`."
    if late:
        return bad("stages", f"these did not begin: {', '.join(late)}", do)
    if counted is None or now - counted > COUNTS_LATE:
        age = f"for {span(now - counted)}" if counted else "yet"
        return bad("stages", f"jobs were not counted {age}: sweep-status does not get through", do)
    return ok("stages", f"{len(newest)} stages go round; jobs were counted {span(now - counted)} ago")


def credential(name: str, ends: datetime | None, trouble: str | None, subject: str, now: datetime) -> Check:
    """One proxy or token that the tower shows to others."""
    label = f"credential {name}"
    do = "Renew it (`act credentials` tells who does), or name a good one in the configuration."
    if trouble is not None or ends is None:
        return bad(label, trouble or "it does not tell when it ends", do)
    if ends <= now:
        return bad(label, f"{subject}: it ended {span(now - ends)} ago, at {ends:%Y-%m-%d %H:%M} UTC", do)
    if ends - now < ENDS_SOON:
        return warn(label, f"{subject}: it ends in {span(ends - now)}", do)
    return ok(label, f"{subject}, good for {span(ends - now)}")


def worst(checks: Sequence[Check]) -> Verdict:
    found = {one.verdict for one in checks}
    return next((one for one in (Verdict.BAD, Verdict.WARN) if one in found), Verdict.OK)

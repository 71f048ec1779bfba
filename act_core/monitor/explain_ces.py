"""Why a CE is as it is, and why it takes no jobs: pure, from what the tables say of it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from act_core.db import brakes
from act_core.db.downtimes import FOREVER
from act_core.db.explaining import EVERYWHERE, Missing, Waiting
from act_core.db.filling import Stands
from act_core.db.models import Ce
from act_core.db.modes import BLACKHOLE, OPERATOR
from act_core.db.operator_modes import Words
from act_core.db.policy_models import BrakeRow, CredentialRow, DowntimeRow, Standing
from act_core.engine.fill import EXACT, Here, Share, here_of
from act_core.monitor.explain import Answer, Draft, Part
from act_core.monitor.explain_words import concerning, mode_do, part_of, who_of
from act_core.monitor.sentences import told
from act_core.monitor.times import moment, some, span
from act_core.reasons import Reason, Topic
from act_core.settings.model import NO_LIMIT
from act_core.states import ON_CE, CeState

MODES: Mapping[str, str] = {
    "rest": "takes no new jobs for a while",
    "stop": "takes no new jobs",
    "drain": "takes no new jobs, and what it has is brought home",
    "offline": "is not asked anything",
    "abandoned": "was given up",
}
SILENT = ("offline", "abandoned")
# What the tables of the CE itself, of brakes and of downtimes tell better than a line of the ledger.
_TOLD_ELSEWHERE = {Topic.MODE.value: "mode", Topic.BREAKER.value: "breaker", Topic.BRAKE.value: "brake"}
_OF_ITS_JOBS = (Topic.UNSEEN, Topic.IDENTITY, Topic.MOVED, Topic.BRAKE)
_SOME = (Reason.SHARE_FULL, Reason.PROXY_SHORT, Reason.DOWNTIME_AHEAD)  # other jobs are sent all the same
_SOON = timedelta(days=2)  # a downtime that is announced is of interest so long before
_QUIET = timedelta(minutes=15)  # a CE with jobs is heard of more often


@dataclass(frozen=True, slots=True)
class Look:
    """A CE as the tables have it. `row` None: it is in none."""

    name: str
    row: Ce | None
    back_ends: Collection[str]
    standing: tuple[Standing, ...] = ()
    brakes: tuple[BrakeRow, ...] = ()
    downtimes: tuple[DowntimeRow, ...] = ()
    longest_rest: timedelta = timedelta(minutes=15)
    stopped: bool = False  # downtime.stopsubmission
    jobs: tuple[tuple[str, CeState, int], ...] = ()
    waiting: tuple[Waiting, ...] = ()
    credential: CredentialRow | None = None
    shown: str = ""  # the file of the credential that the CE is shown
    stands: tuple[Stands, ...] = ()  # what counts against its limits
    missing: tuple[Missing, ...] = ()  # jobs that its good answers do not know
    words: Words = field(default_factory=Words)  # what operators want of the tower and of shares

    @property
    def living(self) -> int:
        return sum(n for _, state, n in self.jobs if state in ON_CE)


def obstacles(look: Look, now: datetime, share: str | None = None) -> list[Part]:
    """Why it takes no jobs (of this share); what holds it back only a little is not told."""
    return [part for part in parts(look, now, share) if part.stops]


def parts(look: Look, now: datetime, share: str | None = None) -> list[Part]:
    """All that is to be said of how it is. `share`: only lines of all shares and of this one."""
    row, name = look.row, look.name
    if row is None:
        do = f"Name it under sites in aCTConfigARC.yaml, or `act ces add` its address with --name {name}."
        return [Part(f"{name} is in no table: nobody names it.", "Nothing is sent there.", do, there=True)]
    found = [*_kind(look, row), *_mode(row, now), *_breaker(look, row, now)]
    if look.stopped:
        do = "Take downtime.stopsubmission out of aCTConfigARC.yaml."
        found.append(Part("Nothing is submitted anywhere: downtime.stopsubmission is on.", "", do))
    whom = {one.share for one in look.waiting} if share is None else {share}
    found += [part_of(one, now) for one in concerning(look.words, whom)]
    found += _missing(look, now)
    found += [_brake(one, now) for one in look.brakes if _holds(one, look, share)]
    found += [_downtime(one, row, now) for one in look.downtimes if one.start - now < _SOON]
    said = {"mode": row.mode != "on", "breaker": True, "brake": bool(look.brakes)}
    lines = [one for one in look.standing if not said.get(_TOLD_ELSEWHERE.get(one.topic, ""), False)]
    lines = [one for one in lines if not (look.stopped and one.code == Reason.NO_SUBMISSION) and _counts(one, look)]
    return found + [line_of(one, now, look) for one in lines if share is None or one.share in ("", share)]


def line_of(one: Standing, now: datetime, look: Look | None = None, job: str = "ID") -> Part:
    """A line of the ledger, in sentences; with the numbers of this moment, where the CE is known."""
    facts = {"ce": one.ce, "share": one.share, "n": one.n, "job_id": one.job_id, "job": job, **one.facts}
    fresh = _fresh(one, look) if look else {}
    tell = told(one.code, facts | fresh, now)
    if _room(fresh):
        return Part(tell.why, "There is room again: the next round of submit sends more.", "", one.since, stops=False)
    stops, there = one.topic in (Topic.SUBMIT, Topic.MODE), one.topic in _OF_ITS_JOBS
    n = next((known.n for known in look.waiting if known.share == one.share), one.n) if look else one.n
    whose = f"share {one.share}" if one.share else "no share" if one.topic == Topic.SUBMIT else ""
    held = f"{whose}, {some(n)}, since {moment(one.since, now)}" if whose and n else ""
    return Part(tell.why, tell.next, tell.do, one.since, held, stops, there, partly=one.code in _SOME)


def _fresh(one: Standing, look: Look) -> dict[str, Any]:
    """A line is written when its reason changes, and the numbers of its limit have moved on since then."""
    if one.topic != Topic.SUBMIT or look.row is None:
        return {}
    here = here_of(look.stands, one.facts.get("unit") == "slots")
    if one.code == Reason.FULL:
        return {"on_ce": here.jobs, "maxjobs": look.row.maxjobs}
    a, b = one.facts.get("a"), one.facts.get("b")
    if not (isinstance(a, int | float) and isinstance(b, int | float)):
        return {}
    of_share = here.shares.get(one.share, Share())
    whose: Here | Share = of_share if one.code == Reason.SHARE_FULL else here
    numbers = {"queued": whose.queued, "running": whose.running, "allowed": int(a * whose.running + b + EXACT)}
    return {**numbers, "unit": one.facts.get("unit")}


def _counts(one: Standing, look: Look) -> bool:
    """Whether a line can still be true: in another mode than `on` nobody looks who waits, and who has left is gone.

    What operators want is told from their own table.
    """
    if one.code in (Reason.TOWER_DRAIN, Reason.SHARE_MODE):
        return False
    if one.topic == Topic.SUBMIT:
        return look.row is not None and look.row.mode == "on"
    return one.topic not in (Topic.IDENTITY, Topic.MOVED) or bool(look.stands)


def _room(fresh: dict[str, Any]) -> bool:
    """Whether the limit does not hold any more; jobs of several slots may not fit all the same."""
    if "maxjobs" in fresh:
        return bool(fresh["on_ce"] < fresh["maxjobs"])
    return "allowed" in fresh and fresh.get("unit") != "slots" and bool(fresh["queued"] < fresh["allowed"])


def _missing(look: Look, now: datetime) -> Iterator[Part]:
    if not look.missing:
        return
    since = min(one.since for one in look.missing)
    why = f"{some(len(look.missing))} of ours are in none of its good answers since {moment(since, now)}."
    after = "They count as lost when that stays so for the CE's patience; too many at once stop at the brake."
    after = "" if loses(look) else after
    do = f"Ask the site whether it sees them: `act ticket {look.name}` names some."
    yield Part(why, after, do, since, stops=False)


def loses(look: Look) -> bool:
    """Whether a brake keeps missing jobs from being lost."""
    return any(one.kind == brakes.Kind.LOSE for one in look.brakes)


def _kind(look: Look, row: Ce) -> Iterator[Part]:
    if row.kind not in look.back_ends:
        do = "Mend its kind (`act ces list --kinds` tells which there are), or install the package that has it."
        yield Part(f"This program has no back end {row.kind!r}.", "Nothing is sent or asked there.", do, there=True)


def _mode(row: Ce, now: datetime) -> Iterator[Part]:
    if row.mode == "on":
        return
    why = f"{row.name} {MODES.get(row.mode, 'is not used')}: mode {row.mode}, set by {row.mode_owner or 'somebody'}"
    why += f" at {moment(row.mode_since, now)}" if row.mode_since else ""
    why += f" ({row.mode_reason})." if row.mode_reason else "."
    until = row.mode_until
    after = f"It goes on at {moment(until, now)}." if until else f"It stays so until {who_of(row)} changes it."
    if row.mode == "rest" and row.mode_owner == BLACKHOLE:
        probe = f"is sent at {moment(row.probe_at, now)}" if row.probe_at else "has been sent"
        after = f"One job {probe} to see whether it is well again; when that one ends well, the rest is over."
    yield Part(why, after, mode_do(row), row.mode_since or row.modified, there=row.mode in SILENT)


def _open(row: Ce, now: datetime) -> bool:
    return row.retry_at is not None and row.retry_at > now


def _breaker(look: Look, row: Ce, now: datetime) -> Iterator[Part]:
    if not row.failures or row.mode in SILENT:
        return
    errors = f"{some(row.failures, 'error')} in a row; the last one{_whose(row)}: {row.trouble or '…'}"
    do = f"`act ces test {row.name}` tells where it hurts; `act ticket {row.name}` writes to the site."
    if row.own_trouble:
        do = f"Mend it here: `act credentials`, `act config check` and `act ces test {row.name}` tell more."
    if _open(row, now):
        again = f"It is asked again at {moment(row.retry_at, now)} by itself"
        doubles = f"; each further error doubles the rest, to {span(look.longest_rest)} at most."
        again += "." if row.own_trouble else doubles
        once = f"`act sweep submit --ce {row.name}` asks at once."
        do = f"{do} Then {once}" if row.own_trouble else f"{once} {do}"
        yield Part(f"{row.name} rests after {errors}", again, do, row.last_seen, there=True)
    else:
        yield Part(f"{row.name} had {errors}", "It is asked again in the next round.", do, row.last_seen, stops=False)


def _whose(row: Ce) -> str:
    return " (on our side, not the CE's)" if row.own_trouble else ""


def _holds(one: BrakeRow, look: Look, share: str | None) -> bool:
    """Whether a brake concerns jobs of this share (None: of any that the CE has)."""
    ce, whose = brakes.place(one.scope)
    if ce:
        return True
    if share is not None:
        return whose == share
    return one.source == f"{brakes.CE}{look.name}" or whose in {known.share for known in look.stands}


def _brake(one: BrakeRow, now: datetime) -> Part:
    tell = told(f"brake-{one.kind}", brakes.line(one).facts, now)
    why = f"Brake {one.id} is on since {moment(one.since, now)}: {tell.why}"
    return Part(why, tell.next, tell.do, one.since, stops=False, there=True)


def _downtime(one: DowntimeRow, row: Ce, now: datetime) -> Part:
    reason = f" ({one.reason})" if one.reason else ""
    who = "The grid" if one.ce == EVERYWHERE else one.ce
    if one.start <= now:
        why = f"{who} has a downtime{reason}, announced by {one.origin}."
        if row.mode == "on" and row.mode_owner == OPERATOR:
            return Part(f"{why} An operator has jobs sent all the same.", stops=False)
        if one.end >= FOREVER:
            do = f"Take {one.ce} out of downtime.clusters in aCTConfigARC.yaml."
            return Part(why, "It lasts until it is no longer listed.", do)
        do = f"Wait, or `act ces on {row.name}` if the CE is well."
        return Part(why, f"It ends at {moment(one.end, now)}.", do, one.start)
    why = f"{who} has a downtime{reason} from {moment(one.start, now)} to {moment(one.end, now)}."
    after = "Until it begins only jobs are sent that end before it (downtime.fit)."
    return Part(why, after, "", stops=False)


def explain_ce(look: Look, now: datetime) -> Answer:
    """Why a CE is as it is."""
    draft, found, row = Draft(), parts(look, now), look.row
    if row is None:
        draft.add(found)
        return draft.answer(f"CE {look.name}", None)
    stops = [one for one in found if one.stops]
    whole = [one for one in stops if not one.partly]
    draft.say(why=f"{row.name} takes new jobs{', but not all that wait' if stops else ''}." if not whole else "")
    draft.add(replace(one, why=f"{one.held}: {one.why}" if one.held else one.why) for one in found)
    draft.say(why=_answers(row, look, now))
    draft.say(why=_load(look, row))
    draft.say(why=_credential(look, now))
    for one in look.waiting:
        oldest = moment(one.oldest, now)
        share = f"share {one.share}" if one.share else "no share"
        draft.say(why=f"Waiting, and could go there: {some(one.n)} of {share}; the oldest since {oldest}.")
    if not stops:
        draft.say(next="Waiting jobs are sent in each round of submit, up to maxjobs and what its queue may hold.")
    if not found and look.living and row.last_seen and now - row.last_seen > _QUIET:
        draft.say(do="It was not asked for long: see whether the tower is up, `act status`.")
    if not any("act ces test" in one.do for one in found) and (found or not row.last_seen):
        draft.say(do=f"`act ces test {row.name}` tries it from here.")
    since = min((one.since for one in found if one.since), default=None if found else row.last_seen or row.modified)
    where = f"{row.kind}, {row.endpoint or 'no endpoint'}"
    return draft.answer(f"CE {row.name} ({where}): mode {row.mode}, {_health(row, stops, look)}", since)


def _health(row: Ce, stops: Collection[Part], look: Look) -> str:
    if stops:
        return "takes some jobs only" if all(one.partly for one in stops) else "takes no new jobs"
    if look.missing or any(_holds(one, look, None) for one in look.brakes):
        return "troubled"
    return "troubled" if row.failures else "well" if row.last_seen else "never heard of"


def _answers(row: Ce, look: Look, now: datetime) -> str:
    if row.last_seen is None:
        return "It has never answered." if look.living or row.failures else "It was never asked: no job has gone there."
    return f"Its last good answer came at {moment(row.last_seen, now)}."


def _load(look: Look, row: Ce) -> str:
    counts: dict[str, int] = {}
    for _, state, n in look.jobs:
        counts[state.value] = counts.get(state.value, 0) + n
    words = ", ".join(f"{n} {state}" for state, n in sorted(counts.items())) or "none"
    most = f"of at most {row.maxjobs} jobs" if row.maxjobs < NO_LIMIT else "jobs, and no maxjobs"
    return f"It has {look.living} {most} (all attempts in the tables: {words})."


def _credential(look: Look, now: datetime) -> str:
    held = look.credential
    if not look.shown:
        return ""
    if held is None:
        return f"It is shown {look.shown}, of which the tables know nothing yet (`act sweep renew-credentials`)."
    end = f"good until {moment(held.expires, now)}" if held.expires > now else f"expired at {moment(held.expires, now)}"
    trouble = f"; its renewal: {held.trouble}" if held.trouble else ""
    return f"It is shown {held.subject} ({look.shown}), {end}{trouble}."

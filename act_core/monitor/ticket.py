"""A text for a site, ready to be pasted: what is wrong there as seen from here. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from act_core.db.explaining import Ended
from act_core.monitor.redact import Hidden
from act_core.monitor.times import UNKNOWN, at, moment, some

IDS, ERRORS = 5, 5
_VARIES = re.compile(r"[0-9a-fA-F]{6,}|\d+")


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job as the site knows it."""

    remote_id: str
    state: str
    at: datetime
    said: str = ""  # the CE's own word


@dataclass(frozen=True, slots=True)
class Neighbour:
    name: str
    health: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the tables say. Texts are as they came: nothing is redacted yet."""

    ce: str
    endpoint: str
    kind: str
    health: str
    trouble: str | None
    job: JobLine | None  # the one that was asked for
    ended: tuple[Ended, ...]  # badly, the newest first
    limit: int  # of `ended`
    well: int  # attempts that ended well in the same time
    window: str
    last_good_end: datetime | None
    last_answer: datetime | None
    neighbours: tuple[Neighbour, ...]
    identity: str
    until: datetime | None  # the identity's end
    ours: str
    theirs: str
    own_trouble: str = ""  # why the CE could not even be asked
    missing: tuple[JobLine, ...] = ()  # jobs that should be there and that its good answers do not know


@dataclass(frozen=True, slots=True)
class Ticket:
    """The same, redacted."""

    subject: str
    ce: str
    since: datetime | None
    how_many: str
    jobs: tuple[JobLine, ...]
    errors: tuple[tuple[int, str], ...]  # how often, and the newest wording
    last_good_end: datetime | None
    last_answer: datetime | None
    neighbours: tuple[Neighbour, ...]
    identity: str
    versions: str
    own_trouble: str = ""  # not for the site: what to mend here first

    def for_programs(self) -> dict[str, Any]:
        told = {key: at(value) if isinstance(value, datetime) else value for key, value in asdict(self).items()}
        jobs = [asdict(one) | {"at": at(one.at)} for one in self.jobs]
        return told | {"jobs": jobs, "errors": [{"n": n, "text": text} for n, text in self.errors]}

    def lines(self, now: datetime) -> Iterator[str]:
        yield f"Subject: {self.subject}\n"
        yield f"CE            {self.ce}"
        yield f"since         {moment(self.since, now) if self.since else 'not known'}"
        yield f"how many      {self.how_many}"
        yield f"last success  {moment(self.last_good_end, now) if self.last_good_end else 'none that we know of'}"
        yield f"last answer   {moment(self.last_answer, now) if self.last_answer else 'none that we know of'}"
        yield from _part("jobs (your ids)", [_job(one, now) for one in self.jobs])
        yield from _part("the CE's words", [f"{n} x  {text}" for n, text in self.errors])
        yield from _part("elsewhere", [f"{one.name}: {one.health}" for one in self.neighbours])
        yield f"\nour identity  {self.identity}"
        yield f"versions      {self.versions}"
        yield "All times are UTC."


def _part(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"\n{title}"
        yield from (f"  {line}" for line in lines)


def _job(one: JobLine, now: datetime) -> str:
    return f"{one.remote_id}  {one.state}{f' ({one.said})' if one.said else ''}, {moment(one.at, now)}"


def ticket(facts: Facts, hidden: Hidden, now: datetime) -> Ticket:
    """What a site needs to look for it, and nothing that is not its business."""
    since = began(facts)
    lines = [facts.job, *facts.missing] if facts.job else list(facts.missing)
    lines += [JobLine(one.remote_id, one.state.value, one.at) for one in facts.ended if one.remote_id]
    jobs = list({one.remote_id: one for one in reversed(lines)}.values())[::-1]
    if facts.job:
        jobs.sort(key=lambda one: one is not facts.job)
    until = f", good until {moment(facts.until, now)}" if facts.until else ""
    what = f"job {facts.job.remote_id} at {facts.ce}" if facts.job else f"jobs of ours at {facts.ce}"
    return Ticket(
        subject=hidden.taken_from(f"{what}: {facts.health}"),
        ce=hidden.taken_from(f"{facts.ce} ({facts.kind}, {facts.endpoint or UNKNOWN})"),
        since=since,
        how_many=_numbers(facts, since),
        jobs=tuple(jobs[:IDS]),
        errors=tuple((n, hidden.taken_from(text)) for n, text in _errors(facts)),
        last_good_end=facts.last_good_end,
        last_answer=facts.last_answer,
        neighbours=tuple(facts.neighbours),
        identity=f"{facts.identity or 'none'}{until}",
        versions=f"ours: {facts.ours}; the CE's: {facts.theirs or 'it does not say'}",
        own_trouble=facts.own_trouble,
    )


def began(facts: Facts) -> datetime | None:
    """When it began: the first bad end after the last good one; without any, the last good answer."""
    good = facts.last_good_end
    if facts.missing:
        return min(one.at for one in facts.missing)
    bad = [one.at for one in facts.ended if good is None or one.at > good]
    if bad:
        return min(bad)
    if facts.trouble:
        return facts.last_answer
    return facts.job.at if facts.job else None


def _numbers(facts: Facts, since: datetime | None) -> str:
    new = [one for one in facts.ended if since is None or one.at >= since]
    most = "at least " if len(facts.ended) >= facts.limit else ""
    by_state: dict[str, int] = {}
    for one in facts.ended:
        by_state[one.state.value] = by_state.get(one.state.value, 0) + 1
    states = ", ".join(f"{n} {state}" for state, n in sorted(by_state.items())) or "none"
    words = f"{most}{some(len(facts.ended))} came to a bad end in the last {facts.window} ({states})"
    latest = f", {len(new)} of them since then" if facts.ended and since else ""
    gone = f"{some(len(facts.missing))} of ours not known to the CE any more; " if facts.missing else ""
    return f"{gone}{words}{latest}; {facts.well} ended well"


def _errors(facts: Facts) -> list[tuple[int, str]]:
    """Distinct errors, the most frequent first; numbers and ids in them make no difference."""
    newest: dict[str, str] = {}
    count: dict[str, int] = {}
    texts = [_text(one) for one in facts.ended]
    for text in ([facts.trouble] if facts.trouble else []) + texts:
        shape = _VARIES.sub("#", text)
        newest.setdefault(shape, text)
        count[shape] = count.get(shape, 0) + 1
    best = sorted(count, key=lambda shape: -count[shape])
    return [(count[shape], newest[shape]) for shape in best[:ERRORS]]


def _text(one: Ended) -> str:
    if one.error:
        return one.error
    return f"no words, exit code {one.exit_code}" if one.exit_code is not None else f"no words ({one.state})"

"""Questions about what waits for a CE: a line for each share and placement. Each goes through an index."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    ScalarSelect,
    Select,
    String,
    and_,
    bindparam,
    case,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from act_core.db import fences
from act_core.db.bulk import chunks
from act_core.db.models import CeJob, PlacementCe
from act_core.db.types import BigId, Moment, UtcDateTime
from act_core.states import CeState

_TOSUBMIT = CeState.TOSUBMIT.value
_WAITING = (CeJob.id, CeJob.share, CeJob.priority, CeJob.cores_asked, CeJob.walltime_s, CeJob.submit_before)
_TOGETHER = 200  # lines of one statement; SQLite takes 500 at most
_CE: Any = bindparam("ce", type_=String())
_NOW, _LONG_AGO = (bindparam(name, type_=UtcDateTime()) for name in ("now", "long_ago"))
_PLACES = select(PlacementCe.placement_id).where(PlacementCe.ce == _CE)
_NEVER = 2**31 - 1  # the wall time of who does not say
_HIGH = aliased(CeJob)
Which = Callable[[Any], ColumnElement[bool]]  # a condition on (an alias of) the table of attempts


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that may be sent, as far as the choice needs to know it."""

    id: int
    share: str
    priority: int
    cores: int
    walltime: timedelta | None
    submit_before: datetime | None


@dataclass(frozen=True, slots=True)
class Gate:
    """Which jobs may pass, mostly by their wall time. None: all.

    `fits`: the longest that ends in time; who does not say its own does not. `copies`: the longest that a proxy copied
    to a worker node outlives; only jobs with such a copy are asked. `again`: only jobs that were tried before.
    """

    fits: timedelta | None = None
    copies: timedelta | None = None
    again: bool = False

    def passed(self, job: Any) -> ColumnElement[bool]:
        return and_(true(), *self._conditions(job))

    def shut(self, job: Any) -> ColumnElement[bool]:
        """The others."""
        return or_(false(), *(not_(one) for one in self._conditions(job)))

    def _conditions(self, job: Any) -> Iterator[ColumnElement[bool]]:
        if self.fits is not None:
            yield func.coalesce(job.walltime_s, _NEVER) <= int(self.fits.total_seconds())
        if self.copies is not None:
            lasts = func.coalesce(job.walltime_s, 0) <= int(self.copies.total_seconds())
            yield or_(job.proxy_copy == false(), lasts)
        if self.again:
            yield job.attempt > 1


OPEN = Gate()


def waiting(
    session: Session,
    ce: str,
    now: datetime,
    limit: int,
    spread: timedelta,
    which: Which = OPEN.passed,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
) -> list[Waiting]:
    """Jobs that may go to this CE: of each share (of `only` these, never of `without`) at most `limit`, by priority,
    then by age.

    Of a job with several candidates each CE takes its own part first, and the others' after `spread`: so candidates
    share the work, and do not race for it. The first of each share are one short statement, however many shares wait;
    more than that is written out for each line.
    """
    if limit == 1:
        asked = [None] if only is None else chunks(only)
        heads = (_heads(session, ce, now, spread, which, some, without) for some in asked)
        ids = [one for question in heads for one in session.scalars(question) if one]
        questions = (select(*_WAITING).where(CeJob.id.in_(some)) for some in chunks(ids))
        rows = [row for question in questions for row in session.execute(question)]
    else:
        parts = {row.placement_id: (row.n, row.mine) for row in session.execute(_parts(ce))}
        lines = [
            _line(CeJob, place, share, *parts[place], now, now - spread, which)
            for place, share in _lines(session, ce)
            if share not in without and (only is None or share in only)
        ]
        rows = [row for some in chunks(lines, _TOGETHER) for row in _first(session, some, limit)]
    rows.sort(key=lambda row: (-row.priority, row.id))
    left = Counter({row.share: limit for row in rows})
    return [_waiting(row) for row in rows if _takes(left, row.share)]


def any_waits(session: Session, ce: str, now: datetime, spread: timedelta) -> bool:
    """Whether there is a job that may go to this CE now."""
    connection, told = session.connection(), {"ce": ce, "now": now, "long_ago": now - spread}
    if not (sqlite := connection.dialect.name == "sqlite"):
        told["places"] = list(connection.scalars(_PLACES, {"ce": ce}))
    return connection.execute(_any_waits(sqlite), told).first() is not None


@cache
def _any_waits(sqlite: bool) -> Select[Any]:
    """Asked by each round: it is put together once."""
    found = _one_by_one(_PLACES) if sqlite else _jumps(bindparam("places", type_=BigId, expanding=True))
    lines = found.subquery("waits")
    parts = _parts(_CE).subquery("parts")
    line = _line(CeJob, lines.c.placement_id, lines.c.share, parts.c.n, parts.c.mine, _NOW, _LONG_AGO, OPEN.passed)
    question = select(literal(1)).select_from(lines.join(parts, lines.c.placement_id == parts.c.placement_id))
    return question.where(exists().where(line).correlate(lines, parts)).limit(1)


def _takes(left: Counter[str], share: str) -> bool:
    left[share] -= 1
    return left[share] >= 0


def _waiting(row: Row[Any]) -> Waiting:
    walltime = None if row.walltime_s is None else timedelta(seconds=row.walltime_s)
    return Waiting(row.id, row.share, row.priority, row.cores_asked, walltime, row.submit_before)


def _line(
    job: Any, place: Any, share: Any, n: Any, mine: Any, now: Moment, long_ago: Moment, which: Which
) -> ColumnElement[bool]:
    """The jobs of a share that wait at a placement and may go now; of `n` candidates this CE's part is `mine`."""
    return and_(
        job.state == _TOSUBMIT,
        job.placement_id == place,
        job.share == share,
        or_(job.due_at.is_(None), job.due_at <= now),
        job.request.is_(None),
        fences.vouched(job, now),
        fences.passed(job, now),
        or_(job.id % n == mine, job.state_since <= long_ago),
        which(job),
    )


def _heads(
    session: Session,
    ce: str,
    now: datetime,
    spread: timedelta,
    which: Which,
    only: Collection[str] | None,
    without: Collection[str],
) -> Select[tuple[int | None]]:
    """The id of the first job of each line: its highest priority, then the oldest that has it, as in `_first`."""
    lines, parts = _all_lines(session, ce).subquery("waits"), _parts(ce).subquery("parts")
    line = (lines.c.placement_id, lines.c.share, parts.c.n, parts.c.mine, now, now - spread, which)
    top = select(_HIGH.priority).where(_line(_HIGH, *line)).order_by(_HIGH.priority.desc()).limit(1)
    top_priority = top.correlate(lines, parts).scalar_subquery()
    first = select(CeJob.id).where(_line(CeJob, *line), CeJob.priority == top_priority).order_by(CeJob.id).limit(1)
    found = select(first.correlate(lines, parts).scalar_subquery())
    found = found.select_from(lines.join(parts, lines.c.placement_id == parts.c.placement_id))
    found = found.where(lines.c.share.not_in(without)) if without else found
    return found if only is None else found.where(lines.c.share.in_(only))


def _parts(ce: Any) -> Select[Any]:
    """How many candidates each of this CE's placements has, and the how manieth it is, from 0."""
    mine = select(PlacementCe.placement_id).where(PlacementCe.ce == ce)
    before = func.count(case((PlacementCe.ce < ce, 1))).label("mine")
    question = select(PlacementCe.placement_id, func.count().label("n"), before)
    return question.where(PlacementCe.placement_id.in_(mine)).group_by(PlacementCe.placement_id)


def _first(session: Session, lines: Sequence[ColumnElement[bool]], limit: int) -> list[Row[Any]]:
    """The first `limit` jobs of each line, by priority, then by age; more of a line that grows meanwhile.

    An index is read in one direction, and here priority falls while the age rises. So we read the youngest first, and
    where there are more of the last priority read that one again; else each claim would read and sort all that waits.
    """
    found = _each(session, [_some(line, limit, CeJob.priority.desc(), CeJob.id.desc()) for line in lines])
    again = {n: rows[-1].priority for n, rows in enumerate(found) if len(rows) == limit}
    oldest = _each(session, [_some(and_(lines[n], CeJob.priority == top), limit, CeJob.id) for n, top in again.items()])
    for n, rows in zip(again, oldest, strict=True):
        found[n] = [row for row in found[n] if row.priority > again[n]] + rows
    return [row for rows in found for row in rows]


def _some(which: ColumnElement[bool], limit: int, *order: Any) -> Select[Any]:
    return select(*_WAITING).where(which).order_by(*order).limit(limit)


def _each(session: Session, questions: Sequence[Select[Any]]) -> list[list[Row[Any]]]:
    """The rows of each question, in its order, in one statement."""
    found: list[list[Row[Any]]] = [[] for _ in questions]
    if not questions:
        return found
    parts = [select(literal(n).label("n"), part.subquery()) for n, part in enumerate(questions)]
    for row in session.execute(union_all(*parts)):
        found[row.n].append(row)
    for rows in found:
        rows.sort(key=lambda row: (-row.priority, row.id))
    return found


def _lines(session: Session, ce: str) -> list[tuple[int, str]]:
    return [(row.placement_id, row.share) for row in session.execute(_all_lines(session, ce))]


def _all_lines(session: Session, ce: str) -> Select[Any]:
    """The shares that wait for a CE, by placement: a look into the index for each, however long its line is."""
    mine = select(PlacementCe.placement_id).where(PlacementCe.ce == ce)
    if session.get_bind().dialect.name == "sqlite":
        return _one_by_one(mine)
    return _jumps(list(session.scalars(mine)))


def _jumps(places: Any) -> Select[Any]:
    """MariaDB jumps from group to group where these are a whole beginning of the index."""
    columns = (CeJob.state, CeJob.placement_id, CeJob.share)
    return select(*columns).where(CeJob.state == _TOSUBMIT, CeJob.placement_id.in_(places)).group_by(*columns)


def _one_by_one(mine: Select[tuple[int]]) -> Select[Any]:
    """SQLite would read all that waits to tell what is distinct: it is asked for each next share."""
    places = mine.subquery()
    first = select(places.c.placement_id, _share_after(places.c.placement_id).label("share"))
    lines = first.cte("lines", recursive=True)
    more = select(lines.c.placement_id, _share_after(lines.c.placement_id, CeJob.share > lines.c.share))
    lines = lines.union_all(more.where(lines.c.share.is_not(None)))
    return select(lines.c.placement_id, lines.c.share).where(lines.c.share.is_not(None))


def _share_after(place: ColumnElement[int], *after: ColumnElement[bool]) -> ScalarSelect[str]:
    where = (CeJob.state == _TOSUBMIT, CeJob.placement_id == place, *after)
    return select(CeJob.share).where(*where).order_by(CeJob.share).limit(1).scalar_subquery()


def shares(session: Session, ce: str) -> list[str]:
    """The shares that wait for this CE, due or not."""
    return sorted({share for _, share in _lines(session, ce)})


def waits_for(session: Session, ce: str) -> dict[str, int]:
    """How many jobs of each share wait for this CE (or for another one of its candidates)."""
    candidates = _candidates(session, ce)
    if not candidates:
        return {}
    question = select(CeJob.share, func.count()).where(CeJob.state == _TOSUBMIT, CeJob.placement_id.in_(candidates))
    return {share: n for share, n in session.execute(question.group_by(CeJob.share))}


def sole_shares(session: Session, ce: str, others: Collection[str]) -> list[str]:
    """Shares whose waiting jobs could go nowhere without this CE, `others` being the CEs that take jobs."""
    candidates = _candidates(session, ce)
    alone = {place for place, names in candidates.items() if not set(names) & (set(others) - {ce})}
    return sorted({share for place, share in _lines(session, ce) if place in alone})


def _candidates(session: Session, ce: str) -> dict[int, list[str]]:
    """The sets of candidates that this CE belongs to, by placement."""
    mine = select(PlacementCe.placement_id).where(PlacementCe.ce == ce)
    found: dict[int, list[str]] = {}
    for place, name in session.execute(
        select(PlacementCe.placement_id, PlacementCe.ce)
        .where(PlacementCe.placement_id.in_(mine))
        .order_by(PlacementCe.ce)
    ):
        found.setdefault(place, []).append(name)
    return found

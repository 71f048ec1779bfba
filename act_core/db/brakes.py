"""The table of brakes: what a source of answers has struck, and what was stopped."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from act_core.db import ledger
from act_core.db.ledger import Line
from act_core.db.models import CeJob, Tower
from act_core.db.policy_models import BrakeRow, MassAction
from act_core.db.weighing import CE, MARKED, ON_CE_WORDS, QUEUE, Kind, Numbers, Weighed, numbers, queue_numbers
from act_core.reasons import Reason, Topic

__all__ = [
    "CE",
    "CODES",
    "MARKED",
    "QUEUE",
    "Kind",
    "Numbers",
    "Weighed",
    "agreed",
    "alone",
    "end",
    "engage",
    "forget",
    "line",
    "marked",
    "numbers",
    "on",
    "passed",
    "place",
    "queue_numbers",
    "recently",
    "release",
    "strike",
    "struck_since",
    "whom",
]
_SAID_EVERY = timedelta(minutes=1)  # `seen_at` of a brake that holds is written no more often
CODES: Mapping[Kind, Reason] = {kind: Reason(f"brake-{kind}") for kind in Kind}


def strike(session: Session, struck: Mapping[str, int], kind: Kind, source: str, now: datetime) -> None:
    """Remember what a source has struck, by scope."""
    rows = [
        {"scope": scope, "kind": kind.value, "source": source, "at": now, "n": n} for scope, n in struck.items() if n
    ]
    if rows:
        session.execute(insert(MassAction), rows)


def passed(session: Session, brake: int, n: int) -> None:
    """A release has let so many through."""
    session.execute(update(BrakeRow).where(BrakeRow.id == brake).values(passed=BrakeRow.passed + n))


def alone(session: Session) -> None:
    """Who weighs goes first: of two who weigh at once, each would find little."""
    session.execute(select(Tower.id).with_for_update())


def engage(
    session: Session,
    weighed: Weighed,
    quiet: timedelta,
    now: datetime,
    facts: Mapping[str, Any],
    period: timedelta | None = None,
) -> int | None:
    """The brake holds; returns its id if it has gone on just now. `quiet`: it ends when so long nobody speaks of many.

    One row a scope, kind and source, however many ask at once. `period`: the source speaks of some jobs at a time, and
    of all within so long; None: of all at once.
    """
    alone(session)
    row = session.scalars(
        select(BrakeRow)
        .where(BrakeRow.scope == weighed.scope, BrakeRow.kind == weighed.kind.value)
        .where(BrakeRow.source == weighed.source, BrakeRow.released_at.is_(None))
        .limit(1)
    ).one_or_none()
    if row is not None:
        _say(row, weighed, now, period)
        return None
    row = _begun(weighed, quiet, now, facts, period)
    session.add(row)
    session.flush()
    ledger.note(session, [line(row)], now)
    return row.id


def _begun(
    weighed: Weighed, quiet: timedelta, now: datetime, facts: Mapping[str, Any], period: timedelta | None
) -> BrakeRow:
    known = {"limit": weighed.limit, "quiet_s": quiet.total_seconds()} | dict(facts)
    if period is not None:
        known |= {"said": weighed.n, "began": now.isoformat()}
    return BrakeRow(
        scope=weighed.scope,
        kind=weighed.kind.value,
        source=weighed.source,
        n=weighed.n,
        living=weighed.living,
        since=now,
        seen_at=now,
        passed=0,
        facts=known,
    )


def _say(row: BrakeRow, weighed: Weighed, now: datetime, period: timedelta | None) -> None:
    """It is said again. Few are held as long as the brake is on, and do not keep it on: some always end so."""
    if period is not None:
        said = _said(row, weighed.n, now, period)
        row.n = max(row.n, min(said, weighed.living))
        many = said > weighed.limit
    else:
        many = weighed.n > weighed.limit or Kind(row.kind) in MARKED
    if many and now - row.seen_at >= _SAID_EVERY:
        row.seen_at, row.living = now, weighed.living
        row.n = weighed.n if period is None else row.n


def _said(row: BrakeRow, n: int, now: datetime, period: timedelta) -> int:
    """Of how many was spoken in this period."""
    said: int = row.facts.get("said", 0) + n
    began: str = row.facts.get("began", now.isoformat())
    if now - datetime.fromisoformat(began) >= period:
        said, began = n, now.isoformat()
    row.facts = row.facts | {"said": said, "began": began}
    return said


def place(scope: str) -> tuple[str, str]:
    """The CE and the share of a scope; one of them is empty."""
    return (scope.removeprefix(CE), "") if scope.startswith(CE) else ("", scope.removeprefix(QUEUE))


def whom(name: str) -> str:
    """A CE's, queue's or server's name as people read it."""
    return name.partition(":")[2] or "no share"


def line(row: BrakeRow) -> Line:
    """What the ledger says of it."""
    ce, share = place(row.scope)
    facts = {
        "ce": ce,
        "share": share,
        "id": row.id,
        "kind": row.kind,
        "whom": whom(row.scope),
        "source": "PanDA" if row.source.startswith("panda:") else whom(row.source),
        "n": row.n,
        "living": row.living,
        "limit": row.facts.get("limit"),
    }
    return Line(Topic.BRAKE, CODES[Kind(row.kind)], ce, share, n=row.n, facts=facts)


def on(session: Session, scopes: Collection[str] = ()) -> list[BrakeRow]:
    """Brakes that hold (of these scopes), the oldest first."""
    question = select(BrakeRow).where(BrakeRow.released_at.is_(None))
    if scopes:
        question = question.where(BrakeRow.scope.in_(list(scopes)))
    return list(session.scalars(question.order_by(BrakeRow.id)))


def recently(session: Session, limit: int) -> list[BrakeRow]:
    """The newest brakes, those that are over too."""
    return list(session.scalars(select(BrakeRow).order_by(BrakeRow.id.desc()).limit(limit)))


def marked(session: Session, row: BrakeRow) -> tuple[int, int]:
    """(rows that the kind would strike now, living ones) of a CE, or of a share at the CE that is the source."""
    ce, share = place(row.scope)
    where = [CeJob.ce == (ce or row.source.removeprefix(CE)), CeJob.state.in_(ON_CE_WORDS)]
    if share or not ce:
        where.append(CeJob.share == share)
    struck = and_(CeJob.absent_since.is_not(None), CeJob.state.in_(MARKED.get(Kind(row.kind), ())))
    found = session.execute(select(func.count(), func.sum(case((struck, 1), else_=0))).where(*where)).one()
    return int(found[1] or 0), found[0]


def struck_since(session: Session, row: BrakeRow, since: datetime) -> int:
    question = select(func.coalesce(func.sum(MassAction.n), 0)).where(
        MassAction.scope == row.scope, MassAction.kind == row.kind, MassAction.at > since
    )
    return int(session.execute(question.where(MassAction.source == row.source)).scalar_one())


def agreed(session: Session, brake: int, first: datetime | None) -> None:
    """A second source said the same for the first time then; None: it says otherwise."""
    session.execute(update(BrakeRow).where(BrakeRow.id == brake).values(agreed_at=first))


def release(
    session: Session, brake: int, by: str, until: datetime, now: datetime, reason: str = "", n: int | None = None
) -> bool:
    """Let as many jobs through as it holds (`n`: as many as that), until then. False: no such brake holds."""
    row = session.scalars(select(BrakeRow).where(BrakeRow.id == brake).with_for_update()).one_or_none()
    if row is None or row.released_at is not None:
        return False
    row.released_at, row.released_by, row.released_until = now, by[:64], until
    row.n = max(row.n, n or 0)
    row.facts = row.facts | {"reason": reason[:255]}
    session.flush()
    _tell_end(session, row, now)
    return True


def end(session: Session, brake: int, why: str, now: datetime) -> bool:
    """Its cause is gone: nothing is let through."""
    return release(session, brake, "itself", now, now, why)


def _tell_end(session: Session, row: BrakeRow, now: datetime) -> None:
    """Another brake of the same CE or share may hold still."""
    ce, share = place(row.scope)
    others = on(session, [row.scope])
    ledger.note(session, [line(others[-1]) if others else Line(Topic.BRAKE, None, ce, share)], now)


def forget(session: Session, before: datetime) -> None:
    """Old counts, and brakes that are long over."""
    session.execute(delete(MassAction).where(MassAction.at < before).execution_options(synchronize_session=False))
    long_over = and_(BrakeRow.released_at < before - timedelta(days=30), or_(BrakeRow.released_until < before))
    session.execute(delete(BrakeRow).where(long_over).execution_options(synchronize_session=False))

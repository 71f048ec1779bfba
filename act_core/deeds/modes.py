"""Modes of CEs, PanDA queues, shares and the tower, as an operator sets them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

from sqlalchemy import select, union
from sqlalchemy.orm import Session

from act_core.db import audit, downtimes, modes, operator_modes, queries
from act_core.db import ces as ce_rows
from act_core.db.audit import Actor
from act_core.db.models import Ce, CeJob, JobCount
from act_core.db.modes import OPERATOR, Mode, Wanted
from act_core.db.operator_modes import Kind, Word
from act_core.db.panda_models import PandaQueue
from act_core.db.policy_models import OperatorMode
from act_core.errors import BadInput

ALL = "all"
NEAR, SOME = 3, 5  # names that are told where one is not known


@dataclass(frozen=True, slots=True)
class Asked:
    """A mode with what is said of it; `until`: it ends by itself."""

    mode: Mode
    reason: str = ""
    until: datetime | None = None

    def facts(self, names: Sequence[str]) -> dict[str, Any]:
        until = {"until": self.until.isoformat()} if self.until else {}
        return {"mode": self.mode.value, "reason": self.reason, "names": list(names)} | until


def named(asked: Sequence[str], known: Collection[str], what: str = "CE") -> list[str]:
    """The names that are meant, `all` being every one. Raises BadInput for one that nobody knows, with the nearest."""
    every = sorted(known)
    if list(asked) == [ALL]:
        return every
    for name in asked:
        if name not in known:
            raise BadInput(f"no {what} {name!r}; {_there(name, every)}")
    return list(dict.fromkeys(asked))


def _there(name: str, every: Sequence[str]) -> str:
    if near := get_close_matches(name, every, n=NEAR):
        return f"the nearest: {', '.join(near)}"
    return f"there are {', '.join(every[:SOME]) or 'none'}{', …' if len(every) > SOME else ''}"


def set_ce_mode(session: Session, actor: Actor, names: Sequence[str], asked: Asked, now: datetime) -> list[Ce]:
    """Set the mode of these CEs (or of `all`); returns their rows as they then stand. A CE is abandoned elsewhere."""
    if asked.mode is Mode.ABANDONED:
        raise BadInput("a CE is given up with `act ces abandon NAME`, which tells first what that costs")
    chosen = named(names, [row.name for row in ce_rows.all_ces(session)])
    for name in chosen:
        put_ce_mode(session, name, asked, now)
    audit.note(session, actor, f"ces.{asked.mode}", _subject(names, chosen), True, asked.facts(chosen), now)
    session.flush()
    return [row for row in ce_rows.all_ces(session) if row.name in set(chosen)]


def put_ce_mode(session: Session, ce: str, asked: Asked, now: datetime) -> None:
    """An operator's word; `on` during a downtime stands until its end at least."""
    if asked.mode is not Mode.ON:
        modes.set_mode(session, ce, Wanted(asked.mode, OPERATOR, asked.reason, asked.until), now)
        return
    row, until = queries.ce_row(session, ce), asked.until
    held = row and downtimes.under_way(downtimes.of(downtimes.coming(session, now), row), now)
    modes.back_on(session, ce, asked.reason, until or (held.end if held else None), now)


def set_share_mode(
    session: Session, actor: Actor, names: Sequence[str], asked: Asked, now: datetime, weighted: Collection[str] = ()
) -> dict[str, Word | None]:
    """Set the mode of these shares (or of `all`); returns what holds of each, None: it is on.

    A share is known that has jobs, that is a served PanDA queue, that has a mode, or that is `weighted` (fill.shares).
    """
    chosen = _allowed(Kind.SHARE, names, {*known_shares(session), *weighted}, asked.mode)
    for name in chosen:
        operator_modes.put(session, Kind.SHARE, name, _wanted(actor, asked), now)
    audit.note(session, actor, f"shares.{asked.mode}", _subject(names, chosen), True, asked.facts(chosen), now)
    held = operator_modes.standing(session, now).shares
    return {name: held.get(name) for name in chosen}


def known_shares(session: Session) -> list[str]:
    """Shares with jobs, by the counts and by what waits; and those that have a mode."""
    waits = select(CeJob.share).where(CeJob.state == "tosubmit")
    held = select(OperatorMode.name).where(OperatorMode.kind == Kind.SHARE.value)
    question = union(select(JobCount.share), waits, held, select(PandaQueue.name).where(PandaQueue.served.is_(True)))
    return sorted(name for name in session.scalars(question) if name)


def queues_named(session: Session, name: str) -> list[str]:
    """The PanDA servers that have a queue of this name."""
    question = select(PandaQueue.server).where(PandaQueue.name == name).order_by(PandaQueue.server)
    return list(session.scalars(question))


def queues_known_by_name(session: Session) -> list[str]:
    """The names of PanDA queues of whatever server."""
    return list(session.scalars(select(PandaQueue.name).distinct()))


def queues_known(session: Session, servers: Sequence[str]) -> list[str]:
    """The names of the PanDA queues of these servers."""
    return list(session.scalars(select(PandaQueue.name).where(PandaQueue.server.in_(servers)).distinct()))


def set_queue_mode(
    session: Session, actor: Actor, server: str, names: Sequence[str], asked: Asked, now: datetime
) -> dict[str, Word | None]:
    """Set the mode of these PanDA queues of a server (`all`: of those that are served); what holds of each."""
    rows = session.execute(select(PandaQueue.name, PandaQueue.served).where(PandaQueue.server == server)).all()
    known = {name for name, served in rows if served} if list(names) == [ALL] else {name for name, _ in rows}
    chosen = _allowed(Kind.QUEUE, names, known | _held_queues(session, server), asked.mode)
    for name in chosen:
        operator_modes.put(session, Kind.QUEUE, name, _wanted(actor, asked), now, server)
    facts = asked.facts(chosen) | {"server": server}
    audit.note(session, actor, f"queues.{asked.mode}", _subject(names, chosen), True, facts, now)
    held = operator_modes.standing(session, now).queues
    return {name: held.get((server, name)) for name in chosen}


def _held_queues(session: Session, server: str) -> set[str]:
    mine = (OperatorMode.kind == Kind.QUEUE.value, OperatorMode.server == server)
    return set(session.scalars(select(OperatorMode.name).where(*mine)))


def drain(session: Session, actor: Actor, reason: str, until: datetime | None, now: datetime) -> Word | None:
    """No new jobs for the whole tower: none is taken from PanDA, and none that was never sent is sent."""
    asked = Asked(Mode.DRAIN, reason, until)
    operator_modes.put(session, Kind.TOWER, "", _wanted(actor, asked), now)
    audit.note(session, actor, "tower.drain", "tower", True, asked.facts(()), now)
    return operator_modes.standing(session, now).tower


def end_drain(session: Session, actor: Actor, reason: str, now: datetime) -> bool:
    """New jobs again. False: the tower was not being drained."""
    ended = operator_modes.put(session, Kind.TOWER, "", Wanted(Mode.ON, actor.who, reason), now)
    audit.note(session, actor, "tower.on", "tower", ended, {"reason": reason}, now)
    return ended


def _allowed(kind: Kind, names: Sequence[str], known: Collection[str], mode: Mode) -> list[str]:
    operator_modes.check_meant(kind, names[0] if names else "", mode)
    return named(names, known, {Kind.SHARE: "share", Kind.QUEUE: "PanDA queue"}.get(kind, "tower"))


def _wanted(actor: Actor, asked: Asked) -> Wanted:
    return Wanted(asked.mode, actor.who, asked.reason, asked.until)


def _subject(asked: Sequence[str], chosen: Sequence[str]) -> str:
    """For a line of the audit; all of the names are among its facts."""
    return ALL if list(asked) == [ALL] else ", ".join(chosen)

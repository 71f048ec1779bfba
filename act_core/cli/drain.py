"""`act drain`: no new jobs for the whole tower, until it is empty; and what `act status` tells of operators' modes."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from act_core.cli.actor import actor
from act_core.cli.context import database, now, settings
from act_core.cli.mode_commands import Json, Reason, Until, described, in_words
from act_core.cli.out import out, plain, print_json
from act_core.db import draining, operator_modes
from act_core.db.draining import Left
from act_core.db.operator_modes import Word
from act_core.db.session import Database
from act_core.deeds import modes as deeds
from act_core.errors import BadInput
from act_core.monitor.moments import future


def drain(
    end: Annotated[bool, typer.Option("--end", help="take and send new jobs again")] = False,
    reason: Reason = "",
    until: Until = "",
    json: Json = False,
) -> None:
    """Let the tower run empty: nothing is taken from PanDA, what was never sent waits, all else goes on to its end.

    `act status` says how many jobs are left. Jobs that were tried before are sent again as their error rules want.
    """
    if end and until:
        raise BadInput("--until is for the beginning of a drain; --end ends it now")
    when = future(until, now())
    with database(settings()) as db:
        if end:
            ended = db.write(deeds.end_drain, actor(), reason, now())
            said: dict[str, Any] = {"draining": None, "ended": ended}
            words = "new jobs are taken and sent again" if ended else "the tower was not being drained"
        else:
            word, left = db.write(deeds.drain, actor(), reason, when, now()), db.read(draining.left)
            said = {"draining": for_programs(word, left)}
            words = sentence(word, left) if word else ""
    print_json(said) if json else out.print(plain(words), markup=False, highlight=False)


def for_programs(word: Word | None, left: Left) -> dict[str, Any] | None:
    if word is None:
        return None
    numbers = {"jobs": left.jobs, "at_ces": left.there, "panda": left.panda, "kept": left.kept, "empty": left.empty}
    return {**described("tower", word), **numbers}


def sentence(word: Word, left: Left) -> str:
    """How far a drain is."""
    how = in_words(described("tower", word)).removeprefix("drain")
    kept = f"; {left.kept} that were never sent wait for `act drain --end`" if left.kept else ""
    if left.empty:
        return f"DRAINED{how}: nothing is left{kept}"
    panda = f", and of {left.panda} PanDA jobs the end is not told yet" if left.panda else ""
    return f"DRAINING{how}: {left.jobs} jobs are left ({left.there} at CEs){panda}{kept}"


def operated(db: Database) -> dict[str, Any]:
    """What operators want now, for `act status`."""
    words = db.read(operator_modes.standing, now())
    tower = for_programs(words.tower, db.read(draining.left)) if words.tower else None
    queues = [described(name, one) | {"server": server} for (server, name), one in sorted(words.queues.items())]
    said = sentence(words.tower, db.read(draining.left)) if words.tower else None
    shares = [described(name, one) for name, one in sorted(words.shares.items())]
    return {"draining": tower and tower | {"says": said}, "shares": shares, "queues": queues}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The same for people."""
    if found["draining"]:
        yield str(found["draining"]["says"])
    for kind in ("shares", "queues"):
        for one in found[kind]:
            what = {"shares": "share", "queues": "PanDA queue"}[kind]
            yield f"{what} {one['name']}: {in_words(one)} (`act {kind} on {one['name']}` ends it)"

"""`act ces abandon NAME`: an operator gives a CE up with all that it has of ours, or what one identity left there."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from act_core.cli.actor import actor
from act_core.cli.context import check_known, settings
from act_core.cli.out import out, print_json
from act_core.db import audit, credentials, modes, silence
from act_core.db import ces as ce_rows
from act_core.db.modes import OPERATOR, Mode, Wanted
from act_core.engine.belief import no_longer_others
from act_core.engine.identity import identity as shown
from act_core.engine.moved import sent_by
from act_core.engine.unseen import abandon as give_up
from act_core.errors import BadInput, ConfigError, CredentialError
from act_core.runtime import Runtime
from act_core.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="for programs")]
BY_HAND = "given up by an operator"


def abandon(
    name: Annotated[str, typer.Argument(help="the CE's name")],
    yes: Annotated[bool, typer.Option("--yes", help="do it; without it only the counts are told")] = False,
    reason: Annotated[str, typer.Option("--reason", help="for people; it stands in `act ces list`")] = "",
    identity: Annotated[
        str,
        typer.Option("--identity", help="a former identity's subject or number: its jobs alone, the CE stays in use"),
    ] = "",
    moved: Annotated[
        bool,
        typer.Option("--moved", help="what was sent before its endpoint changed: these alone, the CE stays in use"),
    ] = False,
    json: Json = False,
) -> None:
    """Give up a CE that will not come back: its jobs are reported as failed. `act ces on NAME` takes it back."""
    if identity and moved:
        raise BadInput("--identity and --moved: give one of them")
    held = settings()
    if identity:
        said = asyncio.run(_let_go(held, name, identity, yes, reason))
    else:
        said = asyncio.run((_leave if moved else _abandon)(held, name, yes, reason))
    if json:
        print_json(said)
        return
    whose = f" of {said['identity']['subject']}" if identity else f" sent to {said['moved']}" if moved else ""
    words = (", ".join(f"{n} {state}" for state, n in sorted(said["jobs"].items())) or "no jobs of ours") + whose
    if not yes:
        for line in _of_part(name, words, bool(identity)) if identity or moved else _of_ce(name, words):
            out.print(line, highlight=False)
        return
    done = ", ".join(f"{n} {word}" for word, n in sorted(said["done"].items())) or "nothing to give up"
    out.print(f"{name}: given up{whose}: {done}" if whose else f"{name} is abandoned: {done}", highlight=False)


def _of_ce(name: str, words: str) -> tuple[str, ...]:
    return (
        f"{name} has {words}; with --yes it is given up:",
        "  nobody asks it anything, its jobs are reported as failed and never resubmitted by the engine;",
        "  what is found of them after `act ces on` is killed at the second sighting (`act orphans`).",
    )


def _of_part(name: str, words: str, identity: bool) -> tuple[str, ...]:
    back = "is shown that identity" if identity else "has that endpoint"
    return (
        f"{name} has {words}; with --yes these are given up, and nothing else there:",
        "  they are reported as failed and never resubmitted by the engine; those that run may run on unseen;",
        f"  what is found of them if {name} {back} again is killed at the second sighting (`act orphans`).",
    )


async def _abandon(held: Settings, name: str, yes: bool, reason: str) -> dict[str, Any]:
    async with Runtime.open(held) as rt:
        check_known([name], [row.name for row in await rt.read(ce_rows.all_ces)])
        jobs = await rt.read(silence.by_state, name)
        done: dict[str, int] = {}
        if yes:
            why = reason or BY_HAND
            await rt.write(modes.set_mode, name, Wanted(Mode.ABANDONED, OPERATOR, why), rt.now())
            done = dict(await give_up(rt, name, f"{name} was given up: {why}", "operator"))
            await no_longer_others(rt)
            await _note(rt, name, {"reason": reason, "done": done})
    return {"name": name, "abandoned": yes, "jobs": jobs, "done": done}


async def _leave(held: Settings, name: str, yes: bool, reason: str) -> dict[str, Any]:
    """What was sent to a former endpoint. Raises BadInput."""
    async with Runtime.open(held) as rt:
        rows = {row.name: row for row in await rt.read(ce_rows.all_ces)}
        check_known([name], list(rows))
        was, sent = rows[name].moved_from, sent_by(rt, rows[name])
        if sent is None:
            raise BadInput(f"--moved: {name} has always had this endpoint ({rows[name].endpoint})")
        jobs, done = await rt.read(silence.by_state_before, name, sent), dict[str, int]()
        if yes:
            why = f"the jobs that were sent to {was} were given up: {reason or BY_HAND}"
            done = dict(await give_up(rt, name, why, "operator", sent=sent))
            await no_longer_others(rt)
            await _note(rt, name, {"moved_from": was, "reason": reason, "done": done})
    return {"name": name, "moved": was, "abandoned": yes, "jobs": jobs, "done": done}


async def _note(rt: Runtime, name: str, facts: Mapping[str, Any]) -> None:
    await rt.write(audit.note, actor(), "ces.abandon", name, True, facts, rt.now())


async def _let_go(held: Settings, name: str, asked: str, yes: bool, reason: str) -> dict[str, Any]:
    """What an identity that the CE is not shown any more has left there. Raises BadInput."""
    async with Runtime.open(held) as rt:
        check_known([name], [row.name for row in await rt.read(ce_rows.all_ces)])
        left = await rt.read(silence.by_identity, name)
        whose = await rt.read(credentials.subjects, left.keys())
        meant = _meant(name, asked, {one: whose.get(one, "") for one in left})
        await _not_in_use(rt, name, meant, asked)
        done: dict[str, int] = {}
        if yes:
            why = f"the jobs of {whose.get(meant, meant)} at {name} were given up: {reason or BY_HAND}"
            done = dict(await give_up(rt, name, why, "operator", meant))
            await no_longer_others(rt)
            await _note(rt, name, {"identity": whose.get(meant, str(meant)), "reason": reason, "done": done})
    who = {"id": meant, "subject": whose.get(meant, "")}
    return {"name": name, "identity": who, "abandoned": yes, "jobs": left[meant], "done": done}


def _meant(name: str, asked: str, there: Mapping[int, str]) -> int:
    """The identity of this subject, or of this number."""
    for one, subject in there.items():
        if asked in (subject, str(one)):
            return one
    known = ", ".join(f"{one} ({subject})" for one, subject in sorted(there.items()))
    raise BadInput(f"--identity {asked!r}: it has nothing at {name}; there are jobs of: {known or 'no identity'}")


async def _not_in_use(rt: Runtime, name: str, meant: int, asked: str) -> None:
    try:
        mine = await shown(rt, name)
    except (CredentialError, ConfigError) as err:
        raise BadInput(f"--identity {asked!r}: it may be the one that {name} is shown: {err}; mend that first") from err
    if mine is not None and mine.credential_id == meant:
        raise BadInput(
            f"--identity {asked!r}: {name} is shown this identity now, and is asked about its jobs; "
            f"`act jobs cancel` ends them, `act ces abandon {name}` gives the CE up"
        )

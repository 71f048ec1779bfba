"""`act credentials`: what the tower is to others, until when, who renews it, and what ends too early."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import typer

from act_core.apps import Part
from act_core.cli.actor import actor, noted
from act_core.cli.context import database, now, settings
from act_core.cli.credential_list import listed
from act_core.cli.out import fail, out, print_json, table
from act_core.credentials.vault import key_file, rotate
from act_core.db import audit
from act_core.db import credentials as rows_of
from act_core.engine.credentials import made, renew
from act_core.engine.due import always
from act_core.engine.forecast import Ending, forecast
from act_core.errors import ActError, BadInput, ConfigError
from act_core.monitor.times import at
from act_core.runtime import Runtime
from act_core.settings import Settings
from act_core.stages import Tower

app = typer.Typer(help="Proxies and tokens: who renews them, and what ends before the jobs that need it.")
Json = Annotated[bool, typer.Option("--json", help="for programs")]
PATIENCE_S = 30.0  # for a renewal that is under way


@app.callback(invoke_without_command=True)
def credentials(context: typer.Context, json: Json = False) -> None:
    """List proxies and tokens. Exit 1: one of them has ended, or cannot be used."""
    if context.invoked_subcommand is not None:
        return
    held = settings()
    with database(held) as db:
        found = listed(held, db.read(rows_of.known), now())
    print_json(found) if json else _print(found)
    if any(one["bad"] for one in found):
        raise typer.Exit(1)


def _print(found: Sequence[Mapping[str, Any]]) -> None:
    if not found:
        out.print("no credentials: name a proxy by voms.proxypath, or tokens (docs/credentials.md)")
        return
    columns = ("credential", "kind", "subject", "roles", "expires", "left", "renewed by", "trouble")
    lines = [
        (
            one["name"],
            one["kind"] or "",
            one["subject"] or "",
            " ".join(one["roles"]),
            one["expires"] or "",
            one["left"] or "",
            one["renewer"] or ("somebody else" if one["kind"] else ""),
            one["trouble"] or "",
        )
        for one in found
    ]
    table(columns, lines)


@app.command("rotate-key")
def rotate_key(json: Json = False) -> None:
    """Put a new key for the secrets of jobs before those in its file; older ones still open what they sealed."""
    held = settings()
    keys, path = rotate(held), key_file(held)
    with suppress(ConfigError), database(held) as db:  # a key may be made before there are tables
        noted(db, "credentials.rotate-key", str(path), {"keys": keys})
    if json:
        print_json({"file": str(path), "keys": keys})
        return
    out.print(f"{path} has {keys} keys; the first one seals from now on", highlight=False, soft_wrap=True)
    out.print("the other machines of this tower need the same file (docs/secrets.md)")


@app.command("forecast")
def forecast_(json: Json = False) -> None:
    """List the jobs that may outlive a proxy, a delegation or a token. Exit 1: there are any."""
    found = asyncio.run(_forecast(settings()))
    if json:
        print_json([asdict(one) | {"until": at(one.until)} for one in found])
    elif not found:
        out.print("no job outlives what it was given")
    else:
        columns = ("CE", "what ends", "until", "jobs", "first job", "of", "renewed by", "trouble")
        table(columns, [_line(one) for one in found])
    if found:
        raise typer.Exit(1)


def _line(one: Ending) -> tuple[str, ...]:
    until, renewer = at(one.until) or "", one.renewer or "somebody else"
    return one.ce, one.ends.value, until, str(one.jobs), str(one.job), one.subject, renewer, one.trouble or ""


async def _forecast(held: Settings) -> list[Ending]:
    async with Runtime.open(held) as rt:
        return await forecast(rt)


@app.command("renew")
def renew_(
    names: Annotated[list[str] | None, typer.Argument(help="as `act credentials` lists them; default: all")] = None,
    json: Json = False,
) -> None:
    """Make proxies and tokens anew now. Exit 1: one was not."""
    held = settings()
    known = made(held)
    if unknown := sorted(set(names or ()) - set(known)):
        there = ", ".join(known) or "none"
        raise BadInput(f"no credential {', '.join(map(repr, unknown))} that the tower makes; there are: {there}")
    said = asyncio.run(_renewed(held, list(names or known)))
    if json:
        print_json(said)
    else:
        for name, words in said.items():
            out.print(f"{name}: {words or 'renewed'}", markup=False)
        if not said:
            out.print("the tower makes no credentials: see voms.vo and tokens.….issuer (docs/credentials.md)")
    if any(said.values()):
        fail("not all were renewed", 1)


async def _renewed(held: Settings, names: Sequence[str]) -> dict[str, str | None]:
    """By name: None, or why it was not renewed."""
    said: dict[str, str | None] = {}
    async with Tower(Runtime.open(held)) as tower:
        tower.rt.lasting = False
        for name in names:
            part = Part("renew-credentials", "renew", always(name), partial(renew, force=True))
            try:
                counts = await tower.round(part, name, PATIENCE_S)
            except ActError as err:
                said[name] = str(err)
                continue
            row = await tower.rt.read(rows_of.row, made(held)[name].place)
            kept = "another process is at it" if counts["busy"] else row.trouble if row else None
            said[name] = None if counts["renewed"] else kept or "not renewed"
        if said:
            facts = {name: words or "renewed" for name, words in said.items()}
            await tower.rt.write(audit.note, actor(), "credentials.renew", ", ".join(said), True, facts, tower.rt.now())
    return said

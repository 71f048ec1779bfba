"""`act web`: the page alone; passwords and tokens for its configuration."""

import sys
from contextlib import suppress
from typing import Annotated

import typer

from act_core import logs
from act_core.cli.context import settings
from act_core.cli.out import err, out, print_json
from act_core.db.bootstrap import open_tables
from act_core.errors import BadInput, Transient

app = typer.Typer(help="The operators' page, alone. `act up` brings it, too.", no_args_is_help=False)
Json = Annotated[bool, typer.Option("--json", help="for programs")]


@app.callback(invoke_without_command=True)
def web(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="instead of web.port; 0: a free one")] = None,
    host: Annotated[str | None, typer.Option(help="instead of web.host; another than loopback needs web.users")] = None,
) -> None:
    """Serve the page until Ctrl-C. Without a command it reads and shows; the tower works with it and without it."""
    if context.invoked_subcommand is not None:
        return
    from act_core.web.serving import check, serve
    from flows.page import Page

    held = settings()
    chosen = host or held.arc.web.host
    check(held, chosen)
    with suppress(Transient):  # the page says so, and shows all when the database is back
        open_tables(held).close()
    section = held.arc.web.model_copy(update={"host": chosen})
    placed = held.model_copy(update={"arc": held.arc.model_copy(update={"web": section})})
    page = Page(placed, held.state_dir, port)
    logs.configure(held.arc.logger, held.state_dir)
    err.print(page.words(), markup=False, highlight=False)
    serve(placed, chosen, page.port)


@app.command()
def password(json: Json = False) -> None:
    """Ask for a new password and print its hash, for web.users.NAME.password. Reads a line from a pipe, too."""
    from act_core.web.passwords import hashed, too_weak

    if sys.stdin.isatty():
        text = typer.prompt("New password", hide_input=True, confirmation_prompt="Again", err=True)
    else:
        text = sys.stdin.readline().rstrip("\n")
    if why := too_weak(text):
        raise BadInput(why)
    made = hashed(text)
    if json:
        print_json({"password": made})
    else:
        out.print(made, markup=False, soft_wrap=True)


@app.command()
def token(json: Json = False) -> None:
    """Make a token for a program, and its digest for web.tokens.NAME.sha256. The token is shown this once."""
    from act_core.web.passwords import digest_of, new_token

    made = new_token()
    digest = digest_of(made)
    if json:
        print_json({"token": made, "sha256": digest})
        return
    out.print(f"token   {made}", markup=False, soft_wrap=True)
    out.print(f"sha256  {digest}", markup=False, soft_wrap=True)

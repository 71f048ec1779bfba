"""`act ticket`: a text for a site about a CE or a job, redacted and ready to be pasted."""

from typing import Annotated

import typer

from act_core.ce.registry import kinds
from act_core.cli.context import database, now, settings
from act_core.cli.explain import Subject, unknown
from act_core.cli.job_words import meant
from act_core.cli.out import out, plain, print_json, warn
from act_core.db import ces as ce_rows
from act_core.monitor.ticket import ticket as written
from act_core.monitor.ticket_read import read_ticket


def ticket(subject: Subject, json: Annotated[bool, typer.Option("--json", help="for programs")] = False) -> None:
    """Write a text for the site: since when, how many, five ids, the CE's words, last success, how others are."""
    held = settings()
    with database(held) as db:
        db.write(ce_rows.enter_ces, held.arc.sites, ce_rows.CONFIG, now())
        found = db.read(read_ticket, held, meant(db, held, subject), kinds(), now())
        if found is None:
            unknown(db, subject)
    made = written(*found, now())
    if json:
        print_json(made.for_programs())
        return
    if made.own_trouble:
        warn(f"the last error is on our side: {made.own_trouble}\nmend that before you write to the site")
    for line in made.lines(now()):
        out.print(plain(line), markup=False)

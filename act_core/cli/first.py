"""`act` alone: what to do first, from where one stands. It reads two files and one table, and asks nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from act_core.cli.context import now, read_files
from act_core.cli.out import out, plain, print_json
from act_core.db import draining, operator_modes
from act_core.db.bootstrap import open_tables
from act_core.errors import ActError, ConfigError
from act_core.processes import standing
from act_core.settings import Settings

Step = tuple[str, str]
TITLE = "act - a tower between workload systems and computing elements"
DEMO: Step = ("act demo", "see it work: a simulated PanDA, CEs and 200 jobs, three minutes")
CHECK: Step = ("act config check", "what the configuration says, and what is wrong with it")
TRY: Step = ("act ces test NAME", "try a CE step by step, from TLS to the last clean")
STATUS: Step = ("act status", "what runs where, and what rests")
JOB: Step = ("act jobs add FILE", "a job without PanDA")
EXPLAIN: Step = ("act explain JOB|CE", "why something waits, since when, and what you can do")
UP: Step = ("act up", "start the tower: Prefect's server, its schedules, a worker; --detach for the background")


@dataclass(frozen=True, slots=True)
class Stand:
    """Where one stands, in a word for programs and in a sentence, and what to do from there; the first step first."""

    word: str
    says: str
    steps: Sequence[Step]


def first(*, json: bool) -> None:
    """Tell it."""
    stand = where()
    if json:
        print_json(_for_programs(stand))
        return
    out.print(f"[bold]{TITLE}[/bold]\n", highlight=False)
    out.print(plain(stand.says), markup=False, highlight=False)
    wide = max(len(command) for command, _ in stand.steps)
    for command, words in stand.steps:
        out.print(plain(f"  {command:{wide}}  {words}"), markup=False, highlight=False)
    out.print("\n[dim]act --help lists every command.[/dim]", highlight=False)


def _for_programs(stand: Stand) -> dict[str, Any]:
    steps = [{"command": command, "says": words} for command, words in stand.steps]
    return {"stand": stand.word, "says": stand.says, "next": steps}


def where() -> Stand:
    """Found out in the order in which a tower is set up."""
    try:
        loaded = read_files()
    except ConfigError as err:
        problem = str(err).partition("\n")[0]
        return Stand("bad configuration", f"The configuration cannot be used: {problem}", (CHECK,))
    if not loaded.files:
        copy = "cp examples/aCTConfigARC.yaml examples/aCTConfigAPP.yaml ."
        words = "then name your CEs and your PanDA in them"
        steps = (DEMO, (copy, words), CHECK, ("act simulate arc", "a CE to play with, whose jobs really run"))
        return Stand("no configuration", "There is no configuration here (aCTConfigARC.yaml).", steps)
    return _with_tables(loaded.settings)


def _with_tables(held: Settings) -> Stand:
    try:
        db = open_tables(held)
    except ConfigError as err:
        bootstrap = ("act bootstrap", "make or upgrade the state tables; it drops nothing and can be repeated")
        return Stand("no tables", f"The state tables are not ready: {err}", (bootstrap, CHECK, UP))
    except ActError as err:
        return Stand("no database", f"The database does not answer: {err}", (CHECK,))
    try:
        tower = db.read(operator_modes.standing, now()).tower
        left = db.read(draining.left) if tower else None
    finally:
        db.close()
    if not _is_up(held):
        return Stand("down", f"No tower is up in {held.state_dir}.", (UP, TRY, JOB, STATUS))
    steps = (
        STATUS,
        EXPLAIN,
        ("act doctor", "what is wrong, and what to do"),
        ("act jobs list --state failed", "jobs that failed; filters combine"),
        JOB,
    )
    if left is not None:
        end = ("act drain --end", "take and send new jobs again")
        return Stand("draining", f"The tower is being drained: {left.jobs} jobs are left.", (STATUS, end, *steps[1:]))
    return Stand("up", "The tower is up.", steps)


def _is_up(held: Settings) -> bool:
    return standing(held.state_dir) is not None

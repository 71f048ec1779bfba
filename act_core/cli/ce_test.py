"""`act ces test`: a CE tried from here, a line a step: ok, or what to do."""

from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from act_core.ce.diagnosis import Finding, Verdict
from act_core.ce.registry import open_ce
from act_core.cli.context import check_known, database, now, settings
from act_core.cli.ending import run_in_order
from act_core.cli.out import err, out, plain, print_json
from act_core.db import ces as ce_rows
from act_core.db.bootstrap import tower_id
from act_core.engine.trial import Plan, Trial
from act_core.ids import TowerId
from act_core.jobspec import PROXY_ENVIRONMENT
from act_core.runtime import site_of
from act_core.settings import Settings
from act_core.settings.model import Site

COLOURS = {Verdict.OK: "green", Verdict.ODD: "yellow", Verdict.BAD: "bold red", Verdict.SKIPPED: "dim"}
DEFAULT = Plan()


def try_ce(
    name: Annotated[str, typer.Argument(help="the CE's name")],
    quick: Annotated[bool, typer.Option("--quick", help="send no jobs")] = False,
    seconds: Annotated[float, typer.Option(help="how long the job runs", min=0, max=3600)] = DEFAULT.sleep,
    deadline: Annotated[
        float, typer.Option(help="seconds that the jobs may take, waiting in the queue included", min=0)
    ] = DEFAULT.deadline,
    watch: Annotated[
        float, typer.Option(help="seconds for which a job without its input must not start", min=0, max=300)
    ] = DEFAULT.watch,
    environment: Annotated[
        list[str] | None, typer.Option("--rte", help="a runtime environment that must be there; can be repeated")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Try a CE step by step with two short jobs; nothing of them is left there. Exit 1: something is wrong."""
    held = settings()
    site, tower = _known(held, name)
    wanted = tuple(environment or needed(held, site))
    plan = Plan(seconds, deadline, watch, environments=wanted, quick=quick)
    findings = tried(held, name, site, tower, plan, quiet=json)
    if json:
        print_json(for_programs(name, findings))
    if not all_good(findings):
        raise typer.Exit(1)


def _known(held: Settings, name: str) -> tuple[Site, TowerId]:
    """The configuration of a CE, and who we are. The tables are only read."""
    with database(held) as db:
        rows = {row.name: row for row in db.read(ce_rows.all_ces)}
        check_known([name], {*rows, *held.arc.sites})
        return held.arc.sites.get(name) or site_of(rows[name]), db.read(tower_id)


def needed(held: Settings, site: Site) -> list[str]:
    """The runtime environments that jobs of the configured applications ask for there."""
    if not site.kind.startswith("arc") or "atlas" not in held.app.modules.app:
        return []
    own = dict.fromkeys(seen.app.translation.environment for seen in held.everybody())
    return [*(name for name in own if name), PROXY_ENVIRONMENT]


def tried(held: Settings, name: str, site: Site, tower: TowerId, plan: Plan, *, quiet: bool) -> list[Finding]:
    """What was found; each step is told when it is done. Raises ConfigError for a CE that cannot be opened.

    Whatever signal ends it, nothing of ours is left there.
    """
    findings: list[Finding] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as progress:
        task = progress.add_task("")

        def tell(found: Finding) -> None:
            findings.append(found)
            if not quiet:
                show(found)

        def doing(step: str) -> None:
            progress.update(task, description=step)

        run_in_order(_tried(held, name, site, tower, plan, tell, doing))
    return findings


def all_good(findings: list[Finding]) -> bool:
    return not any(one.bad for one in findings)


async def _tried(
    held: Settings, name: str, site: Site, tower: TowerId, plan: Plan, tell: Any, doing: Any
) -> None:  # fmt: skip
    ce = open_ce(held, name, now, site)
    try:
        await Trial(ce, tower, plan, now, tell, doing).run()
    finally:
        await ce.close()


def for_programs(name: str, findings: list[Finding]) -> dict[str, Any]:
    steps = [{"step": f.step, "verdict": f.verdict.name.lower(), "words": f.words, "do": f.do} for f in findings]
    return {"ce": name, "good": all_good(findings), "steps": steps}


def show(found: Finding) -> None:
    """A line, and below it what to do."""
    line = Text(f"{found.verdict.value:5}", COLOURS[found.verdict])
    out.print(line.append(f" {found.step:11}", "").append(plain(found.words), ""))
    if found.do:
        out.print(Text(f"{'':18}→ {plain(found.do)}"))

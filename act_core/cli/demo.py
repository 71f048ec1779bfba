"""`act demo`: the whole tower at work on one machine, and the witnesses' verdict."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from act_core.cli.demo_end import parting, stay
from act_core.cli.ending import ended_in_order
from act_core.cli.out import err, fail, print_json
from act_core.db import listing
from act_core.db.bootstrap import tower_id
from act_core.db.session import Database
from act_core.errors import ActError, Transient
from act_core.processes import await_up
from act_core.settings import load_settings
from act_core.simulators.scene import Scene
from act_core.simulators.scene_condor import left as condor_left
from act_core.simulators.scene_plan import CONDOR, PandaAuth, Plan, read_condor
from act_core.states import FINAL, CeState

SHOWN = (
    CeState.TOSUBMIT,
    CeState.SUBMITTED,
    CeState.RUNNING,
    CeState.FINISHING,
    CeState.FINISHED,
    CeState.DONE,
)
FILES = 2  # of each job on storage: an output and the log
DOWN_S, LOOK_S, PRINT_EVERY_S = 30.0, 0.5, 10.0
LOOKS = 10  # at a tower that says it is up, until its Prefect answers


@dataclass(slots=True)
class Verdict:
    """What the witnesses say: the payloads' own trace, PanDA's books, the CEs' lists, storage. Times in seconds."""

    jobs: int
    ran: int = 0
    twice: int = 0
    finished: int = 0
    books: Mapping[str, int] = field(default_factory=dict)
    reported_twice: int = 0
    left: Mapping[str, int] = field(default_factory=dict)
    stored: int = 0  # files
    setup_s: float = 0
    jobs_s: float = 0

    @property
    def good(self) -> bool:
        clean = not any(self.left.values()) and self.stored == self.jobs * FILES
        return self.ran == self.finished == self.jobs and not self.twice and not self.reported_twice and clean

    def as_json(self) -> dict[str, Any]:
        lost = self.jobs - self.finished
        return {
            "good": self.good,
            "jobs": self.jobs,
            "finished": self.finished,
            "lost": lost,
            "twice": self.twice,
            "reported_twice": self.reported_twice,
            "panda": dict(self.books),
            "left_on_ces": dict(self.left),
            "files_missing": self.jobs * FILES - self.stored,
            "setup_s": round(self.setup_s, 1),
            "jobs_s": round(self.jobs_s, 1),
        }


def demo(
    jobs: Annotated[int, typer.Option(min=1, max=100_000, help="how many PanDA has for us")] = 200,
    keep: Annotated[
        bool, typer.Option("--keep", help="leave the tower and the grid up until Ctrl-C; not with --json")
    ] = False,
    directory: Annotated[
        Path | None, typer.Option(help="where all of it lies; made new. Default: a temporary one")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="of the Prefect UI; 0: a free one")] = 0,
    timeout: Annotated[float, typer.Option(help="give up after so many seconds")] = 600,
    panda_auth: Annotated[PandaAuth, typer.Option(help="what tower and pilots show PanDA")] = "proxy",
    htcondor: Annotated[
        Path | None,
        typer.Option(help="send true pilots through this HTCondor, too: a file like aCTConfigARC.yaml with its site"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="the verdict for programs")] = False,
) -> None:
    """Watch the tower at work: simulated PanDA, CRIC, storage and ARC CEs, and real processes on this machine.

    Queues with native pilots, which the tower speaks for, and with true ones, which speak to PanDA themselves.

    Exit 0 only if every job ran exactly once, PanDA's books say finished, and nothing is left on any CE.
    Ctrl-C, SIGTERM (exit 143) and SIGHUP (129) end tower and grid in order.
    """
    plan = Plan(panda_auth=panda_auth, condor=read_condor(htcondor) if htcondor else None)
    if htcondor is None:
        err.print("HTCondor is left out: `--htcondor FILE` names one")
    root = _fresh(directory)
    with ended_in_order():
        try:
            verdict = _play(root, plan, jobs, keep, port, timeout, json)
        finally:
            if directory is None:
                shutil.rmtree(root, ignore_errors=True)
    if json:
        print_json(verdict.as_json())
    if not verdict.good:
        fail("not every job came home exactly once: see the table above", 1)


def _fresh(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="act-demo-"))
    if directory.exists() and any(directory.iterdir()):
        raise ActError(f"{directory} is not empty: name a new directory")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return directory.absolute()


def _play(root: Path, plan: Plan, jobs: int, keep: bool, port: int, timeout: float, json: bool) -> Verdict:
    began = time.monotonic()
    err.print("starting the grid: storage, PanDA, three ARC CEs, CRIC …")
    with Scene(root, plan) as scene:
        environment = {**os.environ, **scene.environment}
        tower = _start_tower(root, environment, port)
        try:
            err.print("starting the tower: state tables, Prefect's server, schedules, worker …")
            said = _await_up(tower, root, environment)
            page = said["page"] or {"url": "none", "entrance": "web.enabled is false"}
            err.print(f"the tower is up; Prefect UI: {said['prefect']}")
            err.print(f"watch it on the page: {page['url']}   ({page['entrance']})", soft_wrap=True)
            verdict = Verdict(scene.order(jobs), setup_s=time.monotonic() - began)
            _watch(scene, verdict, tower, timeout)
            verdict.stored = scene.stored()
            _report(verdict)
            if keep and not json:
                stay(scene, said["prefect"], page)
            else:
                err.print(parting(page["url"]), soft_wrap=True, highlight=False)
        finally:
            _stop_tower(tower, environment)
    return verdict


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "act_core.cli", *words]


def _start_tower(root: Path, environment: dict[str, str], port: int) -> "subprocess.Popen[bytes]":
    """It goes down by itself if this process is killed by force."""
    from flows.children import die_with_parent

    with (root / "tower.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own command
            _command("up", "--port", str(port)),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )


def _status(environment: dict[str, str]) -> dict[str, Any]:
    import json

    from flows.children import die_with_parent

    done = subprocess.run(  # noqa: S603 - our own command
        _command("status", "--json"),
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
        preexec_fn=die_with_parent,  # who is ended while it starts does not know it yet
    )
    try:
        read: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {}
    return read


def _await_up(tower: "subprocess.Popen[bytes]", root: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What `act status` then says. Raises ActError."""
    state_dir = load_settings(env=environment).settings.state_dir
    if await_up(state_dir, lambda: tower.poll() is None):
        for _ in range(LOOKS):
            said = _status(environment)
            if said.get("up"):
                return said
    words = (root / "tower.log").read_text(errors="replace")[-1500:]
    raise ActError(f"the tower did not come up:\n{words}")


def _stop_tower(tower: "subprocess.Popen[bytes]", environment: dict[str, str]) -> None:
    """In order, however far it has come up; then by force, so that nothing stays."""
    tower.terminate()
    try:
        tower.wait(DOWN_S)
    except subprocess.TimeoutExpired:
        subprocess.run(  # noqa: S603 - our own command
            _command("down"), env=environment, capture_output=True, timeout=DOWN_S * 2, check=False
        )
        tower.kill()
        tower.wait()


def _watch(scene: Scene, verdict: Verdict, tower: "subprocess.Popen[bytes]", timeout: float) -> None:
    """Show the states per CE until PanDA's books are closed and the CEs are empty."""
    settings = load_settings(env=dict(os.environ) | scene.environment).settings
    db = Database(settings)
    began, printed = time.monotonic(), 0.0
    try:
        with Live(console=err, refresh_per_second=4, transient=not err.is_terminal) as live:
            while time.monotonic() - began < timeout and tower.poll() is None:
                _look(scene, verdict)
                verdict.jobs_s = time.monotonic() - began
                live.update(_screen(db, verdict))
                if not err.is_terminal and verdict.jobs_s - printed >= PRINT_EVERY_S:
                    printed = verdict.jobs_s
                    live.console.print(f"{printed:5.0f} s  {verdict.finished} of {verdict.jobs} finished")
                if sum(verdict.books.values()) >= verdict.jobs and not any(verdict.left.values()):
                    if scene.plan.condor is not None:
                        verdict.left = {**verdict.left, CONDOR: condor_left(settings, CONDOR, db.read(tower_id))}
                    if not any(verdict.left.values()):
                        return
                time.sleep(LOOK_S)
    finally:
        db.close()


def _look(scene: Scene, verdict: Verdict) -> None:
    """Ask the witnesses; never the tower."""
    summary = scene.call("panda", "/books/summary")
    by_status = summary["by_status"]
    executions = scene.executions()
    verdict.books = {word: n for word, n in by_status.items() if word in ("finished", "failed", "cancelled", "closed")}
    verdict.finished = by_status.get("finished", 0)
    verdict.reported_twice = summary["finals_twice"]
    verdict.ran = len(executions)
    verdict.twice = sum(n > 1 for n in executions.values())
    verdict.left = scene.left()


def _screen(db: Database, verdict: Verdict) -> Group:
    table = Table(box=None, header_style="bold", title=f"{verdict.jobs_s:.0f} s", title_justify="left")
    for title in ("CE", *(state.value for state in SHOWN), "failed", "on the CE"):
        table.add_column(title, justify="left" if title == "CE" else "right")
    states: dict[str, dict[CeState, int]] = {ce: {} for ce in verdict.left}
    try:
        for count in db.read(listing.counts):
            of_ce = states.setdefault(count.ce or "(waiting)", {})
            of_ce[count.state] = of_ce.get(count.state, 0) + count.n
    except Transient:
        table.caption = "the database is busy"
    bad = FINAL - {CeState.DONE, CeState.VOID} | {CeState.FAILED}
    for ce, counts in sorted(states.items()):
        failed = sum(n for state, n in counts.items() if state in bad)
        cells = [str(counts.get(state) or "") for state in SHOWN]
        table.add_row(ce, *cells, str(failed or ""), str(verdict.left.get(ce) or ""))
    progress = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=verdict.jobs, completed=verdict.finished, width=60)
    progress.add_row(bar, f"PanDA: {verdict.finished} of {verdict.jobs} finished; ran: {verdict.ran}")
    return Group(table, progress)


def _report(verdict: Verdict) -> None:
    said = verdict.as_json()
    colour = "green" if verdict.good else "red"
    err.print(
        f"[{colour}]{said['finished']} of {said['jobs']} finished, {said['lost']} lost, {said['twice']} run twice, "
        f"{sum(verdict.left.values())} left on the CEs, {said['files_missing']} outputs missing[/{colour}] "
        f"in {said['jobs_s']} s (after {said['setup_s']} s of starting up)"
    )
    for word, n in verdict.books.items():
        if word != "finished" and n:
            err.print(f"  PanDA says {word}: {n}")

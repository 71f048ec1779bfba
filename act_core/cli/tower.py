"""`act up`, `act down`, `act status`."""

import os
import subprocess
import sys
from typing import Annotated, Any

import typer

from act_core import logs
from act_core.cli import drain
from act_core.cli.brake import holding, sentence
from act_core.cli.ces import all_described, print_ces
from act_core.cli.context import database, files, now, settings, state_dir
from act_core.cli.credential_list import listed
from act_core.cli.out import err, out, plain, print_json
from act_core.cli.panda import summary, told, unsettled
from act_core.cli.past import At, status_at
from act_core.cli.watch import watched
from act_core.db import credentials, ledger, listing
from act_core.errors import ActError, BadInput, ConfigError
from act_core.monitor.explain_ces import line_of
from act_core.monitor.times import brief, span
from act_core.processes import await_up, standing
from act_core.reasons import Topic
from act_core.settings import Settings, taken

Json = Annotated[bool, typer.Option("--json", help="for programs")]
WATCH_S = 2.0
OBSERVE, WORKERS = "ACT_TOWER__OBSERVE", "ACT_PREFECT__WORKERS"
TOLD = Topic.CREDENTIAL, Topic.BLACKHOLE, Topic.PANDA
OWN = Topic.RECOVERY, Topic.CONFIG, Topic.DISK  # of the tower's own


def up(
    detach: Annotated[bool, typer.Option("--detach", help="come back when it is up; `act down` ends it")] = False,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="of Prefect's server; 0: a free one")] = None,
    web_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="of the page; 0: a free one, as with --port 0")
    ] = None,
    observe: Annotated[bool, typer.Option("--observe", help="read, translate and show all; change nothing")] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, max=20, help="windows of a stage at a time; instead of prefect.workers")
    ] = None,
) -> None:
    """Bring the tower up: state tables, Prefect's server, schedules, a worker, the page. Ctrl-C ends all of it.

    With --observe nothing is taken, sent, killed, reported or cleaned (as with `tower.observe: true`).
    """
    from flows.children import free_port
    from flows.supervise import Supervisor

    if observe:
        os.environ[OBSERVE] = "true"  # the worker and its flows read the same settings
    if workers is not None:
        os.environ[WORKERS] = str(workers)
    held = settings()
    chosen = held.arc.prefect.port if port is None else port or free_port()
    page = web_port if web_port is not None or port != 0 else 0
    if detach:
        _detached(held, chosen, page)
        return
    logs.configure(held.arc.logger, held.state_dir)
    Supervisor(held, chosen, lambda words: err.print(words, markup=False), page).run()


def _detached(held: Settings, port: int, web_port: int | None) -> None:
    from flows.environment import password_file
    from flows.page import entrance

    if standing(held.state_dir):
        raise ConfigError(f"a tower is up in {held.state_dir} already: `act status`, `act down`")
    log = held.state_dir / "up.log"
    command = [sys.executable, "-m", "act_core.cli", *files(), "up", "--port", str(port)]
    command += [] if web_port is None else ["--web-port", str(web_port)]
    with log.open("ab") as file:
        child = subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    with err.status("bringing the tower up"):
        said = await_up(held.state_dir, lambda: child.poll() is None)
    if said is None:
        raise ActError(f"the tower did not come up; {log} ends with: {log.read_text(errors='replace')[-800:]}")
    where = f"Prefect UI: {said['prefect']}   (password: {password_file(held)})"
    out.print(f"the tower is up; {where}", highlight=False, soft_wrap=True)
    if said.get("page"):
        out.print(f"page: {said['page']}   ({entrance(held)})", highlight=False, soft_wrap=True)
    _print_observing(held.arc.tower.observe)


def down(json: Json = False) -> None:
    """End what `act up` started: the worker drains, then Prefect's server. Jobs on the CEs go on."""
    from flows.standing import take_down

    was_up = take_down(state_dir())
    print_json({"was_up": was_up}) if json else out.print("the tower is down" if was_up else "no tower was up")


def status(
    seconds: Annotated[
        float | None, typer.Argument(metavar="[SECONDS]", help="with --watch: between two looks", min=0.5, max=3600)
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="draw it again and again, until Ctrl-C")] = False,
    at: At = "",
    json: Json = False,
) -> None:
    """What runs where, and what rests. Exit 1: no tower is up. With --at: what ran and rested then (docs/time.md)."""
    if seconds is not None and not watch:
        raise BadInput(f"{seconds:g} says how often --watch draws: `act status --watch {seconds:g}`")
    if at:
        status_at(at, json)
        return
    held = settings()
    if watch:
        watched(lambda: _print(_found(held)), seconds or WATCH_S, json=json)
        return
    found = _found(held)
    if json:
        print_json(found)
    else:
        _print(found)
    if not found["up"]:
        raise typer.Exit(1)


def _found(held: Settings) -> dict[str, Any]:
    """All that `act status` tells. Jobs are counted anew only where no tower has counted them just now."""
    said = standing(held.state_dir)
    with database(held) as db:
        counted = db.read(listing.lately, now(), by_tower=said is not None)
        ces = all_described(db, held, counted.counts)
        proxies = listed(held, db.read(credentials.known), now())
        held_now = db.read(ledger.standing)
        ending, holes, panda = ([line_of(row, now()).why for row in held_now if row.topic == one] for one in TOLD)
        own = [line_of(row, now()) for row in held_now if row.topic in OWN]
        brakes = holding(db)
        jobs = unsettled(db, held)
        queues = summary(db, held)
        wanted = drain.operated(db)
    waiting = sum(count.n for count in counted.counts if not count.ce)
    found = _described(held, said)
    found |= {"ces": ces, "waiting": waiting, "proxies": proxies, "brakes": brakes, "counted_at": counted.at}
    return found | {
        "ending": ending,
        "black_holes": holes,
        "panda": panda,
        "panda_jobs": jobs,
        "queues": queues,
        "wanted": wanted,
        "own": [{"why": part.why, "since": part.since, "next": part.next, "do": part.do} for part in own],
    }


def _described(held: Settings, said: dict[str, Any] | None) -> dict[str, Any]:
    from act_core.processes import lives
    from flows import page
    from flows.environment import password_file
    from flows.standing import healthy

    running = taken.said(held.state_dir)  # the worker may have taken over another configuration since
    observing = bool(running["observing"] if running else said and said.get("observing")) or held.arc.tower.observe
    known = {"state_dir": str(held.state_dir), "observing": observing}
    if said is None:
        return {"up": False, "phase": "down", "prefect": None, "processes": {}, "page": None} | known
    processes = {name: lives(pid, start) for name, (pid, start) in said["children"].items()}
    page_runs = processes.pop(page.NAME, False)  # the tower is up without it
    answers = healthy(said["prefect"])
    good = said["phase"] == "up" and answers and all(processes.values())
    return known | {
        "up": good,
        "phase": said["phase"],
        "prefect": said["prefect"],
        "prefect_answers": answers,
        "prefect_password": str(password_file(held)),
        "processes": processes,
        "page": page.described(held, said, page_runs),
    }


def _print(found: dict[str, Any]) -> None:
    colour = "green" if found["up"] else "red"
    words = "up" if found["up"] else found["phase"]
    out.print(f"tower       [{colour}]{words}[/{colour}]   state: {found['state_dir']}")
    if found["prefect"]:
        dead = [name for name, alive in found["processes"].items() if not alive]
        trouble = f"   not running: {', '.join(dead)}" if dead else ""
        out.print(f"Prefect UI  {found['prefect']}   password: {found['prefect_password']}{trouble}", soft_wrap=True)
    if one := found["page"]:
        trouble = "" if one["runs"] else "   it does not run; it is started again (page.log)"
        out.print(f"page        {one['url']}   {one['entrance']}{trouble}", soft_wrap=True)
    _print_observing(found["observing"])
    _print_troubles(found)
    print_ces(found["ces"])
    out.print(f"jobs counted {span(now() - found['counted_at'])} ago", style="dim")
    _print_rest(found)


def _print_observing(observing: bool) -> None:
    if observing:
        words = "OBSERVING: nothing is taken, sent, killed, reported or cleaned (docs/queues.md)"
        out.print(words, style="bold yellow")


def _print_rest(found: dict[str, Any]) -> None:
    if found["queues"]:
        words, served = found["queues"]["says"], found["queues"]["served"]
        out.print(words, style=None if served else "yellow", markup=False, highlight=False)
    if found["waiting"]:
        out.print(f"{found['waiting']} jobs wait for a CE (`act jobs list --state tosubmit`)", highlight=False)
    for one in found["proxies"]:
        who = f" ({one['subject']})" if one["subject"] else ""
        until = f" ends {brief(one['expires'], now())} ({one['left']} left)" if one["expires"] else ""
        words = f"{one['kind'] or 'credential'} {one['path']}{who}{until}"
        trouble = f": {one['trouble']}" if one["trouble"] else ""
        out.print(plain(words + trouble), style="red" if one["bad"] else None, markup=False, highlight=False)


def _print_troubles(found: dict[str, Any]) -> None:
    """The red ones first."""
    brakes = [f"{sentence(one)}; none of them moves (`act brake list`, docs/safety.md)" for one in found["brakes"]]
    ending = [f"{words} (`act credentials forecast`)" for words in found["ending"]]
    for words in drain.lines(found["wanted"]):
        out.print(plain(words), style="bold yellow", markup=False, highlight=False)
    own = [f"{one['why']} {one['next']}" for one in found["own"]]
    for words in (*own, *brakes, *found["panda"]):
        out.print(words, style="red", markup=False)
    for words in (*told(found["panda_jobs"]), *ending, *found["black_holes"]):
        out.print(words, style="yellow", markup=False)

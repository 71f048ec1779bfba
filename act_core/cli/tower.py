"""`act up`, `act down`, `act status`."""

import os
import subprocess
import sys
import time
from typing import Annotated, Any

import typer

from act_core import logs
from act_core.cli import queues as queue_list
from act_core.cli.brake import holding, sentence
from act_core.cli.ces import all_described, print_ces
from act_core.cli.context import database, files, now, settings, state_dir
from act_core.cli.credentials import listed
from act_core.cli.out import err, out, print_json
from act_core.cli.panda import told, unsettled
from act_core.db import credentials, ledger, listing
from act_core.errors import ActError, ConfigError
from act_core.monitor.explain_ces import line_of
from act_core.reasons import Topic
from act_core.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="for programs")]
UP_S = 180.0
OBSERVE = "ACT_TOWER__OBSERVE"
TOLD = Topic.CREDENTIAL, Topic.BLACKHOLE, Topic.PANDA


def up(
    detach: Annotated[bool, typer.Option("--detach", help="come back when it is up; `act down` ends it")] = False,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="of Prefect's server; 0: a free one")] = None,
    observe: Annotated[bool, typer.Option("--observe", help="read, translate and show all; change nothing")] = False,
) -> None:
    """Bring the tower up: state tables, Prefect's server, schedules, a worker. Ctrl-C ends all of it.

    With --observe nothing is taken, sent, killed, reported or cleaned (as with `tower.observe: true`).
    """
    from flows.supervise import Supervisor, free_port

    if observe:
        os.environ[OBSERVE] = "true"  # the worker and its flows read the same settings
    held = settings()
    chosen = held.arc.prefect.port if port is None else port or free_port()
    if detach:
        _detached(held, chosen)
        return
    logs.configure(held.arc.logger, held.state_dir)
    Supervisor(held, chosen, lambda words: err.print(words, markup=False)).run()


def _detached(held: Settings, port: int) -> None:
    from flows.environment import password_file
    from flows.supervise import standing

    if standing(held.state_dir):
        raise ConfigError(f"a tower is up in {held.state_dir} already: `act status`, `act down`")
    log = held.state_dir / "up.log"
    command = [sys.executable, "-m", "act_core.cli", *files(), "up", "--port", str(port)]
    with log.open("ab") as file:
        child = subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
    end = time.monotonic() + UP_S
    with err.status("bringing the tower up"):
        while time.monotonic() < end:
            said = standing(held.state_dir)
            if said and said["phase"] == "up":
                where = f"Prefect UI: {said['prefect']}   (password: {password_file(held)})"
                out.print(f"the tower is up; {where}", highlight=False, soft_wrap=True)
                _print_observing(held.arc.tower.observe)
                return
            if child.poll() is not None:
                break
            time.sleep(0.2)
    raise ActError(f"the tower did not come up; {log} ends with: {log.read_text(errors='replace')[-800:]}")


def down() -> None:
    """End what `act up` started: the worker drains, then Prefect's server. Jobs on the CEs go on."""
    from flows.supervise import take_down

    out.print("the tower is down" if take_down(state_dir()) else "no tower was up")


def status(json: Json = False) -> None:
    """What runs where, and what rests. Exit 1: no tower is up."""
    from flows.supervise import standing

    held = settings()
    said = standing(held.state_dir)
    with database(held) as db:
        ces = all_described(db, held)
        waiting = sum(count.n for count in db.read(listing.counts) if not count.ce)
        proxies = listed(held, db.read(credentials.known), now())
        held_now = db.read(ledger.standing)
        ending, holes, panda = ([line_of(row, now()).why for row in held_now if row.topic == one] for one in TOLD)
        brakes = holding(db)
        jobs = unsettled(db, held)
        queues = queue_list.summary(db, held)
    found = _described(held, said) | {"ces": ces, "waiting": waiting, "proxies": proxies, "brakes": brakes}
    found |= {"ending": ending, "black_holes": holes, "panda": panda, "panda_jobs": jobs, "queues": queues}
    if json:
        print_json(found)
    else:
        _print(found)
    if not found["up"]:
        raise typer.Exit(1)


def _described(held: Settings, said: dict[str, Any] | None) -> dict[str, Any]:
    from act_core.processes import lives
    from flows.environment import password_file
    from flows.supervise import healthy

    observing = bool(said and said.get("observing")) or held.arc.tower.observe
    known = {"state_dir": str(held.state_dir), "observing": observing}
    if said is None:
        return {"up": False, "phase": "down", "prefect": None, "processes": {}} | known
    processes = {name: lives(pid, start) for name, (pid, start) in said["children"].items()}
    answers = healthy(said["prefect"])
    good = said["phase"] == "up" and answers and all(processes.values())
    return known | {
        "up": good,
        "phase": said["phase"],
        "prefect": said["prefect"],
        "prefect_answers": answers,
        "prefect_password": str(password_file(held)),
        "processes": processes,
    }


def _print(found: dict[str, Any]) -> None:
    colour = "green" if found["up"] else "red"
    words = "up" if found["up"] else found["phase"]
    out.print(f"tower [{colour}]{words}[/{colour}]   state in {found['state_dir']}")
    if found["prefect"]:
        dead = [name for name, alive in found["processes"].items() if not alive]
        trouble = f"   not running: {', '.join(dead)}" if dead else ""
        out.print(f"Prefect UI {found['prefect']}   password in {found['prefect_password']}{trouble}", soft_wrap=True)
    _print_observing(found["observing"])
    _print_troubles(found)
    print_ces(found["ces"])
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
        until = f"until {one['expires']}" if one["expires"] else ""
        words = f"{one['kind'] or 'credential'} {one['path']} ({one['subject'] or 'nobody'}) {until}".strip()
        out.print(f"{words}{': ' + one['trouble'] if one['trouble'] else ''}", style="red" if one["bad"] else None)


def _print_troubles(found: dict[str, Any]) -> None:
    """The red ones first."""
    brakes = [f"{sentence(one)}; none of them moves (`act brake list`, docs/safety.md)" for one in found["brakes"]]
    ending = [f"{words} (`act credentials forecast`)" for words in found["ending"]]
    for words in (*brakes, *found["panda"]):
        out.print(words, style="red", markup=False)
    for words in (*told(found["panda_jobs"]), *ending, *found["black_holes"]):
        out.print(words, style="yellow", markup=False)

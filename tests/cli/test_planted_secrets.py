"""Secrets planted wherever a tower holds one are in no page, answer, log, command line, table or run of Prefect."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from prometheus_client import generate_latest
from sqlalchemy import MetaData, select
from sqlalchemy.orm import Session

from act_core import logs
from act_core.credentials.vault import make_key
from act_core.db.arrivals import add_jobs
from act_core.db.bootstrap import enter_configured
from act_core.db.policy_models import LedgerLine
from act_core.monitor.metrics import StateMetrics, registry_of
from act_core.settings import Settings, load_settings
from act_core.settings.changes import changes
from act_core.simulators.faults import Kind
from act_core.simulators.pki import TestPki
from act_core.simulators.token_issuer import Issuer, serve_issuer
from act_core.web import passwords
from act_core.web.app import ROUTERS
from flows import tasks, telling
from flows.deployments import all_deployments
from flows.environment import password_file
from flows.happenings import event_of
from flows.rounds import Window
from flows.supervise import Supervisor
from flows.window import ended
from tests.atlas.house import CE, QUEUE, WRAPPER, House, open_house
from tests.ce.arc_house import Builder
from tests.cli.conftest import Act
from tests.cli.every_command import COMMANDS, Command
from tests.cli.planted import ANSWER, MANUAL, NEVER, OF_JOBS, PEOPLE, Garden, by_hand, extra, files_for_others
from tests.flows.probes import Plain
from tests.web.conftest import sign_in
from tests.web.served import served

pytestmark = pytest.mark.faults

ROUND: tuple[str, ...] = ("refresh-queues", "renew-credentials", "fetch-jobs", "translate", "submit", "sweep-status")
ROUND += ("fetch-validate", "heartbeat", "clean")

# Where the jobs' own secrets may stand: what a job is to be told has to be kept until it is told.
DESCRIBED = {
    "job_descriptions.spec": "what the CE is to be sent; read by nobody but the engine, shown masked",
    "panda_jobs.job": "what PanDA sent, without its secret fields; shown field by field",
    "panda_jobs_archive.job": "the same",
}
NOT_RUN = {
    "up": "it stays in the foreground",
    "worker": "likewise",
    "down": "no tower is up",
    "demo": "it writes a configuration of its own",
    "web": "it serves the page, which is asked for itself",
    "web password": "it reads one",
    "web token": "it makes one, and shows it this once",
    "jobs add": "it reads a file",
    "simple submit": "it reads a file",
    "harvester submit": "it reads a file",
}
NOT_RUN |= {name: "a server for tests" for name in COMMANDS if name.startswith("simulate ")}
DEEDS = ("on", "rest", "stop", "drain", "offline", "cancel", "fetch", "rerun", "resubmit", "clean", "kill", "remove")
NOT_RUN |= {name: "it says what it did to what" for name in COMMANDS if name.rpartition(" ")[2] in DEEDS}
WORDS: dict[str, list[str]] = {  # of arguments and options; of others the commands say that nobody knows them
    "subject": ["away", MANUAL, "{panda}.1"],
    "ids": [MANUAL, "{panda}"],
    "panda_id": ["{panda}"],
    "name": ["away", QUEUE],
    "names": ["away"],
    "stage": ["submit"],
    "url": ["127.0.0.1:9"],
    "brake": ["1"],
    "file": ["nothing"],
    "--ce": ["away"],
    "--set": ["maxjobs=3"],
    "--day": ["today"],
}


@pytest.fixture
def argv() -> Iterator[list[str]]:
    """The command line of every process that is started meanwhile."""
    seen: list[str] = []
    listening = [True]

    def hear(event: str, facts: tuple[Any, ...]) -> None:  # a hook cannot be taken away
        if listening[0] and event == "subprocess.Popen":
            seen.append(" ".join(map(str, facts[1])))

    sys.addaudithook(hear)
    yield seen
    listening[0] = False


@pytest.fixture
def garden(place: Path, bare: Act, monkeypatch: pytest.MonkeyPatch) -> Garden:
    monkeypatch.setattr(passwords, "COST", 14)
    assert bare("bootstrap").code == 0
    return Garden(place)


@asynccontextmanager
async def tower(garden: Garden) -> AsyncIterator[House]:
    """The house, with CEs that refuse with secrets in their words."""
    pki = TestPki(garden.place / "pki")
    async with AsyncExitStack() as stack:
        issuer = await stack.enter_async_context(serve_issuer(Issuer({"act": NEVER["clientsecretfile"]}), pki.root))
        pki.proxy("alice", path=pki.root / "proxy.pem")
        arc = await Builder(pki, garden.place, stack)()
        house = await stack.enter_async_context(
            open_house(Settings(state_dir=garden.place / "state"), pki, garden.place)
        )
        app = house.rt.settings.app
        urls = {"panda": app.panda.server, "cric": app.cric.server, "storage": house.storage.url}
        urls |= {"wrapper": f"{house.storage.url}{WRAPPER}", "arc": arc.simulator.url, "issuer": issuer.url}
        garden.write(urls, pki)
        house.rt.settings = load_settings().settings
        logs.configure(house.rt.settings.arc.logger, house.rt.settings.state_dir)
        stack.callback(logs.close)
        await asyncio.to_thread(enter_configured, house.rt._db, house.rt.settings, house.rt.now())
        make_key(house.rt.settings, first=True)
        house.lay_out_pilot()
        await house.serve()
        await arc.fault("error", status=403, reason=ANSWER)
        yield house


async def test_planted_secrets_appear_nowhere(
    garden: Garden, argv: list[str], bare: Act, eventually: Callable[..., Awaitable[Any]], end_all: Any
) -> None:
    async with tower(garden) as house:
        (good,) = house.order(extra=extra(fail=0))
        (bad,) = house.order(kind="analysis", extra=extra(fail=3))
        await house.rt.write(add_jobs, house.rt.tower, [by_hand(ce) for ce in ("away", "nobody")], house.rt.now())
        await house.fault(house.cric, Kind.ERROR, status=500, reason=ANSWER, skip=1, times=1)
        await house.fault(house.panda, Kind.ERROR, path="acquire", status=500, reason=ANSWER, times=1)

        async def over() -> bool:
            await house.run(*ROUND)
            house.later(seconds=20)
            return {house.book(one).status for one in (good, bad)} == {"finished", "failed"}

        try:
            await eventually(over, "the end of both jobs")
        finally:
            await end_all(await house.rt.ce(CE), house.rt.settings.state_dir / "local" / CE)
        settings = house.rt.settings
        await as_prefect_sees_it(garden, house)
        garden.look("argv", "\n".join(argv))
        await asyncio.to_thread(on_the_pages, garden, settings, str(good))
        await asyncio.to_thread(in_what_commands_say, garden, bare, str(bad))
        await house.rt.read(in_the_tables, garden)
    in_what_holds(garden, settings)
    for name, text in files_for_others(garden.place / "state"):
        garden.look(f"file {name}", text)
    assert garden.found == []
    assert garden.looked_at > 200


async def as_prefect_sees_it(garden: Garden, house: House) -> None:
    """What its server is told of windows, of what the ledger noted, and of the deployments."""
    house.later(hours=2)
    window = Window(house.tower, "submit", 0, (), Plain())
    await window.run()
    state = ended(window)
    assert window.troubles, "the CEs refuse"
    garden.look("state of a run", str(state.message))
    garden.look("state of a task", str(tasks.ended(window.counts, list(window.troubles.values())).message))
    troubles = await telling._troubles(window)
    about = telling.gist(troubles, window.bugs)
    garden.look("report", str(telling.rows_of(window.did, troubles)) + telling.headed(about, state))
    lines = await house.rt.read(lambda session: list(session.scalars(select(LedgerLine))))
    assert lines
    for line in lines:
        garden.look("event", str(event_of(house.rt.tower, line)))
    for one in all_deployments():
        garden.look("deployment", str(one))


def on_the_pages(garden: Garden, settings: Settings, panda_id: str) -> None:
    """Every GET route, as each role has it, and as a program has it."""
    routes = [
        one for router in ROUTERS for one in router.routes if isinstance(one, APIRoute) and "GET" in (one.methods or ())
    ]
    places = list(chain.from_iterable(_places(one.path, panda_id) for one in routes))
    assert len(places) >= len(routes) > 20
    with served(settings) as client:
        for name in PEOPLE:
            client.cookies.clear()
            assert sign_in(client, name, f"{name}-{NEVER['password of people']}").status_code == 303
            api = name == "vera"  # what the others have of it, the program has
            _look_at(garden, client, [one for one in places if api or not one.startswith("/api")], name)
        client.cookies.clear()
        client.headers["Authorization"] = f"Bearer {NEVER['web token']}"
        _look_at(garden, client, [one for one in places if one.startswith("/api")], "a program")
        assert client.get("/api/me").json()["role"] == "admin"


def _places(path: str, panda_id: str) -> list[str]:
    for name, known in (("{name:path}", ("away", "nobody", QUEUE)), ("{number}", ("1",))):
        if name in path:
            return [path.replace(name, one) for one in known]
    if "{app}" in path:
        more = "?attempt=1&name=stdout" if path.startswith("/files") else ""
        jobs = (f"atlas/{panda_id}.1", f"manual/{MANUAL}")
        return [path.replace("{app}/{one:path}", one) + more for one in jobs]
    assert "{" not in path, f"what stands for the parts of {path}?"
    return [f"{path}?q={MANUAL}" if path.endswith("search") else path]


def _look_at(garden: Garden, client: httpx.Client, places: list[str], who: str) -> None:
    good = 0
    for one in places:
        answer = client.get(one)
        assert answer.status_code < 500, (one, answer.text)
        good += answer.status_code == 200
        garden.look(f"{one} as {who} has it", f"{answer.headers} {answer.text}")
    assert good > len(places) // 2


def in_what_commands_say(garden: Garden, act: Act, panda_id: str) -> None:
    """Every command, for people and for programs, with names of what there is."""
    assert set(NOT_RUN) <= set(COMMANDS)
    typed = f"for password={NEVER['password that a person types']}"
    garden.look("act ces rest", str(act("ces", "rest", "away", "--reason", typed)))
    for name, one in COMMANDS.items():
        if name in NOT_RUN:
            continue
        for words in _lines(one, panda_id):
            for more in ((), ("--json",)) if one.has("--json") else ((),):
                said = act(*words, *more)
                assert "Traceback" not in said.err, said
                garden.look(f"act {' '.join((*words, *more))}", said.out + said.err)
    for language in ("xrsl", "adl"):
        garden.look(f"act jobs show --as {language}", str(act("jobs", "show", MANUAL, "--as", language)))


def _lines(one: Command, panda_id: str) -> Iterator[list[str]]:
    needed = [word for option in one.options if option.required for word in _option(option.opts[0])]
    if not one.arguments:
        yield [*one.words, *needed]
    for argument in one.arguments[:1]:
        for word in WORDS.get(argument.name, [] if argument.required else [""]):
            yield [*one.words, *filter(None, [word.format(panda=panda_id)]), *needed]


def _option(name: str) -> list[str]:
    return [name, WORDS[name][0]]


def in_the_tables(session: Session, garden: Garden) -> None:
    """Every column of every row; a column that holds the jobs' own secrets says why."""
    metadata = MetaData()
    metadata.reflect(session.get_bind())
    columns = {f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.columns}
    assert set(DESCRIBED) <= columns
    for table in metadata.tables.values():
        for row in session.execute(table.select()).mappings():
            for name, value in row.items():
                where = f"{table.name}.{name}"
                text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
                garden.look(where, text, but=OF_JOBS if where in DESCRIBED else ())


def in_what_holds(garden: Garden, settings: Settings) -> None:
    """The log of a change of every secret, metrics, and the command lines of what `act up` starts."""
    for path in (settings.files["arc"], settings.files["app"]):
        path.write_text(path.read_text().replace("canary-", "changed-"))
    for one in (*changes(settings, load_settings().settings), *changes(Settings(state_dir=Path()), settings)):
        garden.look("change in the log", str(one))
    password_file(settings).touch(mode=0o600)
    password_file(settings).write_text(f"act:{NEVER['prefect password']}\n")
    said: list[str] = []
    up = Supervisor(settings, 4200, said.append, 0)
    children = [up.server, *up.workers, *([up.page.child] if up.page else [])]
    assert any(NEVER["prefect password"] in str(one.environment) for one in children), "it goes another way"
    garden.look("argv of act up", str([(one.name, one.command) for one in children]))
    state = StateMetrics(settings)
    garden.look("metrics", generate_latest(registry_of(state)).decode())
    state.close()

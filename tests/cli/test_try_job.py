"""`act jobs try`: the payload of a PanDA job in the terminal, and nobody is told."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Insert, insert, select
from sqlalchemy.orm import Session

from act_core.atlas import tryout
from act_core.atlas.cric import Queue
from act_core.atlas.cric_endpoints import CeEndpoint
from act_core.credentials.private import write_private
from act_core.credentials.vault import Vault
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaArchive, PandaQueue, PandaRow
from act_core.db.session import Database
from act_core.jobspec import JobSpec
from act_core.settings.model import Settings
from act_core.simulators.panda_jobs import JobOrder, expected_outputs, render
from act_core.simulators.pilot_file import wrapper
from tests.cli.conftest import Act

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SERVER = "panda.test.example:25443"
HERE = CeEndpoint(name="here", endpoint="localhost", kind="local", flavour="LOCAL-CE", queue=None)
NUMBER = 6_000_000_001


def add_row(session: Session, row: Insert) -> None:
    session.execute(row)


@pytest.fixture
def tables(act: Act, place: Path) -> Database:
    """A native queue, one with true pilots, and the pilot."""
    (place / "wrapper.sh").write_bytes(wrapper())
    told = {
        "panda": {"server": f"https://{SERVER}"},
        "executable": {"wrapperurl": str(place / "wrapper.sh"), "queuedata": ""},
    }
    (place / "aCTConfigAPP.yaml").write_text(json.dumps(told))
    db = Database(Settings(state_dir=place / "state"))
    for name in ("NATIVE", "TRUE"):
        queue = Queue(name=name, schedconfig=name, truepilot=name == "TRUE", endpoints=(HERE,), pilot_args="")
        row = {"server": SERVER, "name": name, "served": True, "status": "online", "raw": "{}", "seen_at": NOW}
        row |= {"parsed": json.loads(queue.model_dump_json()), "modified": NOW}
        db.write(add_row, insert(PandaQueue).values(row))
    return db


Booking = Callable[..., JobOrder]


@pytest.fixture
def book(tables: Database) -> Booking:
    """PanDA jobs that the tower has; by default in the hot table."""

    def add(number: int = NUMBER, table: Any = PandaRow, secrets: bytes | None = None, **order: Any) -> JobOrder:
        ordered = JobOrder.model_validate({"queue": "NATIVE", "run_s": 0} | order)
        row = {"server": SERVER, "panda_id": number, "attempt_nr": 1, "queue": ordered.queue, "label": "managed"}
        row |= {"state": "sent", "state_since": NOW, "job": json.dumps(render(ordered, number))}
        row |= {"created": NOW, "modified": NOW, "secrets": secrets}
        tables.write(add_row, insert(table).values(row))
        return ordered

    return add


def untouched(db: Database) -> Any:
    def read(session: Session) -> Any:
        rows = session.execute(select(PandaRow.panda_id, PandaRow.state, PandaRow.version)).all()
        return [tuple(row) for row in rows], session.scalars(select(CeJob.id)).all()

    return db.read(read)


def test_a_good_one_is_shown_with_its_outputs_and_the_report(act: Act, book: Booking, tables: Database) -> None:
    order = book(outputs=2, output_size=123)
    said = act("jobs", "try", NUMBER)
    outputs, log, _ = expected_outputs(order, NUMBER)
    assert (said.code, said.err) == (0, f"PanDA job {NUMBER} as of NATIVE (native); PanDA is told nothing\n")
    assert said.lines[0] == "pilot ended with exit code 0"
    assert "exit code 0; finished" in said.lines
    cells = {line.split()[0]: line.split()[1:] for line in said.lines if line.startswith(("HITS", "log."))}
    assert cells.keys() == {*outputs, log}
    assert cells[outputs[0]][0] == "123"
    assert "job_status finished" in said.lines
    assert untouched(tables) == ([(NUMBER, "sent", 0)], [])


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"fail": 3}, "trans_exit_code 3"),
        ({"die": "killed"}, "pilot_error_code 9000"),
        ({"die": "wrong-checksum"}, "pilot_error_code 1137"),
        ({"die": "truncated-heartbeat"}, "pilot_error_code 9000"),
        ({"die": "no-report"}, "pilot_error_diag the pilot left no heartbeat.json"),
    ],
    ids=lambda value: " ".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_bad_one_says_what_panda_would_be_told(act: Act, book: Booking, order: dict[str, Any], words: str) -> None:
    book(**order)
    said = act("jobs", "try", NUMBER)
    assert said.code == 1
    assert words in said.lines
    assert "job_status failed" in said.lines


def test_a_true_pilot_is_run_with_its_reports_off_and_in_a_directory_that_stays(
    act: Act, book: Booking, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = book(table=PandaArchive, queue="TRUE")
    (place / "authorities").mkdir()
    monkeypatch.setenv("ACT_VOMS__CACERTDIR", str(place / "authorities"))
    said = act("jobs", "try", NUMBER, "--directory", place / "kept", "--json")
    assert said.code == 0
    assert (said.json["exit_code"], said.json["report"]["job_status"]) == (0, "finished")
    (output,), log, _ = expected_outputs(order, NUMBER)
    assert [one["lfn"] for one in said.json["outputs"]] == [output, log]
    assert (place / "kept" / "ce" / "try" / "session" / output).stat().st_size == said.json["outputs"][0]["size"]
    told = json.loads((place / "kept" / "ce" / "try" / "job.json").read_text())
    assert told["environment"]["X509_USER_PROXY"] == os.devnull
    assert told["environment"]["X509_CERT_DIR"] == str(place / "authorities")
    assert "https://127.0.0.1" in told["argv"]


def test_a_file_of_a_job_that_the_tower_does_not_have(act: Act, tables: Database, place: Path) -> None:
    job = render(JobOrder(queue="NATIVE", run_s=0), NUMBER)
    (place / "jobs.json").write_text(json.dumps([{"PandaID": 1}, job]))
    assert act("jobs", "try", NUMBER, "--job", "jobs.json", "--queue", "NATIVE").code == 0
    assert act("jobs", "try", 7, "--job", "jobs.json", "--queue", "NATIVE").err == (
        "jobs.json holds no job with PandaID 7\n"
    )


def test_the_payload_gets_the_jobs_secrets_and_nobody_else_does(act: Act, book: Booking, place: Path) -> None:
    write_private(key := place / "state" / "secrets.key", Fernet.generate_key())
    book(secrets=Vault(key).seal(json.dumps({"secrets": "of-the-user"})))
    said = act("jobs", "try", NUMBER, "--directory", place / "kept")
    session = place / "kept" / "ce" / "try" / "session"
    assert said.code == 0
    assert "secrets=of-the-user" in (session / "pandaJobData.out").read_text()
    assert "of-the-user" not in said.out + said.err
    assert session.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((7,), "the tower has no PanDA job 7; `--job FILE` names a file with it"),
        ((NUMBER, "--queue", "NONE"), "PanDA queue 'NONE' is not known here: `act sweep refresh-queues` asks CRIC"),
        ((NUMBER, "--server", "x"), f"no PanDA server x; there are {SERVER}"),
        ((NUMBER, "--job", "aCTConfigAPP.yaml"), "aCTConfigAPP.yaml does not say where: name the queue with `--queue`"),
        ((NUMBER, "--directory", "state"), "--directory state: File exists; name a new one"),
    ],
)
def test_what_cannot_be_tried_is_said(act: Act, book: Booking, words: tuple[object, ...], complaint: str) -> None:
    book()
    said = act("jobs", "try", *words)
    assert said.code == 2
    assert said.err.splitlines()[-1].startswith(complaint)


@pytest.mark.parametrize(("number", "exits"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
async def test_whatever_ends_it_ends_the_payload(
    book: Booking, place: Path, eventually: Callable[..., Awaitable[Any]], number: signal.Signals, exits: int
) -> None:
    book(run_s=300)
    command = [sys.executable, "-m", "act_core.cli", "jobs", "try", str(NUMBER), "--directory", "kept"]
    job = place / "kept" / "ce" / "try"
    nowhere = asyncio.subprocess.DEVNULL
    tried = await asyncio.create_subprocess_exec(*command, cwd=place, stdout=nowhere, stderr=nowhere)

    async def started() -> bool:
        return (job / "started").exists()

    try:
        await eventually(started, "the payload's start")
    finally:
        tried.send_signal(number)
        code = await asyncio.wait_for(tried.wait(), 20)
    assert code == exits
    assert json.loads((job / "ended.json").read_text())["killed"]
    assert mentioning(job / "session") == []


async def test_a_temporary_directory_goes_with_it(
    book: Booking, place: Path, eventually: Callable[..., Awaitable[Any]]
) -> None:
    book(run_s=300)
    command = [sys.executable, "-m", "act_core.cli", "jobs", "try", str(NUMBER)]
    (place / "tmp").mkdir()
    environment, nowhere = os.environ | {"TMPDIR": str(place / "tmp")}, asyncio.subprocess.DEVNULL
    tried = await asyncio.create_subprocess_exec(*command, cwd=place, stdout=nowhere, stderr=nowhere, env=environment)

    async def started() -> bool:
        return any((place / "tmp").glob("act-try-*/ce/try/started"))

    try:
        await eventually(started, "the payload's start")
    finally:
        tried.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(tried.wait(), 20)
    assert (code, list((place / "tmp").glob("act-try-*"))) == (143, [])
    assert mentioning(place / "tmp") == []


def mentioning(directory: Path) -> list[int]:
    """Processes that work in a directory, or below."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another account's
            found += [int(process.name)] if (process / "cwd").readlink().is_relative_to(directory) else []
    return found


async def test_who_ends_it_as_it_begins_ends_the_payload(place: Path) -> None:
    spec = JobSpec(name="long", executable="/bin/sleep", arguments=("300",))
    trial = asyncio.ensure_future(
        tryout.run(Settings(state_dir=place / "state"), spec, place, lambda: NOW, lambda _: None)
    )
    job = place / "ce" / "try"
    async with asyncio.timeout(20):
        while not (job / "started").exists():  # noqa: ASYNC110 - a file of another process
            await asyncio.sleep(0.001)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert json.loads((job / "ended.json").read_text())["killed"]

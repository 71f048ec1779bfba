"""The whole life of jobs on a real A-REX, counted by the payloads' own trace and by the CE's list."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from arex import Arex
from house import CE, House, open_house

from act_core.jobspec import InputFile, OutputFile
from act_core.states import CeState, Request

pytestmark = pytest.mark.real

NUMBER = 20
WATCH = ("submit", "sweep-status")
S = CeState


@pytest.fixture
async def house(arex: Arex, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(arex, tmp_path / "state") as opened:
        yield opened


async def test_twenty_jobs_with_inputs_and_outputs(house: House, tmp_path: Path) -> None:
    here = tmp_path / "local.txt"
    here.write_text("from the tower's disk\n")
    house.files.put("/in/remote.txt", b"from storage\n")
    inputs = (
        InputFile(name="text.txt", content="as text\n"),
        InputFile(name="local.txt", source=str(here)),
        InputFile(name="remote.txt", source=f"{house.storage}/in/remote.txt"),
    )
    names = [f"life{number}" for number in range(NUMBER)]
    script = "cat text.txt local.txt remote.txt > out.txt; mkdir d; echo $JOB > d/deep.txt; cp out.txt copy.txt"
    for name in names:
        outputs = (
            OutputFile(name="out.txt"),
            OutputFile(name="d/"),
            OutputFile(name="copy.txt", target=f"{house.storage}/out/{name}.txt"),
        )
        environment = {"JOB": name}
        await house.add(CE, house.spec(name, script, inputs=inputs, outputs=outputs, environment=environment))
    rows = await house.to_the_end(*names)
    assert {name: row.state for name, row in rows.items()} == dict.fromkeys(names, S.DONE)
    assert {name: house.executed()[name] for name in names} == dict.fromkeys(names, 1)
    whole = "as text\nfrom the tower's disk\nfrom storage\n"
    assert [house.output(rows[name], "out.txt") for name in names] == [whole] * NUMBER
    assert [house.output(rows[name], "d/deep.txt") for name in names] == [f"{name}\n" for name in names]
    assert {f"/out/{name}.txt" for name in names} < {f"/{file.path}" for file in house.files.listed()}
    assert house.files.get("/out/life7.txt").decode() == whole
    assert {row.exit_code for row in rows.values()} == {0}
    assert None not in {row.wall_s for row in rows.values()}


async def test_a_running_job_is_cancelled(house: House) -> None:
    await house.add(CE, house.spec("cancelled", "sleep 600"))
    await house.until(lambda rows: rows["cancelled"].state == S.RUNNING, "cancelled", stages=WATCH)
    await house.wish(Request.CANCEL, "cancelled")
    rows = await house.to_the_end("cancelled")
    assert rows["cancelled"].state == S.CANCELLED
    assert house.executed()["cancelled"] == 1


async def test_a_failed_job_brings_home_what_it_left(house: House) -> None:
    outputs = (OutputFile(name="out.txt"), OutputFile(name="never.txt"))
    script = "echo partial > out.txt; echo sorry >&2; exit 3"
    await house.add(CE, house.spec("failing", script, outputs=outputs, log_dir="log"))
    row = (await house.to_the_end("failing"))["failing"]
    assert row.state == S.DONEFAILED
    assert row.exit_code == 3
    assert row.error
    assert house.output(row, "out.txt") == "partial\n"
    assert house.output(row, "stderr.txt") == "sorry\n"
    assert "failedstate=INLRMS" in house.output(row, "log/local")
    assert "exit code" in house.output(row, "log/failed")
    assert house.executed()["failing"] == 1


async def test_a_job_whose_input_was_missing_is_rerun_where_it_is(house: House) -> None:
    late = InputFile(name="late.txt", source=f"{house.storage}/in/late.txt")
    outputs = (OutputFile(name="out.txt"),)
    await house.add(CE, house.spec("again", "cp late.txt out.txt", inputs=(late,), outputs=outputs, reruns=2))
    failed = await house.until(lambda rows: rows["again"].state == S.FAILED, "again", stages=WATCH)
    assert not house.executed()["again"]
    house.files.put("/in/late.txt", b"late\n")
    await house.wish(Request.RERUN, "again")
    row = (await house.to_the_end("again"))["again"]
    assert (row.state, row.reruns, row.remote_id) == (S.DONE, 1, failed["again"].remote_id)
    assert house.output(row, "out.txt") == "late\n"
    assert house.executed()["again"] == 1

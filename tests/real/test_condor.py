"""The life of jobs through a real schedd and CE, counted by the payloads' own trace and by condor_q."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from condor import Condor, open_to_jobs
from condor_house import CondorHouse, open_condor_house

from act_core.ce.base import TowerId
from act_core.ce.registry import open_ce
from act_core.db import leases
from act_core.db.attempts import new_key
from act_core.jobspec import InputFile, OutputFile
from act_core.settings.model import Settings, Site
from act_core.states import CeState, Request

pytestmark = pytest.mark.real

S = CeState
NUMBER, KILLS = 50, 4
WATCH = ("submit", "sweep-status")
SUBMITTER = Path(__file__).with_name("condor_submitter.py")


@pytest.fixture
def tmp_path(open_path: Path) -> Path:
    return open_path


@pytest.fixture
async def house(condor: Condor, tmp_path: Path) -> AsyncIterator[CondorHouse]:
    sites = {
        "shared": condor.grid(),
        "spool": condor.grid() | {"files": "spool"},
        "pool": condor.vanilla(),
    }
    async with open_condor_house(condor, tmp_path, sites) as opened:
        yield opened


async def test_lives_through_the_ce(house: CondorHouse) -> None:
    """Both ways for files at a time: each job takes the CE its quarter of a minute."""
    names = []
    for ce in ("shared", "spool"):
        text = InputFile(name="in/text.txt", content="as text\n")
        outputs = (OutputFile(name="out.txt"), OutputFile(name="d/"), OutputFile(name="no", optional=True))
        script = "cat in/text.txt > out.txt; mkdir d; echo $WHO > d/deep.txt"
        good = house.spec(f"{ce}-good", script, inputs=(text,), outputs=outputs, environment={"WHO": 'a "b" $c'})
        bad = house.spec(f"{ce}-bad", "echo partial > out.txt; exit 3", outputs=outputs, log_dir="log")
        long = house.spec(f"{ce}-long", "sleep 600", cores=2, walltime=timedelta(hours=1), queue="long")
        await house.add(ce, good, bad, long)
        names += [spec.name for spec in (good, bad, long)]
    long_ones = [name for name in names if name.endswith("long")]
    await house.until(lambda rows: {row.state for row in rows.values()} == {S.RUNNING}, *long_ones, stages=WATCH)
    asked = ["JobPrio", "RequestCpus", "MaxRuntime", "maxWallTime", "xcount", "maxMemory", "queue"]
    said = house.pair.run("ce", "condor_q", "-allusers", "-const", "JobStatus == 2 && RequestCpus == 2", "-af", *asked)
    assert said.splitlines() == ["50 2 3600 60 2 100 long"] * 2
    await house.wish(Request.CANCEL, *long_ones)
    rows = await house.to_the_end(*names)
    assert {name: row.state for name, row in rows.items()} == {
        f"{ce}-{kind}": state
        for ce in ("shared", "spool")
        for kind, state in (("good", S.DONE), ("bad", S.DONEFAILED), ("long", S.CANCELLED))
    }
    assert house.executed() == dict.fromkeys(names, 1)
    for ce in ("shared", "spool"):
        good_row, bad_row = rows[f"{ce}-good"], rows[f"{ce}-bad"]
        assert house.output(good_row, "out.txt") == "as text\n"
        assert house.output(good_row, "d/deep.txt") == 'a "b" $c\n'
        assert house.output(bad_row, "out.txt") == "partial\n"
        assert 'GridJobId = "condor ce@localhost' in house.output(bad_row, "log/description")
        assert (bad_row.exit_code, bad_row.error) == (3, "exit code 3")
        assert good_row.wall_s is not None
    await house.until_empty("submit")
    assert not list((house.root / "jobs").glob("*/act-*"))


async def killed_when(house: CondorHouse, settings: Path, reached: Callable[[], bool]) -> None:
    """A tower submits in a process of its own, and is killed by SIGKILL at this point."""
    child = await asyncio.create_subprocess_exec(sys.executable, SUBMITTER, settings)
    try:
        for _ in range(6000):
            if reached():
                break
            assert child.returncode is None, "the submitter ended by itself"
            await asyncio.sleep(0.005)
    finally:
        child.kill()
        await child.wait()


async def test_fifty_submissions_whose_sender_is_killed_again_and_again(house: CondorHouse) -> None:
    names = [f"killed{number}" for number in range(NUMBER)]
    await house.add("pool", *(house.spec(name) for name in names))
    settings = house.root / "settings.json"
    settings.write_text(house.rt.settings.model_dump_json())
    shelf = house.root / "jobs/pool"

    def made(number: int) -> Callable[[], bool]:
        return lambda: sum(1 for _ in shelf.glob("act-*")) >= number

    def taken(number: int) -> Callable[[], bool]:
        return lambda: house.queued("ce") >= number

    points = sorted(random.sample(range(1, NUMBER), KILLS))  # the n-th directory is made, or the n-th job is queued
    for number in points:
        open_to_jobs(house.root)
        await killed_when(house, settings, random.choice([made, taken])(number))
    await house.rt.write(leases.end_dead, house.rt.now())
    rows = await house.to_the_end(*names)
    odd = {name: (row.state, row.error) for name, row in rows.items() if row.state != S.DONE}
    assert not odd, points
    assert house.executed() == dict.fromkeys(names, 1), points
    await house.until_empty("ce")


async def test_what_a_killed_sender_left_half_spooled_is_no_job(
    condor: Condor, tmp_path: Path, eventually: Callable[..., Awaitable[Any]]
) -> None:
    open_to_jobs(tmp_path)
    tower, late = TowerId("tower009"), timedelta(0)
    site = Site(kind="htcondor", options=condor.vanilla() | {"files": "spool"})
    ce = open_ce(Settings(state_dir=tmp_path), "half", lambda: datetime.now(UTC) + late, site)
    key = new_key(tower)
    script = (
        "import json, sys, htcondor2 as h\n"
        "knobs, pool, key = json.loads(sys.argv[1])\n"
        "for knob in knobs: h.param[knob] = knobs[knob]\n"
        "schedd = h.Schedd(h.Collector(pool).locate(h.DaemonType.Schedd, 'ce@localhost'))\n"
        "ours = {'My.ActSite': '\"half\"', 'My.ActKey': '\"' + key + '\"'}\n"
        "schedd.submit(h.Submit({'universe': 'vanilla', 'executable': '/bin/true', **ours}), count=1, spool=True)\n"
    )
    words = json.dumps([condor.knobs, f"127.0.0.1:{condor.ports['ce']}", key])
    done = await asyncio.create_subprocess_exec(sys.executable, "-c", script, words, cwd=tmp_path)
    assert await done.wait() == 0
    young = await ce.list_mine(tower, set())
    assert (dict(young.mine), len(young.nameless), young.complete) == ({}, 1, False)
    late = timedelta(hours=1)
    assert (await ce.list_mine(tower, set())).complete
    (job,) = young.nameless

    async def gone() -> bool:
        return job not in await ce.states([job]) and not (await ce.list_mine(tower, set())).nameless

    await eventually(gone, "the schedd forgets it")
    await ce.close()

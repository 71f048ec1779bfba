"""A-REX of our own account, without network: a tower that is killed while it submits, and a proxy that is renewed."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from arex import Arex
from arex_account import acting_as, open_directory
from real_benches import ACCOUNT, Servers, leave_nothing

from act_core.ce.base import ComputingElement, Credential, RemoteId
from act_core.ce.registry import open_ce
from act_core.db.attempts import new_key
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec, OutputFile
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Voms
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.storage_files import Files, Inputs
from act_core.simulators.storage_http import Manners, Shelf
from act_core.states import ENDED, CeState
from tests.contract.benches import TOWER

pytestmark = pytest.mark.real

NUMBER, SOME = 40, 10
PATIENCE_S, PAUSE_S, PACE_S = 120.0, 0.2, 0.02
FIRST_LIFE = timedelta(seconds=30)
COMMIT = InputFile(name=COMMIT_FILE, content="ok\n")
S = CeState


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.close()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """One that the jobs can reach."""
    with open_directory() as made:
        yield made


@pytest.fixture(params=["6", "7"], ids=["arex6", "arex7"])
def own(request: pytest.FixtureRequest, servers: Servers) -> Arex:
    return servers.arex(request.param)


def utc() -> datetime:
    return datetime.now(UTC)


def slowly() -> datetime:
    """A clock that takes its time: the tower looks at it just before a job becomes visible."""
    time.sleep(PACE_S)
    return utc()


def opened(arex: Arex, root: Path, now: Callable[[], datetime] = utc, proxy: Path | None = None) -> ComputingElement:
    site = Site(kind="arc-internal", options={"arc_config": str(arex.home / "arc.conf"), "grace": 0})
    arc = ArcSettings(voms=Voms(proxypath=proxy, cacertdir=arex.ca_dir)) if proxy else ArcSettings()
    return open_ce(Settings(state_dir=root, arc=arc), "ce", now, site)


async def over(ce: ComputingElement, jobs: list[RemoteId]) -> dict[RemoteId, CeState | None]:
    """Their states, once all have ended."""
    return await until(ce, jobs, lambda states: set(states.values()) <= ENDED)


async def until(
    ce: ComputingElement, jobs: list[RemoteId], reached: Callable[[dict[RemoteId, CeState | None]], bool]
) -> dict[RemoteId, CeState | None]:
    end = asyncio.get_running_loop().time() + PATIENCE_S
    while not reached(states := {job: seen.state for job, seen in (await ce.states(jobs)).items()}):
        assert asyncio.get_running_loop().time() < end, f"never came true: {states}"
        await asyncio.sleep(PAUSE_S)
    return states


def statuses(arex: Arex) -> int:
    return sum(1 for path in arex.control_dir.rglob("*.status"))


def descriptions(arex: Arex) -> int:
    """Jobs whose description has its name; the draft of one being written has a dot before it."""
    found = (path for path in arex.control_dir.rglob("*description") if not path.name.startswith("."))
    return sum(1 for path in found if path.is_file())


def forked(work: Callable[[], Awaitable[object]]) -> int:
    """A copy of this process, with its account, that does the work and ends; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            asyncio.run(work())  # type: ignore[arg-type]
        finally:
            os._exit(0)
    return pid


def test_a_tower_that_is_killed_while_it_submits(own: Arex, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    specs = {
        new_key(TOWER): JobSpec(executable="/bin/sh", arguments=("-c", f"echo {number} >> {witness}"))
        for number in range(NUMBER)
    }
    with acting_as(ACCOUNT, tmp_path):
        assert descriptions(own) == 0
        pid = forked(lambda: opened(own, tmp_path, slowly).submit(specs))
        end = time.monotonic() + PATIENCE_S
        while statuses(own) < SOME:
            assert time.monotonic() < end, "the tower submits nothing"
            time.sleep(PACE_S / 4)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        made = statuses(own)
        assert SOME <= made < NUMBER
        begun = descriptions(own)
        asyncio.run(afterwards(own, tmp_path, made))
    assert begun - made in (0, 1)
    counted = Counter(witness.read_text().split())
    assert len(counted) == made
    assert set(counted.values()) == {1}


async def afterwards(own: Arex, root: Path, made: int) -> None:
    ce = opened(own, root)
    jobs = list((await ce.list_mine(TOWER, set())).mine)
    assert len(jobs) == made
    assert descriptions(own) == made  # what was begun is taken away
    assert len(list(own.session_dir.iterdir())) == made
    assert await ce.put_inputs({job: [COMMIT] for job in jobs}) == dict.fromkeys(jobs)
    assert set((await over(ce, jobs)).values()) == {S.FINISHED}
    await leave_nothing(ce, own)
    assert descriptions(own) == 0


async def test_a_job_that_outlives_its_first_proxy_writes_to_storage(own: Arex, tmp_path: Path) -> None:
    pki, files, gate = TestPki(own.home / "pki"), Files(None), tmp_path / "gate"
    files.put("/in/a.txt", b"from storage\n")
    proxy = pki.proxy("alice", FIRST_LIFE, path=tmp_path / "proxy.pem")
    ends = utc() + FIRST_LIFE
    tls = server_context(pki.host, pki.ca_dir)
    async with Simulator(Shelf(files, Inputs(), Manners()).app(), tls=tls) as storage:
        url = storage.url.replace("127.0.0.1", "localhost")
        spec = JobSpec(
            executable="/bin/sh",
            arguments=("-c", f"while [ ! -e {gate} ]; do sleep 0.2; done; cat a.txt > b.txt"),
            inputs=(InputFile(name="a.txt", source=f"{url}/in/a.txt"),),
            outputs=(OutputFile(name="b.txt", target=f"{url}/out/b.txt"),),
        )
        with acting_as(ACCOUNT, tmp_path):
            ce, key = opened(own, tmp_path, proxy=proxy), new_key(TOWER)
            job = RemoteId(str((await ce.submit({key: spec}))[key]))
            assert await ce.put_inputs({job: [COMMIT]}) == {job: None}
            await until(ce, [job], lambda states: states[job] is S.RUNNING)
            await asyncio.sleep(max(0.0, (ends - utc()).total_seconds()))
            pki.proxy("alice", path=proxy)
            await ce.renew(Credential(proxy, "", utc()))
            gate.touch()
            states = await over(ce, [job])
            assert states == {job: S.FINISHED}, await ce.details([job])
            await leave_nothing(ce, own)
    assert files.get("/out/b.txt") == b"from storage\n"

"""Two jobs of our own try a CE: whatever happens, none of them is left there."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from act_core.ce.arc_rest import ArcCe, Options
from act_core.ce.base import ComputingElement, RemoteId, Seen
from act_core.ce.diagnosis import Diagnosable, Finding
from act_core.ce.registry import open_ce
from act_core.db.attempts import new_key
from act_core.engine.orphans import sorted_out
from act_core.engine.trial import Plan, Trial
from act_core.ids import SubmissionKey, TowerId, is_trial, key_belongs, trial_key
from act_core.settings.model import Settings, Site
from act_core.simulators.arc_process import real_payload
from act_core.simulators.pki import TestPki
from act_core.states import CeState
from tests.ce.arc_house import Builder, House

TOWER = TowerId("tower001")
PLAN = Plan(sleep=0, deadline=20, watch=0, leave=20, pause=0.01)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    made = TestPki(tmp_path_factory.mktemp("pki"))
    made.proxy("alice", path=made.root / "proxy.pem")
    return made


@pytest.fixture
async def house(pki: TestPki, tmp_path: Path) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        yield await Builder(pki, tmp_path, stack)(payload=real_payload)


def trial(ce: ComputingElement, plan: Plan = PLAN) -> tuple[Trial, dict[str, Finding], list[str]]:
    """A trial, what it will find by step, and the steps that it begins."""
    found: dict[str, Finding] = {}
    begun: list[str] = []
    made = Trial(ce, TOWER, plan, lambda: datetime.now(UTC), lambda one: found.update({one.step: one}), begun.append)
    return made, found, begun


async def living(house: House) -> list[Any]:
    return [job for job in await house.jobs() if not job["removed"]]


def test_the_key_of_a_trial_is_ours_and_known_as_one() -> None:
    key = new_key(TOWER)
    made = trial_key(key)
    assert key_belongs(made, TOWER)
    assert is_trial(made)
    assert not is_trial(key)
    assert len({trial_key(new_key(TOWER)) for _ in range(20)}) == 20


def test_what_a_killed_trial_left_is_an_orphan_that_needs_no_question() -> None:
    left, unknown = trial_key(new_key(TOWER)), new_key(TOWER)
    odd = sorted_out({RemoteId("a"): left, RemoteId("b"): unknown}, {})
    assert (odd.dead, odd.late, odd.unknown) == ({"a": left}, {}, {"b": unknown})


async def test_its_jobs_carry_such_keys(house: House) -> None:
    run, _, _ = trial(house.client())
    assert await run.run()
    assert [is_trial(SubmissionKey(job["name"])) for job in await house.jobs()] == [True, True]
    assert await living(house) == []


async def test_an_interruption_leaves_nothing(house: House, eventually: Callable[..., Awaitable[Any]]) -> None:
    await house.order("/pace", {"slots": 0})
    run, found, begun = trial(house.client())
    task = asyncio.create_task(run.run())

    async def waiting() -> bool:
        return "run (QUEUING)" in begun

    await eventually(waiting, "a job in the queue")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await living(house) == []
    assert found["clean"].words == "nothing of ours is left there"


async def test_jobs_whose_answer_was_lost_are_found_by_their_name(house: House) -> None:
    await house.fault("accept_hangup", method="POST", action="new", path="/jobs")
    run, found, _ = trial(house.client())
    assert not await run.run()
    assert "after the request had left" in found["submit"].words
    assert len(await house.jobs()) == 2
    assert await living(house) == []


async def test_what_cannot_be_removed_is_named(house: House) -> None:
    await house.fault("error", method="POST", action="clean", status=500, reason="disk full")
    run, found, _ = trial(house.client())
    assert not await run.run()
    ids = {job["id"] for job in await living(house)}
    assert len(ids) == 2
    assert all(one in found["clean"].words for one in ids)
    assert found["clean"].do.startswith("Ask the site to remove them")


async def test_a_ce_that_does_not_take_files_is_told_of(house: House) -> None:
    await house.fault("error", method="PUT", path="/session/", status=507, reason="Insufficient Storage")
    run, found, _ = trial(house.client())
    assert not await run.run()
    assert "507 Insufficient Storage" in found["inputs"].words
    assert await living(house) == []


async def test_a_disk_of_ours_that_is_full_is_told_of(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tempfile.mkdtemp

    def full(suffix: str | None, prefix: str, place: str | None) -> str:
        if prefix == "act-trial-":
            raise OSError(28, "No space left on device", "/tmp/act-trial-x")
        return real(suffix, prefix, place)

    monkeypatch.setattr("tempfile.mkdtemp", full)
    run, found, _ = trial(house.client())
    assert not await run.run()
    assert found["output"].words == "/tmp/act-trial-x: No space left on device"
    assert "of this machine" in found["output"].do
    assert await living(house) == []


async def test_a_job_that_does_not_wait_for_its_input_is_told_of(house: House) -> None:
    class Eager(ArcCe):
        """A CE that tells of its jobs what A-REX does not."""

        async def states(self, ids: Collection[RemoteId]) -> Mapping[RemoteId, Seen]:
            known = await super().states(ids)
            return {job: Seen(CeState.RUNNING, "RUNNING") for job in known}

    ce = Eager(house.client()._place, Options())
    run, found, _ = trial(ce)
    assert not await run.run()
    await ce.close()
    assert found["two-phase"].words.startswith("it does not wait for its input")
    assert "inputs" not in found
    assert await living(house) == []


async def test_a_back_end_that_tells_little_is_tried_with_jobs_alone(
    tmp_path: Path, end_all: Callable[[ComputingElement, Path], Awaitable[None]]
) -> None:
    ce = open_ce(
        Settings(state_dir=tmp_path), "ce", lambda: datetime.now(UTC), Site(kind="local", options={"slots": 2})
    )
    assert not isinstance(ce, Diagnosable)
    run, found, _ = trial(ce)
    assert await run.run()
    assert found["TLS"].words == "a local CE has none, or tells nothing of it"
    assert found["answer"].words.startswith("2 slots")
    assert found["output"].words == "what went there came back"
    assert [path.name for path in (tmp_path / "local" / "ce").glob("[!.]*")] == []
    await end_all(ce, tmp_path / "local" / "ce")
    await ce.close()

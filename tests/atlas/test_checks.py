"""Questions to storage go on beside the rounds: a slow storage host holds up its own jobs alone."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from act_core.atlas import checks, validate
from act_core.errors import CredentialError
from act_core.simulators.faults import Kind
from act_core.states import PandaState
from act_core.storage.storage import Storage
from tests.atlas.house import House

P = PandaState


class Slow:
    """A storage that answers nobody until it is told to."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        content = house.shelf.files.get

        def get(path: str) -> bytes:
            self.asked.set()
            self.go_on.wait(30)
            return content(path)

        monkeypatch.setattr(house.shelf.files, "get", get)


@pytest.fixture
def slow(queue: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.setattr(checks, "BATCH_S", 0.01)
    monkeypatch.setattr(checks, "PATIENCE_S", 0.1)
    found = Slow(queue, monkeypatch)
    yield found
    found.go_on.set()


async def elsewhere(house: House, number: int, directory: Path) -> None:
    """The job's outputs lie on another storage, which answers."""
    house.configure(validation={"filedirs": (directory,)})
    produced = house.produced(number)
    files = json.loads(str((await house.row(number)).outputs))
    for file in files:
        (directory / file["lfn"]).write_bytes(produced.files[file["lfn"]])
        file["url"] = (directory / file["lfn"]).as_uri()
    await house.change(number, outputs=json.dumps(files))


async def ended(house: House, n: int) -> list[int]:
    numbers = await house.bound(n)
    for number in numbers:
        await house.ended(number)
    return numbers


async def under_way(house: House) -> None:
    """Wait for what is asked."""
    tasks = validate.checks(house.rt)._rounds
    await asyncio.wait(tasks)


async def test_a_slow_host_holds_up_no_job_of_another(queue: House, slow: Slow, tmp_path: Path) -> None:
    waits, good = await ended(queue, 2)
    await elsewhere(queue, good, tmp_path)
    assert await validate.validate(queue.rt, validate.KEY) == {"files match": 2, "validated": 1}
    assert await queue.states() == {waits: P.TOVALIDATE.value, good: P.TOREPORT.value}
    assert await validate.due(queue.rt) == []  # claimed: nobody asks for it again
    (later,) = await ended(queue, 1)
    await elsewhere(queue, later, tmp_path)
    assert (await validate.validate(queue.rt, validate.KEY))["validated"] == 1
    slow.go_on.set()
    await under_way(queue)
    assert await validate.due(queue.rt) == [validate.KEY]
    assert (await validate.validate(queue.rt, validate.KEY))["validated"] == 1
    assert set((await queue.states()).values()) == {P.TOREPORT.value}
    assert {row.check_due_at for row in (await queue.rows()).values()} == {None}


async def test_a_claim_runs_out_when_its_process_is_gone(queue: House, slow: Slow) -> None:
    (number,) = await ended(queue, 1)
    assert await validate.validate(queue.rt, validate.KEY) == {}
    slow.go_on.set()
    await validate.checks(queue.rt).close()
    assert await validate.due(queue.rt) == []
    queue.later(minutes=12)
    assert await validate.due(queue.rt) == [validate.KEY]
    assert (await validate.validate(queue.rt, validate.KEY))["validated"] == 1
    assert (await queue.row(number)).state == P.TOREPORT.value


async def test_a_job_that_is_killed_meanwhile_is_let_go(queue: House, slow: Slow) -> None:
    (number,) = await ended(queue, 1)
    assert await validate.validate(queue.rt, validate.KEY) == {}
    await queue.change(number, state=P.TOKILL.value)
    slow.go_on.set()
    await under_way(queue)
    assert (await validate.validate(queue.rt, validate.KEY))["validated"] == 0
    assert (await queue.row(number)).state == P.TOKILL.value
    assert len(validate.checks(queue.rt)) == 0


async def test_a_round_that_is_the_last_one_waits_for_all(queue: House, slow: Slow) -> None:
    (number,) = await ended(queue, 1)
    queue.rt.lasting = False
    round_ = asyncio.create_task(validate.validate(queue.rt, validate.KEY))
    assert await asyncio.to_thread(slow.asked.wait, 30)
    slow.go_on.set()
    assert (await round_)["validated"] == 1
    assert (await queue.row(number)).state == P.TOREPORT.value


async def test_a_credential_of_ours_that_cannot_be_used_judges_no_job(
    queue: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    (number,) = await ended(queue, 1)

    async def answers(_self: Storage, _files: object) -> object:
        raise CredentialError("the proxy has expired")
        yield

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "answers", answers)
        with pytest.raises(CredentialError, match="has expired"):
            await validate.validate(queue.rt, validate.KEY)
    row = await queue.row(number)
    assert (row.state, row.checks) == (P.TOVALIDATE.value, 0)
    assert (await validate.validate(queue.rt, validate.KEY))["validated"] == 1


async def test_jobs_that_end_after_a_storage_hung_do_not_wait_for_those_whose_checks_hang(
    queue: House, monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., Awaitable[None]]
) -> None:
    """What was asked while it hung is never answered and holds all turns of the host."""
    monkeypatch.setattr(checks, "PATIENCE_S", 0.1)
    queue.configure(validation={"perhost": 2, "timeout": timedelta(seconds=4)})
    hung = await ended(queue, 1)
    await queue.fault(queue.storage, Kind.HANG, method="HEAD", times=2)

    await validate.validate(queue.rt, validate.KEY)
    later = await ended(queue, 20)

    async def over() -> bool:
        await validate.validate(queue.rt, validate.KEY)
        assert not (await queue.row(hung[0])).checks, "they waited for it"
        states = await queue.states()
        return {states[number] for number in later} == {P.TOREPORT.value}

    await eventually(over, "the jobs that ended later")
    await under_way(queue)
    assert await validate.validate(queue.rt, validate.KEY) == {"files unreachable": 2}
    queue.later(minutes=1)
    assert await validate.validate(queue.rt, validate.KEY) == {"files match": 2, "validated": 1}
    await queue.run("heartbeat")
    assert {queue.book(number).status for number in [*hung, *later]} == {"finished"}
    assert {queue.book(number).finals for number in [*hung, *later]} == {1}

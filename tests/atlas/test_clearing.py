"""A dead attempt's outputs: deleted behind the fence of the next attempt, or not at all. The storage is the witness."""

import asyncio
import json
import threading
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from act_core.atlas import clearing
from act_core.db import ledger
from act_core.db.models import CeJob
from act_core.db.policy_models import LedgerLine
from act_core.engine.claim import claim
from act_core.engine.rerun import resubmit
from act_core.engine.submit import terms_of
from act_core.errors import Transient
from act_core.reasons import Reason
from act_core.runtime import Counts
from act_core.simulators.faults import Kind
from act_core.states import CeState, PandaState, Request
from tests.atlas.house import CE, House

C, P = CeState, PandaState
VALIDATE = "fetch-validate"


def paths(house: House, number: int) -> list[str]:
    return [urlsplit(url).path for url in house.urls(house.produced(number)).values()]


def there(house: House, number: int) -> dict[str, bytes]:
    """What storage has of the job's outputs."""
    found = {listed.path for listed in house.shelf.files.listed()}
    return {path: house.shelf.files.get(path) for path in paths(house, number) if path.lstrip("/") in found}


async def dead(house: House, mode: str = "on") -> int:
    """A job of which one output is damaged; its attempt was dead, and the next one stands behind its fence."""
    house.configure(validation={"delete": mode})
    (number,) = await house.bound()
    await house.over(number, ce=CE, remote_id="r1")
    house.shelf.files.put(paths(house, number)[0], b"half")
    await house.tower.news()
    assert await house.run(VALIDATE) == {"files match": 1, "files mismatch": 1, "run anew": 1}
    assert (await house.attempt(number)).request == Request.RESUBMIT.value
    await resubmit(house.rt, CE)
    await house.tower.news()
    return number


async def claimed(house: House) -> list[CeState]:
    """Whom a submission to the CE would send now: the real door, without the call."""
    end = await house.rt.ce(CE)
    made = await house.rt.write(claim, CE, await terms_of(house.rt, CE, end.traits), house.rt.now())
    return [attempt.state for attempt in made.written]


async def lines(house: House, number: int) -> dict[str, LedgerLine]:
    """By file."""
    first = (await house.attempts(number))[0]
    return {str(line.facts["file"]): line for line in await house.rt.read(ledger.lines, job_id=first.id)}


async def cleared(house: House) -> Counts:
    return await clearing.clear(house.rt, clearing.KEY)


async def test_a_job_whose_output_is_bad_runs_anew_in_a_next_attempt(queue: House) -> None:
    number = await dead(queue)
    old, new = await queue.attempts(number)
    row = await queue.row(number)
    assert (old.state, old.superseded_by, old.request) == ("done", new.submission_key, Request.CLEAN.value)
    assert (new.attempt, new.state, new.attempts_left) == (2, "tosubmit", old.attempts_left - 1)
    assert (row.state, row.report, row.outputs, row.wanted) == (P.STARTING.value, None, None, "transferring")
    assert "size is 4, not 1000" in str(row.error)


async def test_of_a_job_that_runs_anew_panda_hears_no_step_back(queue: House) -> None:
    number = await dead(queue)
    await queue.run("heartbeat")
    await queue.moved(number, "running", ce=CE, node="wn9")
    await queue.tower.news()
    await queue.run("heartbeat")
    assert [update.status for update in queue.book(number).updates] == ["transferring", "transferring"]
    assert (await queue.row(number)).state == P.RUNNING.value
    await queue.ended(number)
    assert (await queue.run(VALIDATE, "heartbeat"))["final"] == 1
    assert queue.book(number).status == "finished"


async def test_the_next_attempt_is_not_sent_before_the_place_is_clear(queue: House) -> None:
    number = await dead(queue)
    assert len(there(queue, number)) == 2
    assert await claimed(queue) == []
    assert await clearing.due(queue.rt) == [clearing.KEY]
    assert await cleared(queue) == {"files deleted": 2}
    assert there(queue, number) == {}
    assert {line.code for line in (await lines(queue, number)).values()} == {Reason.OUTPUT_DELETED}
    assert await clearing.due(queue.rt) == []
    assert await claimed(queue) == [C.SUBMITTING]


async def test_a_deletion_that_was_delayed_past_the_next_attempts_upload_deletes_nothing(
    queue: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await dead(queue)
    asked, go_on = threading.Event(), threading.Event()
    look = queue.shelf.files.is_directory

    def slowly(path: str) -> bool:  # the last question before the deletion itself
        asked.set()
        go_on.wait(30)
        return look(path)

    monkeypatch.setattr(queue.shelf.files, "is_directory", slowly)
    deletion = asyncio.create_task(cleared(queue))
    try:
        assert await asyncio.to_thread(asked.wait, 30)
        queue.later(minutes=16)
        assert await claimed(queue) == [C.SUBMITTING]
        uploaded = {path: b"of the next attempt" for path in paths(queue, number)}
        for path, content in uploaded.items():
            queue.shelf.files.put(path, content)
    finally:
        go_on.set()
        counts = await deletion
    assert counts == {"files kept": 2}
    assert there(queue, number) == uploaded
    assert {clearing.TOO_LATE in str(one.facts["words"]) for one in (await lines(queue, number)).values()} == {True}


async def test_a_deletion_that_begins_too_late_asks_storage_nothing(queue: House) -> None:
    number = await dead(queue)
    before = there(queue, number)
    queue.later(minutes=10)  # less is left than one file may take
    await queue.fault(queue.storage, Kind.DOWN)
    assert await cleared(queue) == {"files kept": 2}
    assert there(queue, number) == before
    assert await claimed(queue) == [C.SUBMITTING]


async def test_dry_run_is_the_default_and_only_tells(queue: House) -> None:
    assert queue.rt.settings.app.validation.delete == "dry-run"
    number = await dead(queue, "dry-run")
    before = there(queue, number)
    assert await cleared(queue) == {"files would-be-deleted": 2}
    assert there(queue, number) == before
    assert set(await lines(queue, number)) == {path.rpartition("/")[2] for path in before}
    assert await claimed(queue) == [C.SUBMITTING]


async def test_off_no_attempt_waits(queue: House) -> None:
    number = await dead(queue, "off")
    assert await clearing.due(queue.rt) == []
    assert await claimed(queue) == [C.SUBMITTING]
    assert len(there(queue, number)) == 2


async def test_what_panda_no_longer_calls_active_is_left_alone(queue: House) -> None:
    number = await dead(queue)
    before = there(queue, number)
    queue.books.kill([number], 9, queue.clock.now())
    assert await cleared(queue) == {"files kept": 2}
    assert there(queue, number) == before
    told = {str(line.facts["words"]).partition(",")[0] for line in (await lines(queue, number)).values()}
    assert told == {"PanDA calls the job cancelled"}


async def test_after_a_long_look_panda_is_asked_again(queue: House, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await dead(queue)
    before = there(queue, number)
    content = queue.shelf.files.get

    def get(path: str) -> bytes:  # while storage looks at the files, PanDA gives the job up
        queue.books.kill([number], 9, queue.clock.now())
        queue.rt.ahead += clearing.FRESH
        return content(path)

    monkeypatch.setattr(queue.shelf.files, "get", get)
    assert await cleared(queue) == {"files kept": 2}
    monkeypatch.undo()
    assert there(queue, number) == before


async def test_while_panda_does_not_answer_nothing_is_deleted_and_the_fence_holds(queue: House) -> None:
    number = await dead(queue)
    await queue.fault(queue.panda, Kind.DOWN)
    with pytest.raises(Transient):
        await cleared(queue)
    assert len(there(queue, number)) == 2
    assert await clearing.due(queue.rt) == []  # PanDA is not stormed
    assert await claimed(queue) == []
    queue.later(minutes=16)
    assert await clearing.due(queue.rt) == [clearing.KEY]
    assert await cleared(queue) == {"files kept": 2}
    assert await claimed(queue) == [C.SUBMITTING]


async def test_what_storage_cannot_verify_or_does_not_answer_is_left_alone(queue: House) -> None:
    number = await dead(queue)
    other, log = paths(queue, number)
    queue.shelf.manners.digest = False
    queue.shelf.files.put(other, b"x" * 1000)  # the right size, and no checksum to be had
    await queue.fault(queue.storage, Kind.ERROR, path=log)
    assert await cleared(queue) == {"files kept": 2}
    told = {str(line.facts["words"]).partition(":")[0] for line in (await lines(queue, number)).values()}
    assert told == {"unverifiable", "unreachable"}
    assert len(there(queue, number)) == 2


async def test_only_outputs_of_the_job_itself_are_deleted(queue: House) -> None:
    """The list comes from a worker node: what it names beside the job's outputs is not believed."""
    queue.configure(validation={"delete": "on"})
    (number,) = await queue.bound()
    produced = queue.produced(number)
    await queue.over(number, ce=CE, remote_id="r1")
    report = json.loads(produced.files["heartbeat.json"])
    listed = json.loads(report["xml"])
    mine = next(iter(listed))
    somebodys = {"size": 4, "adler32": "00000001", "surl": f"{queue.storage.url}/out/somebodys"}
    listed |= {"somebodys": somebodys, mine: listed[mine] | {"surl": f"{queue.storage.url}/out/others"}}
    for name in ("somebodys", "others"):
        queue.shelf.files.put(f"/out/{name}", b"data")
    await queue.came_home(number, {"heartbeat.json": json.dumps(report | {"xml": json.dumps(listed)}).encode()})
    await queue.tower.news()
    await queue.run(VALIDATE)
    await resubmit(queue.rt, CE)
    await queue.tower.news()
    assert (await cleared(queue))["files deleted"] == 1
    assert {name: queue.shelf.files.get(f"/out/{name}") for name in ("somebodys", "others")} == {
        "somebodys": b"data",
        "others": b"data",
    }


async def test_a_dead_attempt_without_a_list_holds_nobody_up(queue: House) -> None:
    """An error rule resubmits what failed at its CE: nothing is known of its outputs, so that nothing is deleted."""
    (number,) = await queue.bound()
    await queue.moved(number, "failed", ce=CE, remote_id="r1", request=Request.RESUBMIT.value, news=False)
    await resubmit(queue.rt, CE)
    assert await claimed(queue) == []
    await queue.tower.news()
    assert await clearing.due(queue.rt) == []
    assert await claimed(queue) == [C.SUBMITTING]


async def test_a_second_piece_of_news_books_nothing_again(queue: House) -> None:
    number = await dead(queue)
    await cleared(queue)
    first = (await queue.attempts(number))[0]
    again = update(CeJob).where(CeJob.id == first.id).values(news=True)
    await queue.rt.write(lambda session: session.execute(again) and None)
    assert (await queue.tower.news())["news"] == 1
    assert await clearing.due(queue.rt) == []


async def test_a_job_that_runs_out_of_attempts_fails(queue: House) -> None:
    (number,) = await queue.bound()
    await queue.over(number, ce=CE, remote_id="r1", attempts_left=0)
    queue.shelf.files.delete(paths(queue, number)[0])
    await queue.tower.news()
    assert (await queue.run(VALIDATE))["validated"] == 1
    assert "(no attempt is left)" in str((await queue.row(number)).error)

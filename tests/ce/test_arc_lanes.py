"""Connections of threads: kept, replaced when the CE has closed them, broken off by who no longer wants them."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from act_core.ce import arc_fetch
from act_core.ce.arc_lanes import Lane
from act_core.ce.arc_rest import ArcCe
from act_core.ce.base import Fetched
from act_core.errors import Transient
from act_core.simulators.pki import TestPki
from tests.ce.arc_files import fetch, homes, keeps, leaves
from tests.ce.arc_house import COMMIT, TRUE, Builder, House, submitted, utc

Job = tuple[House, ArcCe, Any]


@pytest.fixture
async def ended(build: Builder, over: Any) -> Job:
    """A job with one small file, whose listing and file make two requests of one connection."""
    house = await build(payload=leaves(a=b"1"))
    ce = house.client(options={"transfers": 1})
    (job,) = await submitted(ce, keeps("a"))
    await over(ce, [job])
    return house, ce, job


def _threads(ce: ArcCe) -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith(f"act-{ce._wire.name}")]


def _idle(ce: ArcCe) -> int:
    held = ce._wire.sessions._session
    assert held is not None
    return len(held.idle)


async def test_a_connection_serves_many_jobs(ended: Job, tmp_path: Path) -> None:
    _, ce, job = ended
    for n in range(3):
        assert await fetch(ce, job, tmp_path / str(n)) == Fetched(1, 1)
        assert _idle(ce) == 1


async def test_a_kept_connection_that_the_ce_closes_is_replaced(ended: Job, tmp_path: Path) -> None:
    house, ce, job = ended
    await fetch(ce, job, tmp_path / "home")
    for kind in ("reset_before", "accept_hangup"):
        await house.fault(kind, path="session", times=1)
        assert await fetch(ce, job, tmp_path / "home") == Fetched(1, 1)
        await house.fault(kind, method="PUT", times=1)
        assert await ce.put_inputs({job: [COMMIT]}) == {job: None}


async def test_a_new_connection_is_not_tried_again(ended: Job, tmp_path: Path) -> None:
    house, ce, job = ended
    await house.fault("reset_before", path="session", times=2)
    with pytest.raises(Transient):
        await fetch(ce, job, tmp_path / "home")


async def test_who_is_cancelled_does_not_wait_for_the_ce(ended: Job, tmp_path: Path, eventually: Any) -> None:
    house, ce, job = ended
    await house.fault("hang", path="session/a")
    work = asyncio.create_task(fetch(ce, job, tmp_path / "home"))

    async def asked() -> bool:
        return bool((await house.order("/faults"))["faults"][0]["hits"])

    await eventually(asked, "the request that hangs")
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work  # the CE's deadline is far away
    assert homes(tmp_path) == []
    await house.mended()
    assert await fetch(ce, job, tmp_path / "home") == Fetched(1, 1)


async def test_who_is_cancelled_twice_waits_for_the_thread_all_the_same(ended: Job) -> None:
    """Else it would work on beside what follows, on a connection that is closed under it."""
    _, ce, _ = ended
    begun, go_on, over = threading.Event(), threading.Event(), threading.Event()

    def works(lane: Lane) -> None:
        begun.set()
        assert go_on.wait(30)
        over.set()
        lane.go_on()

    work = asyncio.create_task(ce._lanes.run(works, utc()))
    assert await asyncio.to_thread(begun.wait, 30)
    for _ in range(3):
        work.cancel()
        await asyncio.sleep(0)
    assert not work.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert over.is_set()
    assert _idle(ce) == 0, "the connection was broken off"


async def test_what_nobody_waits_for_takes_no_place(
    ended: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ce, job = ended
    begun, go_on = threading.Event(), threading.Event()
    bring = arc_fetch._Fetch.bring

    def slowly(one: Any, homes: Any, lane: Lane) -> None:
        bring(one, homes, lane)
        begun.set()
        assert go_on.wait(30)

    monkeypatch.setattr(arc_fetch._Fetch, "bring", slowly)
    work = asyncio.create_task(fetch(ce, job, tmp_path / "home"))
    assert await asyncio.to_thread(begun.wait, 30)
    work.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert homes(tmp_path) == []


async def test_threads_go_home(ended: Job, tmp_path: Path, eventually: Any) -> None:
    _, ce, job = ended
    await fetch(ce, job, tmp_path / "home")

    async def none() -> bool:
        return not _threads(ce)

    await eventually(none, "the end of the threads")


async def test_connections_that_nobody_uses_are_closed(
    ended: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ce, job = ended
    await fetch(ce, job, tmp_path / "home")
    held = ce._wire.sessions._session
    assert held is not None
    assert _idle(ce) == 1
    ce._wire.sessions.prune()
    assert _idle(ce) == 1, "it was used a moment ago"
    ((_, kept),) = held.idle
    monkeypatch.setattr("act_core.ce.arc_session.KEEP_S", 0)
    ce._wire.sessions.prune()
    assert _idle(ce) == 0
    assert not kept.open
    held.keep(kept)
    assert held.take() is None, "it is too old to be taken"


async def test_they_are_closed_when_their_time_is_over_and_nobody_comes(
    ended: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    _, ce, job = ended
    for module in ("arc_session", "arc_lanes"):
        monkeypatch.setattr(f"act_core.ce.{module}.KEEP_S", 0)
    await fetch(ce, job, tmp_path / "home")

    async def none() -> bool:
        return _idle(ce) == 0

    await eventually(none, "the end of idle connections")


async def test_a_new_proxy_gets_new_connections(build: Builder, pki: TestPki, tmp_path: Path, over: Any) -> None:
    house, proxy = await build(payload=leaves(a=b"1")), tmp_path / "proxy.pem"
    pki.proxy("alice", path=proxy)
    ce = house.client(proxy=proxy)
    (job,) = await submitted(ce, keeps("a"))
    await over(ce, [job])
    await fetch(ce, job, tmp_path / "home")
    old = ce._wire.sessions._session
    assert old is not None
    kept = [one for _, one in old.idle]
    assert kept
    pki.proxy("alice", path=proxy)
    assert await fetch(ce, job, tmp_path / "home") == Fetched(1, 1)
    assert not old.idle
    assert not any(one.open for one in kept)


async def test_an_upload_has_no_more_time_than_a_call(build: Builder) -> None:
    house = await build()
    ce = house.client(deadline="1 s")
    (job,) = await submitted(ce, TRUE)
    await house.fault("hang", method="PUT")
    with pytest.raises(Transient, match="no answer in time"):
        await ce.put_inputs({job: [COMMIT]})

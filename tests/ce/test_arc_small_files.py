"""Files that are held in memory until all of their job are there: none is lost, and memory has its bounds."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from act_core.ce import arc_dialect, arc_transfer
from act_core.ce.arc_transfer import HELD, SMALL, _Fetch, _Refusal
from act_core.ce.base import Fetched, FetchPlan, Refused
from act_core.ce.disk import take_place
from tests.ce.arc_files import fetch, homes, keeps, leaves, there
from tests.ce.arc_house import Builder, submitted


async def test_small_and_large_ones_come_home_together(build: Builder, tmp_path: Path, over: Any) -> None:
    files = {f"n{n}": bytes([n]) * (SMALL - n) for n in range(HELD // SMALL + 2)} | {
        "empty": b"",
        "d/large": b"l" * (SMALL + 1),
    }
    house = await build(payload=leaves(**{name.replace("/", "__"): content for name, content in files.items()}))
    ce, home = house.client(), tmp_path / "home"
    (job,) = await submitted(ce, keeps(*files))
    await over(ce, [job])
    assert await fetch(ce, job, home) == Fetched(len(files), sum(map(len, files.values())))
    assert there(home) == files
    assert homes(tmp_path) == ["home"]


async def test_what_is_packed_is_not_unpacked_without_end(tmp_path: Path) -> None:
    """The length that a CE tells of a packed answer is that of the package."""

    async def pieces(_: int) -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"0" * SMALL

    plan = FetchPlan(tmp_path / "home", ("/",))
    wire: Any = None
    one = _Fetch(wire, "jobs/1", plan, 1 << 40, lambda: None, tmp_path / "new")  # type: ignore[arg-type, return-value]
    answer: Any = SimpleNamespace(content=SimpleNamespace(iter_chunked=pieces))
    with pytest.raises(_Refusal, match="larger than it was said to be"):
        await one._whole(answer)
    assert one.size == 2 * SMALL, "it is read no further"


async def test_who_is_cancelled_while_files_land_leaves_them_whole(
    build: Builder, tmp_path: Path, over: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build(payload=leaves(a=b"1", b=b"2"))
    ce, home, landing, go_on = house.client(), tmp_path / "home", threading.Event(), threading.Event()
    (job,) = await submitted(ce, keeps("a", "b"))
    await over(ce, [job])

    def slowly(fresh: Path, directory: Path) -> None:
        landing.set()
        assert go_on.wait(30)
        take_place(fresh, directory)

    monkeypatch.setattr(arc_transfer, "take_place", slowly)
    work = asyncio.create_task(fetch(ce, job, home))
    assert await asyncio.to_thread(landing.wait, 30)
    work.cancel()
    for _ in range(20):  # a few turns of the loop, for whoever would clear up too early
        await asyncio.sleep(0)
    await asyncio.to_thread(go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await work
    assert there(home) == {"a": b"1", "b": b"2"}
    assert homes(tmp_path) == ["home"]


async def test_a_listing_is_not_the_only_witness_that_an_output_is_missing(
    build: Builder, tmp_path: Path, over: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build(payload=leaves(a=b"1", b=b"2"))
    ce = house.client()
    (job,) = await submitted(ce, keeps("a", "b"))
    await over(ce, [job])
    monkeypatch.setattr(arc_dialect, "listing", lambda _: (["a"], []))  # it was cut
    assert await fetch(ce, job, tmp_path / "home", declared=("a", "b")) == Fetched(2, 2)
    assert there(tmp_path / "home") == {"a": b"1", "b": b"2"}
    refusal = await fetch(ce, job, tmp_path / "other", declared=("a", "never"))
    assert refusal == Refused("the payload left no never", for_good=True)
    assert not (tmp_path / "other").exists()

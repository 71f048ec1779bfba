"""Files that are held in memory until all of their job are there: none is lost, and memory has its bounds."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from act_core.ce import arc_dialect, arc_fetch
from act_core.ce.arc_fetch import FEW, HELD, SMALL
from act_core.ce.base import Fetched, Refused
from act_core.ce.disk import take_place
from act_core.errors import Transient
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


async def test_many_files_come_by_several_threads(build: Builder, tmp_path: Path, over: Any) -> None:
    files = {f"f{n}": bytes([n]) * n for n in range(3 * FEW)}
    house = await build(payload=leaves(**files))
    ce, home = house.client(options={"transfers": 2}), tmp_path / "home"
    (job,) = await submitted(ce, keeps(*files))
    await over(ce, [job])
    assert await fetch(ce, job, home) == Fetched(len(files), sum(map(len, files.values())))
    assert there(home) == files
    refusal = await fetch(ce, job, tmp_path / "other", declared=(*files, "never"))
    assert refusal == Refused("the payload left no never", for_good=True)
    await house.fault("half_answer", path="session/f20")
    with pytest.raises(Transient):
        await fetch(ce, job, home)
    assert there(home) == files, "what was there stays"
    assert homes(tmp_path) == ["home"]


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

    monkeypatch.setattr(arc_fetch, "take_place", slowly)
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

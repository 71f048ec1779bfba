"""Files to and from a session directory."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from act_core.ce import arc_fetch, disk
from act_core.ce.arc_transfer import safe
from act_core.ce.base import Fetched, Gone, Refused, RemoteId
from act_core.errors import DiskError, ProtocolError, Transient
from act_core.jobspec import InputFile, JobSpec
from tests.ce.arc_files import fetch, homes, keeps, leaves, there
from tests.ce.arc_house import COMMIT, TRUE, Builder, House, submitted

ODD = "d#1/ä ö?%41&b.txt"


async def test_names_with_odd_letters_go_and_come(house: House, tmp_path: Path, over: Any) -> None:
    ce = house.client()
    odd = InputFile(name=ODD, content="ä\n")
    (job,) = await submitted(ce, JobSpec(executable="/bin/true", inputs=(odd, COMMIT)))
    assert await ce.put_inputs({job: [odd]}) == {job: None}
    assert await fetch(ce, job, tmp_path / "home") == Fetched(1, 3)
    assert there(tmp_path / "home") == {ODD: "ä\n".encode()}
    await over(ce, [job])


@pytest.mark.parametrize("reason", ["Not Found", "Version Not Supported", "Wrong path"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_404_of_somebody_else_says_nothing_of_the_job(
    build: Builder, tmp_path: Path, over: Any, method: str, reason: str
) -> None:
    house = await build(payload=leaves(a=b"1"))
    ce = house.client()
    (job,) = await submitted(ce, keeps("a"))
    if method == "GET":
        await over(ce, [job])
    await house.fault("error", status=404, reason=reason, path="session", times=1)
    with pytest.raises(Transient, match=f"404 {reason}"):
        await (fetch(ce, job, tmp_path / "home") if method == "GET" else ce.put_inputs({job: [COMMIT]}))
    if method == "GET":
        assert await fetch(ce, job, tmp_path / "home") == Fetched(1, 1)
    else:
        assert await ce.put_inputs({job: [COMMIT]}) == {job: None}


async def test_a_transfer_to_another_release_asks_what_it_speaks(build: Builder, tmp_path: Path) -> None:
    house = await build()
    ce = house.client()
    (job,) = await submitted(ce, TRUE)
    for call in (lambda: fetch(ce, job, tmp_path / "home"), lambda: ce.put_inputs({job: [COMMIT]})):
        await house.fault("error", status=404, reason="Version Not Supported", path="session", times=1)
        with pytest.raises(Transient):
            await call()
        before = await house.asked("GET /arex/rest")
        await ce.states([job])
        assert await house.asked("GET /arex/rest") == before + 1


async def test_the_results_directory_cannot_be_written(build: Builder, tmp_path: Path, over: Any) -> None:
    house = await build(payload=leaves(a=b"1"))
    ce = house.client()
    (job,) = await submitted(ce, keeps("a"))
    await over(ce, [job])
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=r"file/home cannot be written: .*Not a directory"):
        await fetch(ce, job, tmp_path / "file" / "home")


@pytest.mark.parametrize("size", [1, 1 << 20], ids=["when it is closed", "while it is written"])
async def test_a_full_disk_is_not_the_trouble_of_the_ce(
    build: Builder, tmp_path: Path, over: Any, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    house = await build(payload=leaves(a=b"1" * size))
    ce = house.client()
    (job,) = await submitted(ce, keeps("a"))
    await over(ce, [job])
    # no disk can be filled here: the kernel's own full device takes its place
    monkeypatch.setattr(disk, "new_handle", lambda _: os.open("/dev/full", os.O_WRONLY))
    with pytest.raises(DiskError, match="home cannot be written: No space left on device"):
        await fetch(ce, job, tmp_path / "home")
    assert homes(tmp_path) == []


async def test_what_only_one_jobs_names_bring_about_is_its_own_trouble(
    build: Builder, tmp_path: Path, over: Any
) -> None:
    house = await build(payload=leaves(a=b"1"))
    ce = house.client()
    (job,) = await submitted(ce, keeps("a"))
    await over(ce, [job])
    refusal = await fetch(ce, job, tmp_path / "home", "a", "diagnose=a/errors")  # a is a file, and a directory
    assert isinstance(refusal, Refused)
    assert not refusal.for_good


async def test_the_log_of_the_ce_comes_along(build: Builder, tmp_path: Path, over: Any) -> None:
    house = await build(payload=leaves(a=b"1"))
    ce = house.client()
    (job,) = await submitted(ce, keeps("a"))
    await over(ce, [job])
    wanted = ("a", "diagnose=log/", "diagnose=mine/errors", "diagnose=errors")
    found = await fetch(ce, job, tmp_path / "home", *wanted)
    came = there(tmp_path / "home")
    assert {"a", "log/errors", "log/status", "log/description", "mine/errors", "errors"} <= set(came)
    assert "log/failed" not in came  # of a good job there is none, and that is no error
    assert found == Fetched(len(came), sum(map(len, came.values())))
    assert b"Job state change" in came["mine/errors"]


async def test_a_job_that_is_gone_and_one_that_left_nothing(build: Builder, tmp_path: Path, over: Any) -> None:
    house = await build(payload=leaves())
    ce = house.client()
    (job,) = await submitted(ce, keeps())
    await over(ce, [job])
    assert await fetch(ce, job, tmp_path / "home") == Fetched(0, 0)
    assert there(tmp_path / "home") == {}
    await house.fault("error", status=404, reason="Not found", path="/session")
    assert await fetch(ce, job, tmp_path / "home") == Fetched(0, 0, bare=True)  # the job is there, its directory not
    assert await fetch(ce, job, tmp_path / "home", "diagnose=gmlog/failed") == Fetched(0, 0), "nothing of it is wanted"
    refusal = await fetch(ce, job, tmp_path / "other", declared=("a",))
    assert refusal == Refused("the payload left no a", for_good=False)  # the directory may come back
    await house.mended()
    assert await fetch(ce, RemoteId("0" * 12), tmp_path / "other") == Gone()
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("kind", ["half_answer", "reset_before", "accept_hangup", "hang"])
async def test_a_fetch_that_fails_leaves_what_was_there(build: Builder, tmp_path: Path, kind: str, over: Any) -> None:
    house = await build(payload=leaves(a=b"1" * 1000, b=b"2"))
    ce, home = house.client(deadline="1 s"), tmp_path / "home"
    (job,) = await submitted(ce, keeps("a", "b"))
    await over(ce, [job])
    home.mkdir()
    (home / "old").write_text("old")
    await house.fault(kind, path="session/a")
    with pytest.raises(Transient):
        await fetch(ce, job, home)
    assert there(home) == {"old": b"old"}
    assert homes(tmp_path) == ["home"]
    await house.mended()
    assert await fetch(ce, job, home) == Fetched(2, 1001)
    assert set(there(home)) == {"a", "b"}


async def test_two_that_fetch_the_same_do_not_meet(build: Builder, tmp_path: Path, over: Any) -> None:
    """A worker whose claim ran out and the one that took over: what is home is whole, whoever was the last."""
    house, home = await build(payload=leaves(a=b"1" * 300_000, b=b"2")), tmp_path / "home"
    ces = [house.client(), house.client()]
    (job,) = await submitted(ces[0], keeps("a", "b"))
    await over(ces[0], [job])
    found = await asyncio.gather(*(fetch(ce, job, home) for ce in ces * 3))
    assert found == [Fetched(2, 300_001)] * 6
    assert {name: len(content) for name, content in there(home).items()} == {"a": 300_000, "b": 1}
    assert homes(tmp_path) == ["home"]


async def test_who_waited_in_vain_for_a_turn_has_not_been_refused(
    build: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await build()
    ce = house.client(options={"transfers": 1})
    (job,) = await submitted(ce, TRUE)
    monkeypatch.setattr(arc_fetch, "TRANSFER_S", 0.05)
    async with ce._lanes.turns:
        with pytest.raises(Transient, match="nothing was fetched"):
            await fetch(ce, job, tmp_path / "home")


async def test_more_than_the_limit_is_not_kept(build: Builder, tmp_path: Path, over: Any) -> None:
    house = await build(payload=leaves(a=b"1" * 700_000, b=b"2" * 700_000))
    ce = house.client(options={"max_fetch_mb": 1})
    (job,) = await submitted(ce, keeps("a", "b"))
    await over(ce, [job])
    assert await fetch(ce, job, tmp_path / "one", "a") == Fetched(1, 700_000)
    refusal = await fetch(ce, job, tmp_path / "home")
    assert refusal == Refused(f"more than {1 << 20} bytes", for_good=True)
    assert not (tmp_path / "home").exists()


async def test_listings_have_an_end(build: Builder, tmp_path: Path, over: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    house = await build(payload=leaves(d__e__f__g=b"deep", a=b"1", b=b"2"))
    ce = house.client()
    (job,) = await submitted(ce, keeps("d/", "a", "b"))
    await over(ce, [job])
    monkeypatch.setattr(arc_fetch, "DEEPEST", 1)
    await fetch(ce, job, tmp_path / "home")
    assert set(there(tmp_path / "home")) == {"a", "b"}
    monkeypatch.setattr(arc_fetch, "MOST_FILES", 2)
    refusal = await fetch(ce, job, tmp_path / "home")
    assert refusal == Refused("more than 2 files and directories", for_good=True)


async def test_directories_that_nobody_wants_are_not_listed(build: Builder, tmp_path: Path, over: Any) -> None:
    house = await build(payload=leaves(d__x=b"1", e__y=b"2", f__g__z=b"3"))
    ce = house.client()
    (job,) = await submitted(ce, keeps("d/", "e/", "f/"))
    await over(ce, [job])
    await fetch(ce, job, tmp_path / "home", "d/", "f/g/z")
    assert set(there(tmp_path / "home")) == {"d/x", "f/g/z"}
    assert await house.asked("session/e") == 0


async def test_a_declared_directory_may_be_empty(build: Builder, tmp_path: Path, over: Any) -> None:
    house = await build(payload=leaves(a=b"1"))
    ce = house.client()
    (job,) = await submitted(ce, keeps("a", "d/"))
    await over(ce, [job])
    assert await fetch(ce, job, tmp_path / "home", "a", declared=("d/",)) == Fetched(1, 1)
    refusal = await fetch(ce, job, tmp_path / "home", "a", declared=("d/", "c"))
    assert refusal == Refused("the payload left no c", for_good=True)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc/passwd", "a\x00b", "x" * 256, "é" * 128, "\ud800"])
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(ProtocolError, match="the CE lists a file named"):
        safe(name)


@pytest.mark.parametrize("name", ["a", "...", "a b", "x" * 255, "-rf", "ä\n"])
def test_names_that_are_odd_and_good(name: str) -> None:
    assert safe(name) == name

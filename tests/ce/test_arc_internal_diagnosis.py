"""What is told of an A-REX on this host before any job: whole for a good one, then each thing that can be wrong."""

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from act_core.ce.diagnosis import Diagnosable, Finding, Verdict
from act_core.simulators.pki import TestPki
from tests.ce.arc_host import JOB, UID, Host

GIB = 1024**3
MODULE = "act_core.ce.arc_internal_diagnosis"
NORMAL = ((r"\S+/(control|session)\b", r"DIR/\1"), (r"\d+\.\d GiB", "N GiB"), (r"(and we are) \S+", r"\1 NAME"))
GOOD = """\
ok arc.conf: jobs are kept in DIR/control, batch system fork
ok account: A-REX and we are NAME
ok control: DIR/control has N GiB free
ok A-REX: it reads gm.fifo
ok new jobs: A-REX takes them (allownew)
ok queue: none is configured: A-REX takes fork; there are fork, long
- RTEs: none is needed; there are ENV/PROXY
ok session: DIR/session has N GiB free
- identity: no proxy: jobs cannot read from or write to grid storage
"""


@pytest.fixture(autouse=True)
def roomy(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Every disk has so many bytes free."""

    def set_free(free: int) -> None:
        monkeypatch.setattr(f"{MODULE}.shutil.disk_usage", lambda _: SimpleNamespace(free=free))

    set_free(50 * GIB)
    return set_free


def enable(host: Host, name: str, target: str = "/dev/null") -> None:
    link = host.path / "rte" / "enabled" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


async def findings(host: Host, wanted: tuple[str, ...] = (), **more: Any) -> dict[str, Finding]:
    ce = host.ce(**more)
    assert isinstance(ce, Diagnosable)
    return {found.step: found async for found in ce.diagnose(wanted)}


async def test_a_good_one(host: Host) -> None:
    enable(host, "ENV/PROXY")
    there = sorted(host.root.rglob("*"))
    text = "".join(f"{one.verdict} {one.step}: {one.words}\n" for one in (await findings(host)).values())
    for pattern, instead in NORMAL:
        text = re.sub(pattern, instead, text)
    assert text == GOOD
    assert sorted(host.root.rglob("*")) == there


def write(host: Host, *lines: str) -> None:
    with host.conf.open("a") as conf:
        conf.writelines(f"{line}\n" for line in lines)


async def test_an_arc_conf_that_went_away(host: Host) -> None:
    ce = host.ce()
    host.conf.unlink()
    (found,) = [one async for one in ce.diagnose()]
    assert (found.step, found.verdict) == ("arc.conf", Verdict.BAD)
    assert "No such file" in found.words
    assert found.do == "Mend sites.ce.options.arc_config."


@pytest.mark.parametrize(("uid", "words"), [(0, "jobs of root"), (UID + 1, f"belongs to uid {UID}")])
async def test_another_account(host: Host, uid: int, words: str) -> None:
    found = await findings(host, uid=uid)
    assert list(found) == ["arc.conf", "account"]
    assert words in found["account"].words
    assert "same account" in found["account"].do


def another_layout(host: Host) -> None:
    (host.path / "version3").touch()


def no_control(host: Host) -> None:
    shutil.rmtree(host.path)


def no_accepting(host: Host) -> None:
    (host.path / "accepting").rmdir()
    (host.path / "accepting").touch()


@pytest.mark.parametrize(
    ("wrong", "words", "do"),
    [
        (another_layout, "version3", "6.17 and 7"),
        (no_control, "control: No such file or directory", "Has A-REX run there?"),
        (no_accepting, "control/accepting: Not a directory", "Has A-REX run there?"),
    ],
)
async def test_a_control_directory_that_is_none(host: Host, wrong: Callable[[Host], None], words: str, do: str) -> None:
    wrong(host)
    found = await findings(host)
    assert list(found) == ["arc.conf", "account", "control"]
    assert found["control"].bad
    assert words in found["control"].words
    assert do in found["control"].do


async def test_a_disk_that_is_full(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(dir: Path) -> None:
        raise OSError(28, "No space left on device", str(dir))

    monkeypatch.setattr(f"{MODULE}.tempfile.TemporaryFile", full)
    assert (await findings(host))["control"].words == f"{host.path}: No space left on device"


async def test_little_room_is_to_be_looked_at(host: Host, roomy: Callable[[int], None]) -> None:
    roomy(GIB // 2)
    found = await findings(host)
    for step in ("control", "session"):
        assert found[step].verdict is Verdict.ODD
        assert "0.5 GiB free" in found[step].words


async def test_nobody_reads_the_pipe(host: Host) -> None:
    host.end()
    found = await findings(host)
    assert list(found)[-1] == "A-REX"
    assert "nobody reads gm.fifo" in found["A-REX"].words
    assert "systemctl start arc-arex" in found["A-REX"].do


async def test_it_takes_no_new_jobs(host: Host) -> None:
    write(host, "[arex/ws/jobs]", "allownew=no")
    found = await findings(host)
    assert (found["new jobs"].words, found["new jobs"].bad) == ("A-REX takes none: allownew=no", True)
    assert "session" in found


@pytest.mark.parametrize(("most", "bad"), [(1, True), (2, False)])
async def test_it_has_as_many_jobs_as_it_will(host: Host, most: int, bad: bool) -> None:
    write(host, "[arex]", f"maxjobs=-1 -1 -1 {most}")
    host.job(JOB, "another", "FINISHED")
    found = (await findings(host))["new jobs"]
    assert (found.words, found.bad) == (f"1 of at most {most} jobs are there, ended ones too (maxjobs)", bad)


async def test_a_queue_that_is_not_there(host: Host) -> None:
    found = await findings(host, queue="grid")
    assert found["queue"].words == "there is no queue grid; there are fork, long"
    assert "sites.ce.options.queue" in found["queue"].do
    assert (await findings(host, queue="long"))["queue"].words == "long is there"


async def test_runtime_environments(host: Host) -> None:
    wanted = ("ENV/PROXY", "APPS/HEP/ATLAS-SITE")
    none = (await findings(host, wanted))["RTEs"]
    assert (none.words, none.bad) == ("not there: ENV/PROXY, APPS/HEP/ATLAS-SITE; there are none", True)
    enable(host, "ENV/PROXY")
    assert "not there: APPS/HEP/ATLAS-SITE; there are ENV/PROXY" in (await findings(host, wanted))["RTEs"].words
    enable(host, "APPS/HEP/ATLAS-SITE", "/nonexistent/script")
    broken = (await findings(host, wanted))["RTEs"]
    assert (broken.words, broken.bad) == ("enabled without a script: APPS/HEP/ATLAS-SITE", True)


async def test_session_directories(host: Host) -> None:
    (host.root / "session").rmdir()
    found = (await findings(host))["session"]
    assert (found.words, found.bad) == (f"{host.root}/session: No such file or directory", True)
    host.conf.write_text(host.conf.read_text().replace("/session\n", "/session drain\n"))
    assert "all drain" in (await findings(host))["session"].words


async def test_a_proxy_that_is_copied_to_jobs(host: Host, pki: TestPki) -> None:
    good, old = pki.root / "proxy.pem", pki.proxy("alice", timedelta(hours=-1), path=pki.root / "old.pem")
    assert "CN=alice, good until" in (await findings(host, proxy=good))["identity"].words
    assert "expired" in (await findings(host, proxy=old))["identity"].words


async def test_a_disk_that_hangs(host: Host) -> None:
    found = await findings(host, deadline=timedelta(0))
    assert list(found) == ["arc.conf"]
    assert found["arc.conf"].words == "no answer in time (0 s)"

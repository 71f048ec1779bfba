"""The demo ends in order, whatever ends it; its last words name the page."""

import asyncio
import contextlib
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from act_core.cli.demo_end import parting, whereabouts
from act_core.cli.ending import ENDS, ended_in_order, run_in_order
from act_core.settings import Settings
from act_core.simulators.scene import Scene
from tests.cli.conftest import Signalled

PAGE = {"url": "http://127.0.0.1:4280/", "entrance": "user admin, password: state/web/password"}


def test_what_is_gone_is_not_called_there() -> None:
    words = parting(PAGE["url"])
    assert f"the page was at {PAGE['url']} and went down" in words
    assert "make run KEEP=1" in words


def test_what_stays_ends_with_the_page_and_who_gets_in(tmp_path: Path) -> None:
    held = Settings(state_dir=tmp_path / "state")
    *_, prefect, page, last = whereabouts(Scene(tmp_path / "scene"), held, "http://127.0.0.1:4200", PAGE)
    assert "http://127.0.0.1:4200" in prefect
    assert page == f"the page        {PAGE['url']}   ({PAGE['entrance']})"
    assert "Ctrl-C" in last


@pytest.fixture
def demo(place: Path) -> Iterator[Path]:
    """A directory for a demo; what still runs of it at the end is ended."""
    yield place / "demo"
    for pid in running(place / "demo"):
        os.kill(pid, signal.SIGKILL)


def running(demo: Path) -> list[int]:
    """Processes that were told of this directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another account's
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            found += [int(process.name)] if bytes(demo) in said else []
    return found


def ends(pid: int) -> bool:
    """Whether it does so by itself."""
    with contextlib.suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            return bool(select.select([descriptor], [], [], 60)[0])
        finally:
            os.close(descriptor)
    return True


def test_sigterm_leaves_nothing(demo: Path, signalled: Signalled) -> None:
    code, last = signalled(signal.SIGTERM, "starting the tower", "demo", "--jobs", 1, "--directory", demo)
    assert (code, last) == (128 + signal.SIGTERM, [])
    assert all(map(ends, running(demo)))


@pytest.mark.faults
def test_what_is_killed_by_force_takes_its_tower_along(demo: Path, signalled: Signalled) -> None:
    code, _ = signalled(signal.SIGKILL, "starting the tower", "demo", "--jobs", 1, "--directory", demo)
    assert code == -signal.SIGKILL
    assert all(map(ends, running(demo)))


def ended_again_and_again(number: signal.Signals, cleared: list[str]) -> None:
    """A signal, and each that could end it while it clears up."""
    with ended_in_order():
        try:
            signal.raise_signal(number)
        finally:
            for one in ENDS:
                signal.raise_signal(one)
            cleared.append("all of it")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_second_signal_does_not_interrupt_the_end(number: signal.Signals, code: int) -> None:
    before = [signal.getsignal(one) for one in ENDS]
    cleared: list[str] = []
    with pytest.raises(SystemExit) as ended:
        ended_again_and_again(number, cleared)
    assert (ended.value.code, cleared) == (code, ["all of it"])
    assert [signal.getsignal(one) for one in ENDS] == before


def test_ctrl_c_is_still_one() -> None:
    cleared: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        ended_again_and_again(signal.SIGINT, cleared)
    assert cleared == ["all of it"]


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_in_order():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


async def _cleared(number: signal.Signals, cleared: list[str]) -> None:
    try:
        signal.raise_signal(number)
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        for one in ENDS:
            signal.raise_signal(one)
        await asyncio.sleep(0)
        cleared.append("all of it")
        raise


@pytest.mark.parametrize("number", ENDS)
def test_work_of_a_loop_is_cancelled_once_and_may_wait_for_what_it_clears(number: signal.Signals) -> None:
    before = [signal.getsignal(one) for one in ENDS]
    cleared: list[str] = []
    with pytest.raises((SystemExit, KeyboardInterrupt)) as ended:
        run_in_order(_cleared(number, cleared))
    assert cleared == ["all of it"]
    assert isinstance(ended.value, KeyboardInterrupt) == (number == signal.SIGINT)
    assert getattr(ended.value, "code", 128 + number) == 128 + number
    assert [signal.getsignal(one) for one in ENDS] == before

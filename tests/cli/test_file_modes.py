"""A tower's life with a careless umask: what it leaves on disk is for its owner, but for what people are to read."""

import asyncio
import os
import stat
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from act_core.db.arrivals import add_jobs
from tests.atlas.house import CE
from tests.cli.conftest import Act
from tests.cli.planted import SECRETS, Garden, by_hand, extra
from tests.cli.test_planted_secrets import ROUND, garden, tower

__all__ = ["garden"]

# Who may read what, below the state directory, which is itself for its owner alone (0700).
OPEN: Mapping[str, str] = {
    "joblog": "logs of jobs, for a web server to show; those of analysis jobs are for its group (docs/logs.md)",
    "results": "what jobs left, for whom the umask lets in: where people fetch it they may place it elsewhere",
    "log": "the tower's own log, without secrets (test_planted_secrets), for the host's group of operators",
}


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(root: Path) -> Iterator[tuple[Path, int]]:
    for path in (root, *sorted(root.rglob("*"))):
        if not path.is_symlink() and not stat.S_ISSOCK(path.stat().st_mode):
            yield path.relative_to(root), stat.S_IMODE(path.stat().st_mode)


def reached(path: Path, root: Path) -> bool:
    """Whether somebody of another account gets there, if the state directory itself let them in."""
    return all((root / one).stat().st_mode & 0o011 for one in path.parents if one != Path())


def too_open(root: Path) -> list[str]:
    """What others may write, and what they may read that is not for them."""
    found = []
    for path, mode in modes(root):
        shown = path.parts[0] in OPEN if path.parts else False
        if mode & 0o022 or (mode & 0o055 and not shown and reached(path, root)):
            found.append(f"{path} {mode:o}")
    return found


async def test_a_life_leaves_nothing_open(
    garden: Garden, bare: Act, eventually: Callable[..., Awaitable[Any]], end_all: Any
) -> None:
    async with tower(garden) as house:
        state = house.rt.settings.state_dir
        orders = [
            *house.order(extra=SECRETS | extra(fail=0)),
            *house.order(kind="analysis", extra=SECRETS | extra(fail=3)),
        ]
        await house.rt.write(add_jobs, house.rt.tower, [by_hand(ce) for ce in ("away", "nobody")], house.rt.now())

        async def over() -> bool:
            await house.run(*ROUND)
            house.later(seconds=20)
            return {house.book(one).status for one in orders} == {"finished", "failed"}

        try:
            await eventually(over, "the end of both jobs")
        finally:
            await end_all(await house.rt.ce(CE), state / "local" / CE)
        assert (state / "act.sqlite-wal").exists()
        assert await asyncio.to_thread(too_open, state) == []
    assert not stat.S_IMODE(state.stat().st_mode) & 0o077


def test_a_database_of_one_file_is_for_its_owner(bare: Act, place: Path) -> None:
    assert bare("bootstrap").code == 0
    bare("status")
    assert too_open(place / "state") == []

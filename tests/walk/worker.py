"""A worker of the random walks: on the world's clock and CE, and mortal at every write."""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from act_core.ce.base import ComputingElement
from act_core.db import bootstrap
from act_core.db.session import Database
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from tests.walk.fake_ce import FakeCe, World

P = ParamSpec("P")
T = TypeVar("T")
BEGINNING = datetime(2026, 3, 1, tzinfo=UTC)


class Worker(Runtime):
    """A runtime on the world's clock and CE."""

    world: World

    def now(self) -> datetime:
        return self.world.now

    async def ce(self, name: str) -> ComputingElement:
        return FakeCe(self.world)

    async def write(self, fn: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A transaction, before and after which the worker may die."""
        self.world.at_write()
        written = await super().write(fn, *args, **kwargs)
        self.world.at_write()
        return written


def own_directory() -> Path:
    """For as long as this process lives."""
    made = tempfile.mkdtemp(prefix="act-walk-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


@cache
def template() -> Path:
    """State tables that are ready, as a file to copy."""
    directory = own_directory()
    db = Database(Settings(state_dir=directory))
    bootstrap.bootstrap(db, BEGINNING)
    db.close()
    return directory / "act.sqlite"

"""Real servers for tests: each is started once a session, on loopback, when the first test asks for it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # these modules are programs too, and in no package

from arex import Arex
from arex_install import CannotInstall

from tests.fixtures.skipped import missing


def _running(version: str) -> Iterator[Arex]:
    try:
        made = Arex(version)
        made.start()
    except CannotInstall as err:
        missing(f"arex{version}", str(err))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def arex6() -> Iterator[Arex]:
    """ARC 6.17: REST 1.0 alone."""
    yield from _running("6")


@pytest.fixture(scope="session")
def arex7() -> Iterator[Arex]:
    """ARC 7: REST 1.0 and 1.1."""
    yield from _running("7")


@pytest.fixture(scope="session", params=["6", "7"], ids=["arex6", "arex7"])
def arex(request: pytest.FixtureRequest) -> Arex:
    """Both, one after the other. A test for one alone: `@pytest.mark.parametrize("arex", ["7"], indirect=True)`."""
    found = request.getfixturevalue(f"arex{request.param}")
    assert isinstance(found, Arex)
    return found

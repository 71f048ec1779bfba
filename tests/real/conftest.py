"""Real servers for tests: each is started once a session, on loopback, when the first test asks for it."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # these modules are programs too, and in no package

from arex import Arex
from arex_install import CannotInstall
from browser import CHROMIUM, chromium
from condor import Condor
from playwright.sync_api import Browser
from xrootd import Xrootd

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


@pytest.fixture(scope="session")
def condor() -> Iterator[Condor]:
    """A schedd with a gridmanager, and the pool behind its CE."""
    try:
        made = Condor()
        made.start()
    except CannotInstall as err:
        missing("condor", str(err))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def xrootd() -> Iterator[Xrootd]:
    """A storage over root:// and https://."""
    if find_spec("XRootD") is None:
        missing("xrootd", "the library is not installed: the extra xrootd")
    try:
        made = Xrootd()
        made.start()
    except CannotInstall as err:
        missing("xrootd", str(err))
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")  # not longer: as long as it lives no other event loop can be run
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        missing("chromium", f"no {CHROMIUM}")
    with chromium() as made:
        yield made


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory for tests and the accounts of jobs: pytest shuts its own whenever it starts on this machine."""
    made = Path(tempfile.mkdtemp(prefix="act-real-"))
    made.chmod(0o777)
    yield made
    shutil.rmtree(made, ignore_errors=True)

"""The process of XRootD's library may be silent, talk, die, or be absent: no file waits for it, none is judged by it.

The library is a stand-in that can be told to misbehave, as the true one cannot; that one is asked in `tests/real`.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from act_core.storage import root_worker
from act_core.storage.base import Fate, Limits, Outcome, Verdict, Wanted
from act_core.storage.root import LACKING, Root
from act_core.storage.storage import Storage

LIBRARY = """
import os, sys, threading, time
from types import SimpleNamespace as Named

def status(code=0, errno=0, message=""):
    return Named(ok=not message, code=code, errno=errno, message=message)

class FileSystem:
    def __init__(self, server):
        self.server = server

    def _answer(self, path, response, callback):
        print("the library talks on stdout")
        if "stuck" in self.server:
            time.sleep(3600)
        if "die" in path:
            os._exit(3)
        if "raise" in path:
            raise ValueError("what the library never does")
        if "refuse" in path:
            return status(9, 0, "[ERROR] Invalid arguments")
        if "none" in path:
            said = status(400, 3011, "[ERROR] Server responded with an error: [3011] no such file or directory")
            threading.Thread(target=callback, args=(said, None, None)).start()
        elif "silent" not in path:
            threading.Thread(target=callback, args=(status(), response, None)).start()
        return status()

    def stat(self, path, timeout=0, callback=None):
        return self._answer(path, Named(size=7, flags=3 if "dir" in path else 16), callback)

    def query(self, code, path, timeout=0, callback=None):
        seen = os.environ.get(path.partition("?")[0][1:], "")
        return self._answer(path, f"adler32 {seen or '0b0c0d0e'}\\0".encode(), callback)

    def rm(self, path, timeout=0, callback=None):
        return self._answer(path, None, callback)
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    client = tmp_path / "XRootD/client"
    client.mkdir(parents=True)
    (tmp_path / "XRootD/__init__.py").touch()
    (client / "__init__.py").write_text(LIBRARY)
    (client / "flags.py").write_text("class QueryCode:\n    CHECKSUM = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "XRootD"]:
        del sys.modules[name]


@pytest.fixture
async def root(library: Path) -> AsyncIterator[Root]:
    made = Root(timeout=timedelta(seconds=20))
    yield made
    await made.close()


def client(root: Root, seconds: float = 20) -> Storage:
    limits = Limits(timeout=timedelta(seconds=seconds), failures=100)
    root.timeout = timedelta(seconds=seconds)
    return Storage({"root": root}, limits)


def wanted(path: str, host: str = "se") -> Wanted:
    return Wanted(f"root://{host}//{path}", 7, "0b0c0d0e")


async def said(storage: Storage, *files: Wanted) -> list[Verdict]:
    verdicts = await storage.check(files)
    return [verdicts[file] for file in files]


async def test_the_outcomes_come_back_to_who_asked(root: Root) -> None:
    files = [wanted(name) for name in ("good", "none", "dir", "refuse", "raise")]
    outcomes = [verdict.outcome for verdict in await said(client(root), *files)]
    away = Outcome.UNREACHABLE
    assert outcomes == [Outcome.MATCH, Outcome.ABSENT, Outcome.MISMATCH, away, away]


async def test_the_tower_never_loads_the_library(root: Root) -> None:
    assert (await said(client(root), wanted("good")))[0].outcome is Outcome.MATCH
    assert not [name for name in sys.modules if name.startswith(("XRootD", "pyxrootd"))]


async def test_a_library_that_ends_its_process_is_begun_again(root: Root) -> None:
    storage = client(root)
    (verdict,) = await said(storage, wanted("die"))
    assert (verdict.outcome, "ended" in verdict.words) == (Outcome.UNREACHABLE, True)
    assert (await said(storage, wanted("good")))[0].outcome is Outcome.MATCH


async def test_who_gets_no_answer_does_not_wait_for_ever_and_holds_up_nobody(root: Root) -> None:
    await said(client(root), wanted("good"))  # to start an interpreter takes its time
    storage = client(root, 4)
    verdicts = await said(
        storage, wanted("silent"), wanted("x", host="stuck"), *(wanted(f"good{i}") for i in range(20))
    )
    assert {verdict.outcome for verdict in verdicts[:2]} == {Outcome.UNREACHABLE}
    assert {verdict.outcome for verdict in verdicts[2:]} == {Outcome.MATCH}


async def test_a_process_that_owes_an_answer_is_replaced_and_ended(root: Root) -> None:
    await said(client(root, 4), wanted("silent"))
    assert root._pipe is not None
    (old,) = root._pipe._all
    assert (await said(client(root), wanted("good")))[0].outcome is Outcome.MATCH
    assert old not in root._pipe._all
    assert old._process.returncode is not None


async def test_a_renewed_proxy_is_seen_by_connections_from_then_on(root: Root, tmp_path: Path) -> None:
    root.proxy = tmp_path / "proxy"
    root.proxy.write_text("first")
    storage = client(root)
    await said(storage, wanted("good"))
    assert root._pipe is not None
    (first,) = root._pipe._all
    await said(storage, wanted("good"))
    assert root._pipe._all == [first]
    fresh = tmp_path / "fresh"
    fresh.write_text("second")
    fresh.replace(root.proxy)
    assert (await said(storage, wanted("good")))[0].outcome is Outcome.MATCH
    assert first not in root._pipe._all


async def test_nothing_is_left_over(library: Path) -> None:
    root = Root(timeout=timedelta(seconds=20))
    storage = client(root)
    asking = asyncio.create_task(storage.check([wanted("silent")]))
    while root._pipe is None or not root._pipe._all or not root._pipe._all[0].waits:  # noqa: ASYNC110 - of no event
        await asyncio.sleep(0)
    (worker,) = root._pipe._all
    await storage.close()
    assert worker._process.returncode is not None
    assert next(iter((await asking).values())).outcome is Outcome.UNREACHABLE


async def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("act_core.storage.root.find_spec", lambda _: None)  # it may be installed here
    (verdict,) = await said(client(Root()), wanted("good"))
    assert verdict == Verdict(Outcome.UNREACHABLE, f"se:1094: {LACKING}")
    assert "act-flows[xrootd]" in LACKING


async def test_a_library_that_cannot_be_loaded_says_why(library: Path, root: Root) -> None:
    (library / "XRootD/client/__init__.py").write_text("raise ImportError('libXrdCl.so.6: no such file')")
    (verdict,) = await said(client(root), wanted("good"))
    assert (verdict.outcome, "libXrdCl.so.6" in verdict.words) == (Outcome.UNREACHABLE, True)


def test_the_worker_ends_with_the_tower(library: Path) -> None:
    """Whoever is killed leaves no process behind, and no answer that is outstanding keeps one alive."""
    owed = {"id": 1, "do": "stat", "server": "root://se:1094", "path": "/silent", "within": 3600}
    done = subprocess.run(
        [sys.executable, "-m", root_worker.__name__], input=json.dumps(owed).encode() + b"\n", capture_output=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_worker_that_nobody_asks_ends_unless_it_owes_an_answer(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root_worker, "IDLE_S", 0.0)
    read, write = os.pipe()
    with os.fdopen(read, "rb") as source, os.fdopen(write, "wb") as sink:

        class Owing(root_worker.Worker):
            @property
            def idle(self) -> bool:
                sink.close()  # the tower ends meanwhile
                return False

        assert list(root_worker.Worker(lambda _: None).calls(source)) == []
        assert not sink.closed
        assert list(Owing(lambda _: None).calls(source)) == []
        assert sink.closed


async def test_a_process_that_knows_many_servers_makes_room_for_another(
    root: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("act_core.storage.root_pipe.MOST_SERVERS", 3)
    storage = client(root)
    files = [wanted("good", host=f"se{n}") for n in range(10)]
    assert {verdict.outcome for file in files for verdict in await said(storage, file)} == {Outcome.MATCH}
    assert root._pipe is not None
    assert len(root._pipe._all) == 1


async def test_deletion(root: Root) -> None:
    async with AsyncExitStack() as stack:
        storage = client(root)
        stack.push_async_callback(storage.close)
        urls = {"root://se//good": Fate.DELETED, "root://se//none": Fate.ABSENT, "root://se//dir": Fate.REFUSED}
        assert {url: removal.fate for url, removal in (await storage.delete(urls)).items()} == urls


async def test_what_the_library_reads_when_it_is_loaded(root: Root, tmp_path: Path) -> None:
    """The stand-in gives a variable's value as the checksum of the file of that name."""
    root.proxy, root.connect = tmp_path / "proxy", timedelta(seconds=0.3)
    expected = {"XRD_TIMEOUTRESOLUTION": "1", "XRD_CONNECTIONWINDOW": "1", "XRD_STREAMTIMEOUT": "20"}
    files = [Wanted(f"root://se//{name}", 7, value) for name, value in expected.items()]
    assert {verdict.outcome for verdict in await said(client(root), *files)} == {Outcome.MATCH}
    environment = root.environment()
    assert environment["X509_USER_PROXY"] == str(tmp_path / "proxy")
    assert (environment["XrdSecGSIDELEGPROXY"], environment["BEARER_TOKEN_FILE"]) == ("0", os.devnull)

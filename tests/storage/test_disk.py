"""file://: whole or not, below the configured directories and nowhere else."""

import asyncio
import hashlib
import os
import zlib
from pathlib import Path

import pytest

from act_core.storage.base import Fate, Limits, Outcome, Removal, Verdict, Wanted
from act_core.storage.disk import Disk
from act_core.storage.storage import Storage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "a").mkdir(parents=True)
    (tmp_path / "secret").write_bytes(b"content")
    return made


def storage(root: Path) -> Storage:
    return Storage({"file": Disk((root,))}, Limits())


def put(path: Path, content: bytes) -> Wanted:
    path.write_bytes(content)
    return Wanted(path.as_uri(), len(content), f"{zlib.adler32(content):08x}", hashlib.md5(content).hexdigest())


async def said(root: Path, file: Wanted) -> Verdict:
    found = storage(root)
    try:
        return (await found.check([file]))[file]
    finally:
        await found.close()


async def fate(root: Path, url: str) -> Removal:
    found = storage(root)
    try:
        return (await found.delete([url]))[url]
    finally:
        await found.close()


async def test_files_are_compared(root: Path) -> None:
    good = put(root / "a/with space", b"content" * 500_000)
    assert (await said(root, good)).outcome is Outcome.MATCH
    assert (await said(root, put(root / "a/empty", b""))).outcome is Outcome.MATCH
    assert (await said(root, Wanted(good.url, good.size, "00000001"))).outcome is Outcome.MISMATCH
    assert (await said(root, Wanted(good.url, 1, good.adler32))).words == "size is 3500000, not 1"
    assert (await said(root, Wanted(f"{good.url}x", 1, "1"))).outcome is Outcome.ABSENT
    assert (await said(root, Wanted((root / "a").as_uri(), 1, "1"))).outcome is Outcome.MISMATCH


async def test_nothing_outside_is_looked_at(root: Path) -> None:
    secret = root.parent / "secret"
    (root / "link").symlink_to(secret)
    (root / "circle").symlink_to(root / "circle")
    for url in (
        secret.as_uri(),
        f"{root.as_uri()}/../secret",
        (root / "link").as_uri(),
        f"{root.as_uri()}/%2e%2e/secret",
    ):
        assert (await said(root, Wanted(url, 7, None))).outcome is Outcome.UNVERIFIABLE, url
        assert (await fate(root, url)).fate is (Fate.REFUSED), url
    assert (await said(root, Wanted((root / "circle").as_uri(), 7, None))).outcome is Outcome.UNREACHABLE
    assert secret.exists()


async def test_a_pipe_keeps_nobody_waiting(root: Path) -> None:
    os.mkfifo(root / "pipe")
    url = (root / "pipe").as_uri()
    async with asyncio.timeout(10):
        assert (await said(root, Wanted(url, 1, "1"))).outcome is Outcome.MISMATCH
        assert (await fate(root, url)).fate is Fate.REFUSED


async def test_what_becomes_of_files_that_are_to_be_deleted(root: Path) -> None:
    file = put(root / "a/f", b"content")
    assert (await fate(root, (root / "a").as_uri())).fate is Fate.REFUSED
    assert (await fate(root, f"{(root / 'a').as_uri()}/")).fate is Fate.REFUSED
    assert (await fate(root, file.url)).fate is Fate.DELETED
    assert (await fate(root, file.url)).fate is Fate.ABSENT
    assert (await fate(root, (root / "none/f").as_uri())).fate is Fate.ABSENT
    assert not (root / "a/f").exists()


async def test_without_directories_nothing_is_looked_at(root: Path) -> None:
    file = put(root / "a/f", b"content")
    found = Storage({"file": Disk()}, Limits())
    assert (await found.check([file]))[file].outcome is Outcome.UNVERIFIABLE
    await found.close()

"""Files of secrets: private from their first moment, replaced as a whole, in directories of our own."""

import os
import stat
import threading
from pathlib import Path

import pytest

from act_core.credentials.private import private_directory, write_private
from act_core.errors import ConfigError


def test_nobody_else_can_read_it_and_links_are_not_followed(tmp_path: Path) -> None:
    elsewhere, file = tmp_path / "elsewhere", tmp_path / "secret"
    elsewhere.write_text("as it was")
    file.symlink_to(elsewhere)
    before = os.umask(0)
    try:
        write_private(file, b"new")
    finally:
        os.umask(before)
    assert (elsewhere.read_text(), file.read_bytes(), file.is_symlink()) == ("as it was", b"new", False)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_threads_of_a_process_do_not_meet(tmp_path: Path) -> None:
    """Each stage has a thread, and two of them sign delegations of one CE."""
    file, contents, troubles = tmp_path / "file", [bytes([n]) * 5000 for n in range(4)], list[Exception]()

    def write(content: bytes) -> None:
        try:
            for _ in range(25):
                write_private(file, content)
        except OSError as err:
            troubles.append(err)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert troubles == []
    assert file.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_put_in_its_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken" / "inner").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        write_private(tmp_path / "taken", b"secret")
    assert [one.name for one in tmp_path.iterdir()] == ["taken"]


def test_a_directory_of_somebody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns it can put other proxies into it."""
    assert private_directory(tmp_path / "own") == tmp_path / "own"
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ConfigError, match="own belongs to another account"):
        private_directory(tmp_path / "own")

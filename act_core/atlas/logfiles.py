"""Files of the web area: written whole, within a size, read without following links; old days removed bit by bit."""

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path, PurePosixPath

from act_core.atlas.logplaces import PRIVATE
from act_core.engine.results import cut, plain_file

FILE, FOLDER = 0o644, 0o755
PRIVATE_FILE, PRIVATE_FOLDER = 0o640, 0o750  # the web server is in the group, or sees nothing of it
_OURS = re.compile(r"\d+\.(out|log|story)|\.\d+\.(out|log|story)\..+")  # the latter: drafts of a process that died


def put(area: Path, path: PurePosixPath, content: bytes, *, private: bool) -> None:
    """Replace a file of the area in one step. Raises OSError."""
    _folders(area, path.parent)
    target = area / path
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=target.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(handle, PRIVATE_FILE if private else FILE)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _folders(area: Path, folder: PurePosixPath) -> None:
    """With their modes, whatever the umask; those that are there stay as somebody may have made them."""
    area.mkdir(parents=True, exist_ok=True)
    mode = PRIVATE_FOLDER if folder.parts[0] == PRIVATE else FOLDER
    here = area
    for part in folder.parts:
        here /= part
        with suppress(FileExistsError):
            here.mkdir(mode=mode)
            made = here.stat().st_mode
            if made & 0o777 != mode:  # only then: chmod may take away the set-group-id bit that it has from its parent
                here.chmod(mode | made & stat.S_ISGID)


def read(directory: Path, name: str, most: int) -> bytes | None:
    """A plain file below a directory, cut in the middle to so many bytes; None: it is not there, or a link leads to it.

    Raises OSError for one that cannot be read.
    """
    file = plain_file(directory, name)
    if file is None:
        return None
    with file:
        return cut(file, os.fstat(file.fileno()).st_size, most)


def only_file(directory: Path, but: str) -> str | None:
    """The name of the plain file at the top of a directory that is not called so."""
    try:
        with os.scandir(directory) as entries:
            plain = sorted(one.name for one in entries if one.is_file(follow_symlinks=False))
    except OSError:
        return None
    return next((name for name in plain if name != but and not name.startswith(".")), None)


def purge(area: Path, oldest: date, most: int) -> int:
    """Remove at most so many files of days before `oldest`, and what is empty then; returns how many there were.

    What is not of our making stays. What cannot be removed is tried again the next time.
    """
    gone = 0
    for day in _days(area, oldest):
        for queue in _folders_in(day):
            for file in _files_in(queue):
                if gone >= most:
                    return gone
                with suppress(OSError):
                    file.unlink()
                    gone += 1
            with suppress(OSError):
                queue.rmdir()
        with suppress(OSError):
            day.rmdir()
    return gone


def _days(area: Path, oldest: date) -> Iterator[Path]:
    for part in (area, area / PRIVATE):
        for day in _folders_in(part):
            with suppress(ValueError):
                if date.fromisoformat(day.name) < oldest:
                    yield day


def _folders_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(one.path) for one in entries if one.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _files_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(one.path) for one in entries if _OURS.fullmatch(one.name)]
    except OSError:
        return []

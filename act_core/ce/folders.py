"""Files from and to a job's directory on this machine. Links of the payload are not followed."""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from act_core.ce.base import Fetched, FetchPlan, Refused
from act_core.ce.disk import BadFile, beside, make_folders, new_file, take_place, verdict
from act_core.ce.patterns import below, of_session, wanted
from act_core.errors import DiskError
from act_core.jobspec import COMMIT_FILE, InputFile

MOST_FILES, DEEPEST = 20_000, 20
MODE, RUNS = 0o600, 0o700


@dataclass(frozen=True, slots=True)
class Limits:
    size: int = 2**63  # bytes of one job
    files: int = MOST_FILES


class _TooMuch(Exception):
    """More than the limits allow."""


def bring(
    session: Path, controls: Mapping[str, Path], plan: FetchPlan, limits: Limits | None = None
) -> Fetched | Refused:
    """Copy what is wanted into the plan's directory, which is made new. `controls`: further files, by path at home.

    Raises DiskError.
    """
    limits = limits or Limits()
    patterns = (*plan.patterns, *plan.declared)
    found = list(islice(_listed(session, "", patterns, 0), limits.files + 1))
    if len(found) > limits.files:
        return Refused(f"more than {limits.files} files", for_good=True)
    files = {name: session / name for name in found}
    missing = [name for name in plan.declared if not name.endswith("/") and name not in files]
    if missing:
        return Refused(f"the payload left no {', '.join(missing[:5])}", for_good=session.is_dir())
    files |= controls
    if outside := [home for home in files if home.startswith("/") or ".." in home.split("/")]:
        return Refused(f"{outside[0]} is not below the job's directory", for_good=True)
    brought = _home(files, plan.directory, limits.size)
    if isinstance(brought, Fetched) and not session.is_dir() and of_session(plan.patterns):
        return replace(brought, bare=True)
    return brought


def _home(files: Mapping[str, Path], directory: Path, limit: int) -> Fetched | Refused:
    fresh = beside(directory)
    try:
        make_folders(fresh)
        number, size = _copy(files, fresh, limit)
        take_place(fresh, directory)
    except _TooMuch:
        return Refused(f"more than {limit} bytes", for_good=True)
    except BadFile as err:
        return Refused(str(err), for_good=False)
    except (OSError, DiskError) as err:
        raise DiskError(f"{directory} cannot be written: {err}") from err
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return Fetched(number, size)


def _listed(session: Path, directory: str, patterns: tuple[str, ...], depth: int) -> Iterator[str]:
    """Wanted plain files below a directory, by their path in the session directory."""
    try:
        entries = sorted(os.scandir(session / directory), key=lambda entry: entry.name)
    except OSError:
        return  # it went meanwhile, or is not open to us: then it is missing
    for entry in entries:
        name = f"{directory}/{entry.name}" if directory else entry.name
        if entry.is_dir(follow_symlinks=False):
            if depth < DEEPEST and below(name, patterns):
                yield from _listed(session, name, patterns, depth + 1)
        elif entry.is_file(follow_symlinks=False) and wanted(name, patterns) and name != COMMIT_FILE:
            yield name


def _copy(files: Mapping[str, Path], directory: Path, limit: int) -> tuple[int, int]:
    """Copy files to their names in a directory; returns their number and size. Raises DiskError, BadFile, _TooMuch."""
    number = size = 0
    try:
        for home, source in files.items():
            with _plain(source, os.O_NOFOLLOW) as data:
                if size + os.fstat(data.fileno()).st_size > limit:
                    raise _TooMuch
                make_folders((directory / home).parent)
                with new_file(directory / home) as file:
                    shutil.copyfileobj(data, file)
                    size += file.tell()
                number += 1
    except OSError as err:
        raise verdict(err) from err
    return number, size


def _plain(path: Path, how: int = 0) -> BinaryIO:
    """An open plain file; nothing that one would wait for. Raises OSError or BadFile."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | how)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise BadFile(f"{path} is not a file")
    return os.fdopen(file, "rb")


def put(session: Path, file: InputFile) -> Refused | None:
    """Bring a file of ours into a job's directory, whole or not at all; one that is there is replaced."""
    if not session.is_dir():
        return Refused(f"input {file.name}: the job has no directory (any more)", for_good=True)
    target = session / file.name
    draft = target.with_name(f".act.{target.name}.new"[:250])
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not target.parent.resolve().is_relative_to(session.resolve()):
            return Refused(f"input {file.name} leads out of the job's directory", for_good=True)
        draft.unlink(missing_ok=True)
        _write(draft, file)
        draft.rename(target)
    except (FileNotFoundError, BadFile) as err:
        return Refused(f"input {file.name}: {err if isinstance(err, BadFile) else _absent(err)}", for_good=True)
    except OSError as err:
        return Refused(f"input {file.name}: {err.strerror or err}", for_good=False)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
    return None


def _absent(err: FileNotFoundError) -> str:
    return f"{err.filename} does not exist"


def _write(draft: Path, file: InputFile) -> None:
    mode = RUNS if file.executable else MODE
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as out:
        if file.content is not None:
            out.write(file.content.encode())
            return
        with _plain(Path(str(file.source))) as data:
            shutil.copyfileobj(data, out)

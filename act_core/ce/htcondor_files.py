"""The files of HTCondor jobs on the tower's side: a directory a job, and the credentials that all of them name."""

import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from act_core.ce import folders
from act_core.ce.base import Fetched, FetchPlan, Refused, SubmissionKey
from act_core.ce.disk import verdict
from act_core.ce.folders import MOST_FILES, Limits
from act_core.ce.htcondor_jobs import LOG, OUTPUT, SCRIPT, SESSION, STDERR, STDOUT, script
from act_core.credentials.tls import require_private
from act_core.errors import CredentialError
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec

CREDENTIALS = ".credentials"
COMMIT = InputFile(name=COMMIT_FILE, content="ok\n")
AD = "job.ad"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where the directories lie. `account`: uid that owns them, when it is not our own. Calls raise OSError."""

    root: Path
    account: int | None

    def place(self, key: SubmissionKey) -> Path:
        return self.root / key

    def make(self, key: SubmissionKey, spec: JobSpec, with_inputs: bool) -> str | None:
        """A new directory with the script in it. `with_inputs`: ours too; returns the name of one that is not there."""
        place = self.place(key)
        shutil.rmtree(place, ignore_errors=True)
        (place / SESSION).mkdir(parents=True, mode=0o700)
        (place / SCRIPT).write_text(script(spec), encoding="utf-8", errors="surrogateescape")
        missing = None
        for file in (COMMIT, *(spec.uploads if with_inputs else ())):
            if folders.put(place / SESSION, file):
                missing = missing or file.name
        self._give(place)
        return missing

    def put(self, key: SubmissionKey, files: Collection[InputFile]) -> Refused | None:
        for file in files:
            if refused := folders.put(self.place(key) / SESSION, file):
                return refused
        self._give(self.place(key))
        return None

    def remove(self, keys: Collection[SubmissionKey]) -> None:
        for key in keys:
            shutil.rmtree(self.place(key), ignore_errors=True)

    def credential(self, source: Path | None, name: str) -> Path | None:
        """The copy that jobs name: private, theirs, and replaced as a whole when the source has changed.

        Raises CredentialError: it cannot be read, or others can read it.
        """
        if source is None:
            return None
        require_private(source)
        target = self.root / CREDENTIALS / name
        try:
            fresh = source.read_bytes()
        except OSError as err:
            raise CredentialError(f"{source} cannot be read: {err.strerror}") from err
        if target.exists() and target.read_bytes() == fresh:
            return target
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, draft = tempfile.mkstemp(prefix=f".{name}.", dir=target.parent)  # submissions and renewals may meet
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(fresh)
            if self.account is not None:
                for path in (target.parent, draft):
                    os.chown(path, self.account, -1, follow_symlinks=False)
            Path(draft).replace(target)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        return target

    def keep_ad(self, key: SubmissionKey, text: str) -> None:
        """The job's ad as a text, for those who want the CE's own words."""
        path = self.place(key) / AD
        path.unlink(missing_ok=True)
        path.write_text(text, encoding="utf-8", errors="replace")

    def bring(self, key: SubmissionKey, plan: FetchPlan, controls: Mapping[str, Path], limit: int) -> Fetched | Refused:
        """What is wanted of a job's archive. Raises DiskError, OSError."""
        unpacked = self.place(key) / ".unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        unpacked.mkdir(parents=True, mode=0o700)
        try:
            unpack(self.place(key) / OUTPUT, unpacked, limit)
            return folders.bring(unpacked, controls, plan, Limits(size=limit))
        except (tarfile.TarError, EOFError) as err:
            return Refused(f"the archive of its outputs is damaged: {err}", for_good=False)
        except _TooMuch as err:
            return Refused(str(err), for_good=True)
        except OSError as err:
            raise verdict(err) from err
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)

    def controls(self, key: SubmissionKey) -> dict[str, tuple[str, ...]]:
        """Which files stand for the CE's own, by the names that ARC gave them."""
        found = {
            "errors": (LOG, STDERR), "log": (LOG,), "diag": (AD,), "local": (AD,), "description": (AD,),
            "status": (AD,), "statistics": (AD,), "failed": (STDERR, STDOUT),
        }  # fmt: skip
        there = {name for name in (LOG, STDERR, STDOUT, AD) if (self.place(key) / name).is_file()}
        return {name: tuple(one for one in files if one in there) for name, files in found.items()}

    def _give(self, place: Path) -> None:
        """The job's owner has to read and write there."""
        if self.account is None:
            return
        for folder, inner, files in os.walk(place):
            for name in ("", *inner, *files):
                os.chown(Path(folder) / name, self.account, -1, follow_symlinks=False)


class _TooMuch(Exception):
    """More than is taken of one job."""


def unpack(archive: Path, target: Path, limit: int) -> None:
    """Plain files and nothing else, nowhere but below the target. An archive that is not there is an empty one."""
    try:
        file = os.open(archive, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    size = files = 0
    with os.fdopen(file, "rb") as source:
        if not stat.S_ISREG(os.fstat(file).st_mode) or not os.fstat(file).st_size:
            return
        with tarfile.open(fileobj=source, mode="r:") as members:
            for member in members:
                name = _inside(member.name)
                if not member.isreg() or name is None:
                    continue
                size, files = size + member.size, files + 1
                if size > limit or files > MOST_FILES:
                    raise _TooMuch(f"more than {limit} bytes or {MOST_FILES} files")
                _write(members, member, target / name)


def _inside(name: str) -> PurePosixPath | None:
    path = PurePosixPath(name)
    return None if path.is_absolute() or ".." in path.parts or not path.parts or "\x00" in name else path


def _write(members: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    data = members.extractfile(member)
    assert data is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with data, path.open("xb") as file:
        shutil.copyfileobj(data, file)

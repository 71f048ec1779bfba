"""A-REX's control directory, of 6.17 (a flat one) and of 7 (a directory a job): jobs are made, told, marked and found.

A job is there for A-REX once its `status` is, which is written last and by renaming.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from act_core.ce.base import RemoteId
from act_core.errors import ConfigError, ProtocolError, Transient

NEW, OTHERS = "accepting", ("processing", "restarting", "finished")
STATUS = ".status"
HASHED = "version2"  # a file that A-REX 7 keeps where it keeps a directory a job
LOCK_TRIES, LOCK_PAUSE_S = 50, 0.01
MOVES, MOVING_S = 5, 0.02
PIPE = 4096  # bytes that a pipe takes whole
_NOT_OURS = (errno.EACCES, errno.EPERM)


class Taken(Exception):
    """There is another job with this id."""


class Control:
    """One control directory. Its methods block; all but `check` raise OSError. `uid`: of us."""

    def __init__(self, path: Path, uid: int) -> None:
        self.path, self.uid = path, uid
        self._hashed = False

    def check(self) -> None:
        """Whether A-REX runs here, as the account that we are.

        Raises ConfigError (wrong account), Transient (it does not run), ProtocolError (a layout of another release).
        """
        if self.uid == 0:
            raise ConfigError(_same(0))
        self._look()
        try:
            os.close(self._pipe())
        except OSError as err:
            raise Transient(f"no A-REX runs with {self.path} (nobody reads gm.fifo)") from err

    def _look(self) -> None:
        """Whose directory it is, and how it is kept."""
        try:
            owner = self.path.stat().st_uid
            names = {entry.name for entry in os.scandir(self.path) if entry.name.startswith("version")}
        except FileNotFoundError as err:
            raise Transient(f"{self.path} is not there: no A-REX has run yet") from err
        except OSError as err:
            if err.errno not in _NOT_OURS:
                raise Transient(f"{self.path}: {err.strerror}") from err
            raise ConfigError(f"{self.path} is not open to us: {_same(self.uid)}") from err
        if owner != self.uid:
            raise ConfigError(f"{self.path} belongs to uid {owner}: {_same(self.uid)}")
        if unknown := names - {HASHED}:
            raise ProtocolError(f"{self.path} is kept in a way that is not known here ({', '.join(sorted(unknown))})")
        self._hashed = HASHED in names

    def file(self, job: RemoteId, name: str) -> Path:
        if self._hashed:
            return self.path / "jobs" / job[:3] / job[3:6] / job[6:9] / job[9:] / name
        return self.path / f"job.{job}.{name}"

    def read(self, job: RemoteId, name: str) -> str:
        """The text of a control file; empty if there is none. What A-REX is just writing is waited for."""
        try:
            with self.file(job, name).open("rb") as file:
                for _ in range(LOCK_TRIES if name == "local" else 0):
                    try:
                        fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        time.sleep(LOCK_PAUSE_S)
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def _status(self, directory: str, job: RemoteId) -> Path:
        return self.path / directory / (f"{job}{STATUS}" if self._hashed else f"job.{job}{STATUS}")

    def status(self, job: RemoteId) -> str | None:
        """A-REX's word; empty: it changes it and takes its time; None: it does not know the job.

        Its file is gone from one directory before it is in the next, and empty before it is written.
        """
        for _ in range(MOVES):
            if word := self._word(job):
                return word
            if not self.file(job, "errors").exists():
                return self._word(job)
            time.sleep(MOVING_S)
        return ""

    def _word(self, job: RemoteId) -> str | None:
        for directory in (NEW, *OTHERS):
            with contextlib.suppress(FileNotFoundError):
                text = self._status(directory, job).read_text(encoding="utf-8", errors="replace")
                return text.partition("\n")[0].strip()
        return None

    def status_file(self, job: RemoteId) -> Path | None:
        return next((file for one in (NEW, *OTHERS) if (file := self._status(one, job)).is_file()), None)

    def jobs(self) -> dict[RemoteId, None]:
        """The ids of all jobs that A-REX knows.

        A status is gone from one directory before it is in the next: a job that moves is seen in the second round.
        """
        first = [job for directory in (NEW, *OTHERS) for job in self._in(directory)]
        time.sleep(MOVING_S)
        return dict.fromkeys([*first, *(job for directory in (NEW, *OTHERS) for job in self._in(directory))])

    def ended(self) -> list[RemoteId]:
        return list(self._in(OTHERS[-1]))

    def _in(self, directory: str) -> Iterator[RemoteId]:
        prefix = "" if self._hashed else "job."
        for entry in os.scandir(self.path / directory):
            if entry.name.endswith(STATUS) and entry.name.startswith(prefix):
                yield RemoteId(entry.name.removeprefix(prefix).removesuffix(STATUS))

    def make(self, job: RemoteId, session: Path, files: Mapping[str, bytes], may: Callable[[], bool]) -> bool:
        """Make a job, if `may` holds at the last moment; else nothing of it stays. `files` has its `description`.

        Raises Taken, and OSError: then too nothing stays.
        """
        description = self.file(job, "description")
        description.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        try:
            os.close(os.open(description, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError as err:
            if self.status(job) is not None or description.read_bytes() != files["description"]:
                raise Taken from err
        made = False
        try:
            session.mkdir(mode=0o700, exist_ok=True)
            for name, content in files.items():
                self.write(job, name, content)
            draft = self._status(NEW, job).with_suffix(".new")
            draft.write_text("ACCEPTED", encoding="ascii")
            if may():
                draft.rename(self._status(NEW, job))
                made = True
            else:
                draft.unlink()
        finally:
            if not made:
                self.unmake(job, session, files)
        return made

    def unmake(self, job: RemoteId, session: Path, names: Iterable[str]) -> None:
        """Remove what there is of a job that A-REX never saw."""
        if self.status(job) is not None:
            return
        self._status(NEW, job).with_suffix(".new").unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            session.rmdir()
        for name in names:
            self.file(job, name).unlink(missing_ok=True)
            self._draft(job, name).unlink(missing_ok=True)
        if self._hashed:
            with contextlib.suppress(OSError):
                for directory in list(self.file(job, "description").parents)[:4]:
                    directory.rmdir()

    def write(self, job: RemoteId, name: str, content: bytes) -> None:
        """Write a control file at once and whole, for its owner alone."""
        draft = self._draft(job, name)
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(content)
        draft.rename(self.file(job, name))

    def _draft(self, job: RemoteId, name: str) -> Path:
        return self.file(job, name).with_name(f".act.{job}.{name}")

    def rewrite(self, job: RemoteId, name: str, content: bytes) -> bool:
        """Write a control file of a job that A-REX may remove meanwhile; False: it has."""
        try:
            self.write(job, name, content)
        except FileNotFoundError:
            return False
        if not self.file(job, "local").exists():
            self.file(job, name).unlink(missing_ok=True)
            return False
        return True

    def mark(self, job: RemoteId, wish: str) -> None:
        """Leave a wish (`cancel`, `clean`, `restart`) for A-REX."""
        os.close(os.open(self._mark(job, wish), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))

    def unmark(self, job: RemoteId, wish: str) -> None:
        """A wish that came too late would lie there for ever."""
        self._mark(job, wish).unlink(missing_ok=True)

    def _mark(self, job: RemoteId, wish: str) -> Path:
        """7.0 has no dot between them."""
        return self.path / NEW / (f"{job}{wish}" if self._hashed else f"job.{job}.{wish}")

    def tell(self, jobs: Iterable[RemoteId]) -> None:
        """Draw A-REX's attention to these jobs. If it has too much to read, it will find them by itself."""
        with contextlib.suppress(OSError):
            pipe = self._pipe()
            try:
                for piece in _pieces(job.encode() + b"\0" for job in jobs):
                    os.write(pipe, piece)
            finally:
                os.close(pipe)

    def _pipe(self) -> int:
        pipe = os.open(self.path / "gm.fifo", os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
            os.close(pipe)
            raise OSError(errno.ENXIO, "not a pipe")
        return pipe


def _same(uid: int) -> str:
    if uid == 0:
        return "A-REX skips jobs of root without a word: run A-REX and the tower as the same account, and not as root"
    return f"run the tower, now uid {uid}, as the account of A-REX, which must not be root"


def _pieces(words: Iterable[bytes]) -> Iterator[bytes]:
    """Words together, as many as are written at once or not at all."""
    piece = b""
    for word in words:
        if len(piece) + len(word) > PIPE:
            yield piece
            piece = b""
        piece += word
    if piece:
        yield piece

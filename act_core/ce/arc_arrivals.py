"""New jobs for an A-REX on this host: each appears whole or not at all, and what a killed tower began is taken away."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from act_core.ce import arc_adl, arc_records
from act_core.ce.arc_conf import ArcConf
from act_core.ce.arc_control import Control, Taken
from act_core.ce.arc_records import Owner
from act_core.ce.base import Refused, RemoteId, SubmissionKey

FILES = ("proxy", "local", "input_status", "description")
LATE = Refused("the send deadline has passed", for_good=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """Descriptions and queues by key, and what is common to all."""

    written: Mapping[SubmissionKey, tuple[str, str]]
    conf: ArcConf
    owner: Owner
    now: datetime
    may: Callable[[], bool]  # whether there is time to send one more


class Arrivals:
    """`intents`: a directory of the tower, with a file for each batch that is being made."""

    def __init__(self, control: Control, intents: Path) -> None:
        self._control, self._intents = control, intents

    def make(self, batch: Batch) -> dict[SubmissionKey, RemoteId | Refused]:
        """Make the jobs, one after the other. Raises OSError only before the first."""
        if not batch.may():
            return dict.fromkeys(batch.written, LATE)
        room = len(batch.written)
        if batch.conf.most is not None:
            room = max(0, batch.conf.most - len(self._control.jobs()))
        keys = list(batch.written)
        full = Refused(f"A-REX has {batch.conf.most} jobs and takes no more (maxjobs in arc.conf)", for_good=False)
        return self._make(batch, keys[:room]) | dict.fromkeys(keys[room:], full)

    def _make(self, batch: Batch, keys: Sequence[SubmissionKey]) -> dict[SubmissionKey, RemoteId | Refused]:
        places = {key: self._session(batch.conf, arc_records.id_of(key)) for key in keys}
        with self._intending({arc_records.id_of(key): str(place) for key, place in places.items()}):
            answers = {key: self._one(key, places[key], batch) for key in keys}
        self._control.tell(answer for answer in answers.values() if not isinstance(answer, Refused))
        return answers

    @staticmethod
    def _session(conf: ArcConf, job: RemoteId) -> Path:
        """A-REX spreads jobs evenly over its session directories."""
        return conf.sessions[int(job, 16) % len(conf.sessions)] / job

    def _one(self, key: SubmissionKey, session: Path, batch: Batch) -> RemoteId | Refused:
        job, (text, queue) = arc_records.id_of(key), batch.written[key]
        conf, owner = batch.conf, batch.owner
        local = arc_records.local(
            job, key, conf.lrms, queue, session, self._control.path, conf.host, owner, batch.now
        )  # fmt: skip
        files = {"local": local.encode(), "input_status": arc_records.NO_FILES.encode(), "description": text.encode()}
        if owner.pem is not None:
            files["proxy"] = owner.pem
        try:
            made = self._control.make(job, session, files, batch.may)
        except Taken:
            same = arc_adl.name_in(self._control.read(job, "description")) == key
            there = same and self._control.status(job) is not None
            return job if there else Refused(f"another job has the id {job}", for_good=False)
        except OSError as err:
            return Refused(f"{err.filename or self._control.path}: {err.strerror or err}", for_good=False)
        return job if made else LATE

    @contextlib.contextmanager
    def _intending(self, sessions: Mapping[RemoteId, str]) -> Iterator[None]:
        """While this lasts, a locked file tells which jobs are being made; killed, we leave it without its lock."""
        self._intents.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        draft, file = self._intents / f".{name}", self._intents / f"{name}.json"
        with draft.open("w", encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            held.write(json.dumps(sessions))
            held.flush()
            draft.rename(file)
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # what was made must be told
                    file.unlink()

    def sweep(self) -> None:
        """Take away what dead makers left of jobs that A-REX never saw. Raises OSError."""
        for file in self._intents.glob("*.json"):
            with contextlib.suppress(FileNotFoundError, BlockingIOError), file.open("r", encoding="utf-8") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for job, session in arc_records.intended(held.read()).items():
                    self._control.unmake(job, session, FILES)
                file.unlink()

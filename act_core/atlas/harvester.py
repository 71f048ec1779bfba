"""The door for a Harvester: it hands jobs over that it took from PanDA, reads how they are, and wants them dead.

Only the Harvester speaks to PanDA of these jobs. `HarvesterDoor` is what its plugins use; docs/harvester.md.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from act_core.atlas import books, handed, worker_states
from act_core.atlas.books import HARVESTER, Booked, Change, app_of
from act_core.atlas.cric import Queue
from act_core.atlas.fetch_jobs import booked
from act_core.atlas.handed import Link
from act_core.atlas.heartbeat import killed
from act_core.atlas.instance import server_key
from act_core.atlas.queues import all_parsed
from act_core.atlas.sealing import fitting, sealed
from act_core.atlas.serving import STATUSES
from act_core.atlas.wire import MalformedJob, PandaJob, decode_for_pilot
from act_core.atlas.worker_states import WorkerLogs, WorkerState
from act_core.credentials.vault import Vault, key_file
from act_core.db import operator_modes, wishes
from act_core.db.bootstrap import open_tables
from act_core.db.operator_modes import Words
from act_core.db.panda_models import PandaRow
from act_core.errors import BadInput, CredentialError
from act_core.foreign import read_json
from act_core.settings.model import Settings
from act_core.states import PandaState, Request

MOST = 1000  # workers of one call
_KILLABLE = {
    PandaState.FORGOTTEN,
    PandaState.STARTING,
    PandaState.RUNNING,
    PandaState.TRANSFERRING,
    PandaState.TOVALIDATE,
}


def _absolute(path: str) -> str:
    if not path.startswith("/") or ".." in Path(path).parts or "\0" in path:
        raise ValueError("an absolute path is wanted")
    return path


class WorkSpec(BaseModel):
    """A worker of a Harvester and its one job, as PanDA gave it: an object, or the legacy url-encoded text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    harvester_id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")
    worker_id: int = Field(ge=1, lt=2**63)
    queue: str = Field(min_length=1, max_length=128)
    job: Mapping[str, Any] | str
    access_point: Annotated[str, Field(max_length=1024), AfterValidator(_absolute)] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a worker. `id`: what it is asked for by, Harvester's batch id; None: `refused` says why."""

    harvester_id: str
    worker_id: int
    id: int | None = None
    refused: str | None = None


def read_specs(text: str) -> list[WorkSpec]:
    """A JSON list of workers. Raises BadInput that names the worker and the field."""
    try:
        listed = read_json(text)
    except ValueError as err:
        raise BadInput(f"the workers are not JSON: {err}") from err
    if not isinstance(listed, list) or len(listed) > MOST:
        raise BadInput(f"a list of at most {MOST} workers is wanted")
    found = []
    for number, one in enumerate(listed, 1):
        try:
            found.append(WorkSpec.model_validate(one))
        except ValidationError as err:
            first = err.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"]))
            raise BadInput(f"worker {number}: {field}: {first['msg']}") from err
    return found


def hand_over(session: Session, settings: Settings, specs: Sequence[WorkSpec], now: datetime) -> list[Answer]:
    """Book the jobs, and answer in the order of the workers. To hand a worker over again changes nothing."""
    server = server_key(settings)
    known = handed.links_of(session, {(one.harvester_id, one.worker_id) for one in specs})
    queues = all_parsed(session, server, {one.queue for one in specs})
    words = operator_modes.standing(session, now)
    jobs: dict[tuple[str, int], Accepted] = {}
    vault = Vault(key_file(settings))
    refused: dict[tuple[str, int], str] = {}
    for one in specs:
        key = (one.harvester_id, one.worker_id)
        try:
            if key not in known and key not in jobs:
                _check_wanted(words, server, one.queue)
                jobs[key] = _accepted(one, queues.get(one.queue), settings, vault)
        except (BadInput, CredentialError) as err:
            refused[key] = str(err)
    made = _book(session, server, specs, jobs, queues, refused, now)
    ids = {key: link.id for key, link in {**known, **made}.items()}
    return [
        Answer(*key, ids.get(key), refused.get(key)) for key in ((one.harvester_id, one.worker_id) for one in specs)
    ]


def _check_wanted(words: Words, server: str, queue: str) -> None:
    """Raises BadInput where an operator wants no more jobs: to be handed one is to take it."""
    if word := words.queues.get((server, queue)):
        raise BadInput(
            f"queue {queue!r} takes no jobs: mode {word.mode}, by {word.owner} ({word.reason or 'no reason'})"
        )
    if words.tower is not None:
        raise BadInput(f"the tower is being drained, by {words.tower.owner} ({words.tower.reason or 'no reason'})")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job that can be booked, and its secrets as they are kept."""

    job: PandaJob
    secrets: bytes | None


def _accepted(spec: WorkSpec, queue: Queue | None, settings: Settings, vault: Vault) -> Accepted:
    """Raises BadInput with the reason, CredentialError where secrets cannot be sealed."""
    if settings.arc.tower.observe:
        raise BadInput("the tower only observes (tower.observe)")
    if spec.harvester_id not in settings.app.cric.handedby:
        raise BadInput(f"Harvester {spec.harvester_id!r} is none of cric.handedby")
    if queue is None:
        raise BadInput(f"no PanDA queue {spec.queue!r} is known")
    if not (queue.served or queue.handed):
        raise BadInput(f"queue {spec.queue!r} is not served: {queue.why}")
    if not STATUSES[queue.status].start:
        raise BadInput(f"queue {spec.queue!r} is {queue.status}")
    job = fitting(PandaJob.parse(decode_for_pilot(spec.job) if isinstance(spec.job, str) else spec.job))
    if isinstance(job, MalformedJob):
        raise job
    return Accepted(job, sealed(vault, job))


def _book(
    session: Session,
    server: str,
    specs: Iterable[WorkSpec],
    jobs: Mapping[tuple[str, int], Accepted],
    queues: Mapping[str, Queue],
    refused: dict[tuple[str, int], str],
    now: datetime,
) -> dict[tuple[str, int], Link]:
    """Rows and links of what is new; a job that the tower has already is `refused`."""
    here = handed.rows_of(session, server, {one.job.panda_id for one in jobs.values()})
    wanted: dict[tuple[int, int], WorkSpec] = {}
    for spec in specs:
        key = (spec.harvester_id, spec.worker_id)
        if key not in jobs:
            continue
        job = jobs[key].job
        number = (job.panda_id, job.attempt_nr)
        if number in here or wanted.setdefault(number, spec) != spec:
            refused[key] = f"PanDA job {job.panda_id} is known already"
    of_harvester = {"reporter": HARVESTER, "heartbeat_due_at": None}
    rows = [
        booked(one.job, server, spec.queue, now) | of_harvester | {"secrets": one.secrets}
        for spec in wanted.values()
        for one in (jobs[spec.harvester_id, spec.worker_id],)
    ]
    books.insert_jobs(session, rows)
    ids = handed.rows_of(session, server, {panda_id for panda_id, _ in wanted})
    made = {
        (spec.harvester_id, spec.worker_id): Link(
            ids[number][0], spec.harvester_id, spec.worker_id, spec.access_point, queues[spec.queue].truepilot
        )
        for number, spec in wanted.items()
    }
    handed.enter(session, list(made.values()), now)
    return made


def kill(session: Session, settings: Settings, ids: Collection[int], now: datetime) -> dict[int, str]:
    """A Harvester wants these dead. Returns `kill`, `over` or `unknown` for each."""
    links = handed.links(session, ids)
    rows = books.picked(session, PandaRow.id.in_(sorted(links)), limit=len(links)) if links else []
    books.lock(session, rows)
    changes = {row: change for row in rows if (change := _dead(row, now))}
    settled = books.settle(session, changes, now)
    cancelled = [row.app_job_id for row in settled.written if changes[row].to is PandaState.TOKILL]
    if cancelled:
        wishes.wish(session, app_of(settings), cancelled, Request.CANCEL, now)
    wanted = {row.id for row in settled.written} | {row.id for row in rows if row.state is PandaState.TOKILL}
    return {one: "kill" if one in wanted else "over" if one in links else "unknown" for one in ids}


def _dead(row: Booked, now: datetime) -> Change | None:
    why = "its Harvester wants it dead"
    if row.state in (PandaState.SENT, PandaState.FORGOTTEN):
        return Change(PandaState.TOREPORT, {"report": killed(row, now), "heartbeat_due_at": now, "error": why})
    return Change(PandaState.TOKILL, {"error": why}) if row.state in _KILLABLE else None


class HarvesterDoor:
    """What a Harvester's plugins call, in a process of their own on the tower's machine. A context manager.

    `settings`: as `load_settings` reads them, of the instance whose PanDA server the Harvester serves.
    Raises ConfigError without state tables, Transient when the database is away: call again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._db = open_tables(settings)

    def submit(self, specs: Sequence[WorkSpec]) -> list[Answer]:
        return self._db.write(hand_over, self._settings, specs, self._db.now())

    def status(self, ids: Collection[int]) -> dict[int, WorkerState]:
        """Unknown ids are left out."""
        return self._db.read(worker_states.states, app_of(self._settings), ids)

    def kill(self, ids: Collection[int]) -> dict[int, str]:
        return self._db.write(kill, self._settings, ids, self._db.now())

    def logs(self, ids: Collection[int]) -> dict[int, WorkerLogs]:
        """Unknown ids are left out."""
        return self._db.read(worker_states.logs, self._settings, ids)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

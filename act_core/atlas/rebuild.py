"""PanDA jobs of a lost database: what travels with their attempts, and their rows written anew by PanDA's own word."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from act_core.atlas import books, queues
from act_core.atlas.books import PILOT, Booked, Change, app_job_id, panda_ids
from act_core.atlas.forgotten import OVER
from act_core.atlas.instance import panda, server_of
from act_core.atlas.reports import JobStatus
from act_core.db.bulk import chunks
from act_core.engine.marks import Found
from act_core.errors import Transient
from act_core.logs import log
from act_core.runtime import Runtime
from act_core.states import PANDA_FINAL, PandaState

logger = log(__name__)
# Of PanDA's job, what is needed once it has been sent: who it is, and which outputs it owes.
KEPT = ("PandaID", "attemptNr", "prodSourceLabel", "jobName", "outFiles", "logFile", "allowNoOutput")
_BEGUN: Mapping[str, PandaState] = {
    "running": PandaState.RUNNING,
    "holding": PandaState.RUNNING,
    "merging": PandaState.RUNNING,
    "transferring": PandaState.TRANSFERRING,
}
# An attempt stands for these, and none of what they wait for is lost with the attempt's row.
_AT_WORK = frozenset({PandaState.STARTING, PandaState.RUNNING, PandaState.TRANSFERRING, PandaState.TOKILL})


class Memo(BaseModel):
    """What travels with an attempt of a PanDA job."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    server: str = Field(min_length=1, max_length=128)
    queue: str = Field(min_length=1, max_length=128)
    label: str = Field(min_length=1, max_length=32)
    reporter: Literal["tower", "pilot", "harvester"] = "tower"
    cores: int = Field(default=1, ge=1, le=10_000)
    job: dict[str, str | int | float | bool | None] = Field(default_factory=dict)


def memo_of(row: Booked, reporter: str) -> str:
    """`row` with its text `job`; `reporter`: who speaks for it once it runs."""
    raw = json.loads(row.job)
    job = {name: raw[name] for name in KEPT if isinstance(raw.get(name), str | int | float | bool)}
    known = {"server": row.server, "queue": row.queue, "label": row.label, "reporter": reporter, "cores": row.cores}
    return json.dumps(known | {"job": job}, separators=(",", ":"))


def read_memo(text: str | None) -> Memo | None:
    """Foreign text, as it comes from a CE; None: it is none of ours."""
    try:
        return Memo.model_validate_json(text or "")
    except ValidationError:
        return None


async def ready(rt: Runtime) -> bool:
    """CRIC names the CEs of PanDA's queues."""
    return await rt.read(queues.any_known, server_of(rt))


async def recover(rt: Runtime, found: Sequence[Found]) -> Collection[str]:
    """Book the PanDA jobs of these attempts, by what PanDA says of them; returns those that are over for it.

    Raises ActError: PanDA does not answer, and nothing is booked.
    """
    memos = {one.mark.job: memo for one in found if (memo := _memo(one, server_of(rt)))}
    numbers = {panda_id for panda_id, _ in panda_ids(memos)}
    if not numbers:
        return set()
    said = await panda(rt).get_job_status(numbers)
    if silent := numbers - said.keys():
        raise Transient(f"PanDA does not say how {len(silent)} jobs are")
    over: set[str] = set()
    for jobs in chunks(sorted(memos)):
        over |= await rt.write(_book, server_of(rt), {job: memos[job] for job in jobs}, said, rt.now())
    return over


def _memo(one: Found, server: str) -> Memo | None:
    memo = read_memo(one.mark.spec.memo)
    try:
        ((panda_id, attempt_nr),) = panda_ids([one.mark.job])
    except ValueError:
        memo = None
    if memo is None or memo.server != server or one.mark.job != app_job_id(panda_id, attempt_nr):
        logger.warning("job %s of attempt %s is not to be booked: its memo is not ours", one.remote_id, one.mark.job)
        return None
    return memo


def _book(
    session: Session, server: str, memos: Mapping[str, Memo], said: Mapping[int, JobStatus], now: datetime
) -> set[str]:
    """New rows, and rows of an older copy brought to what is now; returns the jobs that are over."""
    rows = books.by_app_job_ids(session, server, memos)
    names = {job: next(iter(panda_ids([job]))) for job in memos}
    new = {job: memo for job, memo in memos.items() if job not in rows}
    books.insert_jobs(session, [row_of(memo, *names[job], said[names[job][0]], now) for job, memo in new.items()])
    changes = {row: change for job, row in rows.items() if (change := moved(row, said[row.panda_id], memos[job], now))}
    books.settle(session, changes, now)
    closed = {job for job in new if is_over(names[job][1], said[names[job][0]])}
    return closed | {job for job, row in rows.items() if row not in changes and row.state not in _AT_WORK}


def is_over(attempt_nr: int, said: JobStatus) -> bool:
    """PanDA has a later attempt in its books, or calls this one ended."""
    return said.attempt_nr > attempt_nr or (said.attempt_nr == attempt_nr and said.status in OVER)


def row_of(memo: Memo, panda_id: int, attempt_nr: int, said: JobStatus, now: datetime) -> dict[str, Any]:
    """A PanDA job as PanDA has it now. One that PanDA does not know: the answer to its heartbeat decides."""
    state = PandaState.CLOSED if is_over(attempt_nr, said) else PandaState.STARTING
    told = said.status[:16] if said.known and said.attempt_nr == attempt_nr else None
    if state is not PandaState.CLOSED:
        state = _BEGUN.get(told or "", state)
    begun = state in (PandaState.RUNNING, PandaState.TRANSFERRING)
    silent = state in PANDA_FINAL or (begun and memo.reporter == PILOT)
    return {
        "server": memo.server,
        "panda_id": panda_id,
        "attempt_nr": attempt_nr,
        "queue": memo.queue,
        "label": memo.label,
        "reporter": memo.reporter,
        "state": state.value,
        "state_since": now,
        "told": told if told in ("starting", "running", "transferring") or state in PANDA_FINAL else None,
        "told_at": now if told else None,
        "wanted": state.value if begun else "starting",
        "heartbeat_due_at": None if silent else now,
        "job": json.dumps(memo.job),
        "cores": memo.cores,
        "error": None if state not in PANDA_FINAL else f"when the tower found it again, PanDA called it {said.status}",
        "ended_as": "taken back" if state in PANDA_FINAL else None,
        "created": now,
        "modified": now,
    }


def moved(row: Booked, said: JobStatus, memo: Memo, now: datetime) -> Change | None:
    """What becomes of a row of an older copy whose attempt was found. None: it stays as it is."""
    if row.state in PANDA_FINAL or is_over(row.attempt_nr, said):
        return None
    if row.state not in (PandaState.SENT, PandaState.FORGOTTEN, PandaState.TOVALIDATE):
        return None
    speaks = memo.reporter != PILOT or said.status not in _BEGUN
    columns = {
        "reporter": memo.reporter,
        "check_due_at": None,
        "error": None,
        "heartbeat_due_at": now if speaks else None,
    }
    return Change(PandaState.STARTING, columns)

"""Random days of a tower, through the doors that real ones go through, with a tally beside them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.atlas import books, closed_days, closing, retire
from act_core.atlas.accounts import Account, Books, bounds
from act_core.atlas.books import Booked, Change
from act_core.atlas.heartbeat import after_report
from act_core.atlas.reports import Outcome, UpdateAnswer
from act_core.db import archive, claims
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.attempts import as_attempt, attempts
from act_core.db.bootstrap import tower_id
from act_core.db.models import CeJob
from act_core.db.panda_models import PandaArchive, PandaRow
from act_core.db.session import Database
from act_core.decisions import Move
from act_core.jobspec import JobSpec
from act_core.settings.app_model import Books as Policy
from act_core.states import LIFE, PANDA_LIFE, CeState, PandaEnd, PandaState
from tests.atlas.ledgers import DAY, OWNER, job_row

VERBS = ("take", "take", "bind", "engine", "engine", "panda", "panda", "panda", "stale", "rest", "hours", "close")
BEAT, PATIENT = timedelta(minutes=30), Policy(stuck=timedelta(days=999), longest=timedelta(days=999))
REPORTS = {
    "finished": '{"job_status": "finished"}',
    "failed": '{"job_status": "failed", "pilot_error_code": 1137}',
    "killed": '{"job_status": "failed", "pilot_error_code": 1144}',
}
ENDS = {"finished": PandaEnd.FINISHED, "failed": PandaEnd.FAILED, "killed": PandaEnd.KILLED}


@dataclass(slots=True)
class Fact:
    """What the tally knows of a job."""

    queue: str
    taken: datetime
    end: PandaEnd | None = None
    ended: datetime | None = None


class Days:
    """One tower; each verb takes a number that chooses."""

    def __init__(self, db: Database) -> None:
        self.db, self.now = db, DAY
        self.tower = db.read(tower_id)
        self.facts: dict[int, Fact] = {}
        self.closed: dict[date, tuple[Account, ...]] = {}

    def step(self, verb: str, n: int) -> None:
        self.now += timedelta(seconds=1)
        getattr(self, verb)(n)

    # --- what may happen --------------------------------------------------------------------------------------------

    def take(self, n: int) -> None:
        """PanDA hands out jobs, some of them for the second time."""
        numbers = range(n % 7, n % 7 + 3) if n % 2 else range(len(self.facts), len(self.facts) + 2)
        rows = [job_row(i, queue=f"Q{i % 2}", state="sent", created=self.now, state_since=self.now) for i in numbers]
        rows = [row for row in rows if not self.resting(row["panda_id"])]
        self.db.write(books.insert_jobs, rows)
        for row in rows:
            self.facts.setdefault(row["panda_id"], Fact(row["queue"], self.now))

    def bind(self, _n: int) -> None:
        def write(session: Session) -> None:
            rows = books.picked(session, PandaRow.state == PandaState.SENT.value, limit=999)
            settled = books.settle(session, {row: Change(PandaState.STARTING) for row in rows}, self.now)
            spec, ces = JobSpec(executable="x"), frozenset({"ce1"})
            jobs = [NewJob(OWNER.app, row.app_job_id, spec, ces, 3, row.queue) for row in settled.written]
            add_jobs(session, self.tower, jobs, self.now)

        self.db.write(write)

    def engine(self, n: int) -> None:
        """An attempt moves, some to an end that has a successor."""

        def move(session: Session) -> None:
            living = [as_attempt(row) for row in session.execute(attempts().order_by(CeJob.id))]
            movable = [attempt for attempt in living if LIFE[attempt.state]]
            if movable:
                chosen = movable[n % len(movable)]
                to = sorted(LIFE[chosen.state])[n // 7 % len(LIFE[chosen.state])]
                again = to in (CeState.VOID, CeState.DONEFAILED) and n % 3 == 0
                columns = {"wall_s": n, "cores": 2, "started_at": self.now} if to is CeState.RUNNING else {}
                claims.settle(session, {chosen: Move(to, "walk", columns, successor=again)}, self.now, "walk")

        self.db.write(move)

    def panda(self, n: int) -> None:
        """A PanDA job moves; a final report gets one of PanDA's answers."""
        rows = self.picked(*(state for state in PandaState if PANDA_LIFE[state]))
        if not rows:
            return
        row = rows[n % len(rows)]
        change, end = self.reported(row, n) if row.state is PandaState.TOREPORT else self.moved(row, n)
        if self.db.write(books.settle, {row: change}, self.now).written and end:
            self.facts[row.panda_id].end, self.facts[row.panda_id].ended = end, self.now

    def moved(self, row: Booked, n: int) -> tuple[Change, PandaEnd | None]:
        nexts = sorted(PANDA_LIFE[row.state])
        if row.state is PandaState.SENT:  # what no attempt stands for is never killed, but reported
            nexts = [PandaState.TOREPORT, PandaState.CLOSED]
        to = nexts[n // 3 % len(nexts)]
        word = sorted(REPORTS)[n % 3]
        if to is PandaState.TOREPORT:
            return Change(to, {"report": REPORTS[word]}), None
        if to is not PandaState.CLOSED:
            return Change(to), None
        killed = row.state is PandaState.TOKILL
        return Change(to, {"told": "cancelled"}), PandaEnd.KILLED if killed else PandaEnd.TAKEN_BACK

    def reported(self, row: Booked, n: int) -> tuple[Change, PandaEnd | None]:
        command, later = ("", "tobekilled", "alreadydone")[n % 3], n % 5 == 0
        answer = UpdateAnswer(Outcome.LATER) if later else UpdateAnswer(Outcome.ACCEPTED, command)
        word = next(word for word, report in REPORTS.items() if report == row.report)
        resent = n % 2 == 0
        before = bool(command) and not resent and word != "killed"
        end = PandaEnd.TAKEN_BACK if before else ENDS[word]
        return after_report(row, answer, self.now, BEAT, resent=resent), None if later else end

    def stale(self, n: int) -> None:
        """Somebody settles what has changed since it was picked: nothing is written."""
        before = self.picked(PandaState.STARTING)
        self.panda(n)
        now = {row.id: row.version for row in self.picked(*PandaState)}
        old = [row for row in before if now.get(row.id) != row.version]
        assert self.db.write(books.settle, {row: Change(PandaState.TOKILL) for row in old}, self.now) == books.Settled()

    def rest(self, n: int) -> None:
        """Closed jobs and released attempts go to the archive."""
        if n % 2:
            self.db.write(retire._move, self.now)
        else:
            self.db.write(archive.archive_attempts, self.now)

    def hours(self, n: int) -> None:
        self.now += timedelta(hours=n % 20, minutes=n % 60)

    def close(self, _n: int) -> None:
        """The stage's work; a day that is closed stays as it is."""
        for day in self.db.read(closed_days.open_days, OWNER.server, (self.now - closing.SETTLED_AFTER).date()):
            found = self.db.read(closing.computed, OWNER, day, self.now, PATIENT)
            assert self.db.write(closed_days.write, found, self.now)
            assert not self.db.write(closed_days.write, found, self.now)
            self.closed[day] = found.accounts

    # --- what must hold ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """The books of today and of the last closed day are what the tally says, and balance."""
        for day in {self.now.date(), max(self.closed, default=self.now.date())}:
            found = self.read(day)
            assert [one for one in found.accounts if one.missing] == []
            assert found.accounts == self.tally(day)
            assert found.unaccounted == ()

    def read(self, day: date) -> Books:
        return self.db.read(closing.books_of, OWNER, day, self.now, PATIENT)

    def tally(self, day: date) -> tuple[Account, ...]:
        """The same, counted one by one."""
        start, end = bounds(day)
        end = min(end, self.now)
        sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for fact in self.facts.values():
            over = fact.ended is not None and fact.ended < end
            if fact.taken >= end or (over and fact.ended is not None and fact.ended < start):
                continue
            sums[fact.queue]["opening" if fact.taken < start else "taken"] += 1
            sums[fact.queue][fact.end.name.lower() if over and fact.end else "in_flight"] += 1
        return tuple(Account(queue, **sums[queue]) for queue in sorted(sums))

    def picked(self, *states: PandaState) -> Sequence[Booked]:
        where = PandaRow.state.in_([state.value for state in states])
        return self.db.read(books.picked, where, limit=999, texts=("report",))

    def resting(self, number: int) -> bool:
        """PanDA does not hand out again what was over for so long that it is at rest."""
        question = select(func.count()).where(PandaArchive.panda_id == number)
        return bool(self.db.read(lambda session: session.scalar(question)))

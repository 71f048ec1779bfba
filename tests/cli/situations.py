"""State tables with two CEs, in which situations are made that `act explain` and `act ticket` tell of."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from act_core.cli.job_words import meant
from act_core.db import ces, explaining, ledger
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.bootstrap import tower_id
from act_core.db.ledger import Line
from act_core.db.models import Base, Ce, CeJob, CeJobEvent
from act_core.db.policy_models import Orphan
from act_core.db.session import Database
from act_core.jobspec import JobSpec
from act_core.monitor.explain import Answer
from act_core.monitor.explain_ces import explain_ce
from act_core.monitor.explain_jobs import explain_job
from act_core.monitor.explain_over import explain_orphan
from act_core.monitor.explain_panda import unbound
from act_core.monitor.explain_read import read_ce, read_job, read_unbound
from act_core.reasons import Reason, Topic
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Voms
from tests.fixtures.databases import Servers

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KINDS = ("local", "arc-rest")


def before(**time: float) -> datetime:
    return NOW - timedelta(**time)


class Tables:
    """State tables with two CEs, in which a situation is made."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.db = Database(settings)
        self.db.write(ces.enter_ces, settings.arc.sites, ces.CONFIG, before(days=30))
        self.ce("north", last_seen=before(seconds=40))
        self.ce("south", last_seen=before(minutes=1))

    def put(self, table: type[Base], key: Any, **columns: Any) -> None:
        self.db.write(lambda session: session.execute(update(table).where(key).values(**columns)) and None)

    def add(self, table: type[Base], **columns: Any) -> None:
        self.db.write(lambda session: session.execute(insert(table).values(**columns)) and None)

    def ce(self, name: str, **columns: Any) -> None:
        self.put(Ce, Ce.name == name, **columns)

    def job(self, name: str = "7kqw2m", *, attempt: int = 1, app: str = "manual", **columns: Any) -> None:
        """An attempt that came to its state two hours ago. Jobs that wait have both CEs as candidates."""
        job = NewJob(app, name, JobSpec(executable="x"), frozenset({"north", "south"}), 3, "prod")
        self.db.write(add_jobs, self.db.read(tower_id), [job], before(hours=3))
        known = {"state_since": before(hours=2), "submission_key": f"act-tower001-{name:0>25}{attempt}"}
        self.put(CeJob, (CeJob.app_job_id == name) & (CeJob.attempt == 1), attempt=attempt, **(known | columns))

    def orphan(self, remote_id: str, *, known: bool) -> None:
        key = f"act-tower001-{remote_id:0>26}"
        seen = {"first_seen": before(minutes=40), "last_seen": before(minutes=5)}
        self.add(Orphan, ce="north", remote_id=remote_id, submission_key=key, known=known, **seen)

    def event(self, to_state: str, reason: str, actor: str = "submit", **time: float) -> None:
        self.add(
            CeJobEvent,
            job_id=1,
            attempt=1,
            at=before(**time),
            from_state="tosubmit",
            to_state=to_state,
            reason=reason,
            actor=actor,
        )

    def note(self, reason: Reason, ce: str, n: int, topic: Topic = Topic.SUBMIT, **facts: Any) -> None:
        self.db.write(ledger.note, [Line(topic, reason, ce, "prod", n=n, facts=facts)], before(minutes=50))

    def explained(self, subject: str) -> str:
        if subject in self.settings.arc.sites:
            answer = explain_ce(self.db.read(read_ce, self.settings, subject, KINDS, NOW), NOW)
        else:
            answer = self._job(meant(self.db, self.settings, subject))
        return "".join(f"{line}\n" for line in answer.lines(NOW))

    def _job(self, subject: str) -> Answer:
        if case := self.db.read(read_job, self.settings, subject, KINDS, NOW):
            return explain_job(case, NOW)
        if story := self.db.read(read_unbound, self.settings, subject):
            return unbound(subject, story, NOW)
        left = self.db.read(explaining.orphan, [subject])
        assert left is not None
        return explain_orphan(left, self.settings.arc.reconcile, NOW)


def sites() -> dict[str, Site]:
    return {name: Site(endpoint=f"https://{name}.example.org/arex", maxjobs=100) for name in ("north", "south")}


def opened(servers: Servers, state: Path) -> Tables:
    arc = ArcSettings(db=servers.ready("sqlite", state), sites=sites(), voms=Voms(proxypath=Path("/grid/proxy")))
    return Tables(Settings(state_dir=state, arc=arc))


ON: dict[str, Any] = {"ce": "north", "remote_id": "df127f4a4873", "inputs_sent_at": before(hours=2)}

"""A database in which every number has something to say, and a process that did one thing of each kind."""

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from act_core import meters
from act_core.db import brakes, credentials, leases, ledger
from act_core.db.brakes import Kind, Weighed
from act_core.db.credentials import PROXY, Found
from act_core.db.ledger import Line
from act_core.db.models import Ce, JobCount, Tower
from act_core.db.panda_models import PandaCount, PandaQueue, PandaRow
from act_core.errors import Transient
from act_core.reasons import Reason, Topic
from act_core.settings.app_model import AppSettings, Modules, Panda
from act_core.settings.model import ArcSettings, Settings
from act_core.settings.policy import Voms

PROXY_FILE = Path("/tmp/x509up")
SERVER = "panda.example.org"


def settings_of(base: Settings) -> Settings:
    """Settings that name a credential, over the same database."""
    arc = ArcSettings(db=base.arc.db, voms=Voms(proxypath=PROXY_FILE))
    app = AppSettings(modules=Modules(app=("atlas",)), panda=Panda(server=f"https://{SERVER}"))
    return base.model_copy(update={"arc": arc, "app": app})


def fill(session: Session, now: datetime) -> None:
    """Two CEs, one of which rests and is late; jobs in several states; a brake, a proxy, PanDA jobs that are late."""
    ago = timedelta(minutes=1)
    session.execute(update(Tower).values(counted_at=now - timedelta(seconds=4)))
    _ces(session, now)
    counts = [("tosubmit", "", 7), ("submitted", "a", 5), ("running", "a", 3), ("finishing", "b", 2), ("done", "a", 9)]
    rows = [
        {"app": "atlas", "ce": ce, "share": "Q1", "state": state, "n": n, "cores": 8 * n, "oldest": now - n * ago}
        for state, ce, n in counts
    ]
    session.execute(insert(JobCount), rows)
    brakes.engage(session, Weighed("ce:a", Kind.LOSE, "ce:a", 90, 100, 50), 10 * ago, now, {})
    ledger.note(session, [Line(Topic.SUBMIT, Reason.FULL, ce="a", n=7)], now)
    credentials.remember(session, Found(PROXY, str(PROXY_FILE), "/CN=robot", now + timedelta(hours=5)), now)
    leases.take(session, "sweep-status/poll", "a", "host:1:1", now - ago)
    panda(session, now)


def _ces(session: Session, now: datetime) -> None:
    def row(name: str, **columns: object) -> dict[str, object]:
        same = {"kind": "local", "maxjobs": 10, "modified": now, "last_seen": now - timedelta(seconds=30)}
        return {"name": name, "endpoint": f"https://{name}/arex", "failures": 0, "retry_at": None} | same | columns

    late = now - timedelta(minutes=2)
    rests = {"failures": 3, "retry_at": now + timedelta(minutes=1)}
    session.execute(insert(Ce), [row("a", next_poll_at=late), row("b", next_poll_at=late, **rests)])


def panda(session: Session, now: datetime, late: timedelta = timedelta(minutes=3)) -> None:
    """Two PanDA jobs of which PanDA should have heard so long ago, one of a Harvester, one that is not due."""

    def row(n: int, due: datetime, **columns: object) -> dict[str, object]:
        same = {"attempt_nr": 1, "queue": "Q1", "label": "managed", "state": "running", "state_since": now}
        times = {"job": "{}", "created": now, "modified": now, "heartbeat_due_at": due, "reporter": "tower"}
        return {"server": SERVER, "panda_id": n} | same | times | columns

    due = now - late
    rows = [row(1, due), row(2, due + timedelta(seconds=9)), row(3, due, reporter="harvester")]
    session.execute(insert(PandaRow), [*rows, row(4, now + timedelta(hours=1))])
    count = {"server": SERVER, "queue": "Q1", "cores": 4, "oldest": now - timedelta(hours=1)}
    told = [{"state": "running", "told": "running", "n": 3}, {"state": "closed", "told": "finished", "n": 8}]
    session.execute(insert(PandaCount), [count | one for one in told])
    queue = {"server": SERVER, "name": "Q1", "served": True, "status": "online", "parsed": {}, "raw": "{}"}
    session.execute(insert(PandaQueue), [queue | {"seen_at": now, "modified": now}])


def _fail() -> None:
    raise Transient("no answer")


def work() -> None:
    """One thing of each kind that a process measures."""
    with suppress(Transient), meters.in_round("sweep-status", "poll", "a"):
        _fail()
    meters.BUSY.labels("sweep-status", "poll").inc()
    with meters.ce_call("a", "POST jobs?action=status") as call:
        call.answered(200)
    with meters.panda_call(SERVER, "pilot/update_jobs_bulk") as call:
        call.answered(503)
    meters.STORAGE.labels("check", "match").inc()
    meters.settled(meters.ATTEMPTS, 5, 1, 0, {("a", "running"): 5})
    meters.WINDOW_LATE.labels("sweep-status").observe(1.5)
    with meters.window("sweep-status") as ended:
        ended.outcome = "Completed"

"""State tables as of a tower that has worked for two weeks: what the page's tests and its pictures show."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from act_core.db import ces, ledger
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.bootstrap import bootstrap, tower_id
from act_core.db.day_models import DailySlots
from act_core.db.ledger import Line
from act_core.db.models import Base, Ce, CeJob, CeJobEvent, DailyCount, HourlySlots, JobCount, Run, Tower
from act_core.db.panda_models import PandaCount, PandaQueue, PandaRow
from act_core.db.policy_models import CredentialRow, RuleHit
from act_core.db.session import Database
from act_core.jobspec import JobSpec
from act_core.monitor.panda_names import server_of
from act_core.reasons import Reason, Topic
from act_core.settings import ArcSettings, Settings, Site

CES = {"arc-north.example.org": 1200, "arc-south.example.org": 800, "condor-east": 500, "hpc-west": 350}
QUEUES = ("NORTH_MCORE", "SOUTH_PILOT", "EAST_ANALY")
SERVER = server_of(Settings(state_dir=Path()))
HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'
SECRET = "verysecretpilottoken"
STATES = {"tosubmit": 40, "submitted": 90, "running": 400, "finishing": 12, "donefailed": 6, "done": 25}
ANALYSIS, PANDA_ID = "7000000001.0", 7000000001


def filled(state: Path, arc: ArcSettings | None = None, foreign: str = HOSTILE) -> Settings:
    """Makes the tables below this directory; the settings that lead to them. `foreign`: what others wrote."""
    sites = {name: Site(endpoint=f"https://{name}/arex", maxjobs=5000) for name in CES}
    settings = Settings(state_dir=state, arc=(arc or ArcSettings()).model_copy(update={"sites": sites}))
    db = Database(settings)
    try:
        _Filling(db, settings, foreign).all()
    finally:
        db.close()
    return settings


class _Filling:
    def __init__(self, db: Database, settings: Settings, foreign: str) -> None:
        self.db, self.settings, self.foreign, self.dice = db, settings, foreign, random.Random(7)
        self.now = datetime.now(UTC).replace(microsecond=0)
        bootstrap(db, self._ago(days=14))

    def all(self) -> None:
        self.db.write(ces.enter_ces, self.settings.arc.sites, ces.CONFIG, self.now - timedelta(days=14))
        self._ces()
        self._jobs()
        self._stories()
        self._counts()
        self._history()
        self._panda()
        self._decisions()
        self._credential()

    def _add(self, table: type[Base], rows: list[dict[str, Any]]) -> None:
        self.db.write(lambda session: session.execute(insert(table), rows) and None)

    def _put(self, table: type[Base], key: Any, **columns: Any) -> None:
        self.db.write(lambda session: session.execute(update(table).where(key).values(**columns)) and None)

    def _ago(self, **time: float) -> datetime:
        return self.now - timedelta(**time)

    def _ces(self) -> None:
        for name in CES:
            self._put(Ce, Ce.name == name, last_seen=self._ago(seconds=self.dice.randint(3, 50)))
        capacity = {"free": 120, "total": 1400, "queue": "grid", "version": "nordugrid-arc-6.21"}
        self._put(Ce, Ce.name == "arc-north.example.org", capacity=capacity, capacity_at=self._ago(minutes=4))
        trouble = f"503 from https://hpc-west/arex: {self.foreign}"
        resting = {"failures": 4, "retry_at": self.now + timedelta(minutes=3), "trouble": trouble}
        resting |= {
            "mode": "rest",
            "mode_owner": "operator",
            "mode_reason": self.foreign,
            "mode_since": self._ago(hours=3),
        }
        self._put(Ce, Ce.name == "hpc-west", **resting)

    def _jobs(self) -> None:
        tower = self.db.read(tower_id)
        jobs = [
            NewJob("atlas", f"6{n:09d}.0", JobSpec(executable="runpilot2-wrapper.sh"), frozenset(CES), 3, share)
            for n, share in enumerate(self.dice.choices(QUEUES, (6, 3, 1), k=sum(STATES.values())))
        ]
        hostile = NewJob(
            "manual", self.foreign[:60], JobSpec(executable="/bin/echo", name=self.foreign), frozenset(CES), 3, ""
        )
        private = NewJob("atlas", ANALYSIS, JobSpec(executable="user.sh"), frozenset(CES), 3, "EAST_ANALY")
        self.db.write(add_jobs, tower, [*jobs, hostile, private], self._ago(hours=9))
        self._spread()

    def _spread(self) -> None:
        words = [state for state, n in STATES.items() for _ in range(n)]
        self.dice.shuffle(words)
        rows: list[dict[str, Any]] = []
        for number, state in enumerate(words, 1):
            ce = self.dice.choices(list(CES), list(CES.values()))[0]
            row: dict[str, Any] = {
                "id": number,
                "state": state,
                "state_since": self._ago(minutes=self.dice.expovariate(1 / 90)),
            }
            if state != "tosubmit":
                row |= {"ce": ce, "remote_id": f"{self.dice.getrandbits(96):024x}", "native_state": "INLRMS:R"}
            if state == "donefailed":
                row |= {"error": f"LRMS error: (-1) node lost; {self.foreign}", "exit_code": 1, "rule": "node-lost"}
            rows.append(
                {"ce": None, "remote_id": None, "native_state": None, "error": None, "exit_code": None, "rule": None}
                | row
            )
        self.db.write(lambda session: session.execute(update(CeJob), rows) and None)

    def _stories(self) -> None:
        """A finished analysis job whose log came home, and a job with a hostile name that failed."""
        n = sum(STATES.values())
        done = {
            "state": "done",
            "ce": "condor-east",
            "remote_id": "schedd#77.0",
            "exit_code": 0,
            "wall_s": 4200,
            "cpu_s": 3900,
        }
        self._put(CeJob, CeJob.id == n + 2, state_since=self._ago(minutes=20), node="wn17.example.org", **done)
        failed = {"state": "donefailed", "ce": "hpc-west", "error": self.foreign, "remote_id": "x" * 40, "exit_code": 9}
        self._put(CeJob, CeJob.id == n + 1, state_since=self._ago(minutes=31), **failed)
        self._events(n + 1, n + 2)
        created = self._ago(hours=9)
        home = self.settings.results_dir / "atlas" / f"{created:%Y-%m-%d}" / f"{ANALYSIS}.1"
        home.mkdir(parents=True)
        (home / "stdout").write_text(f"what the user printed {self.foreign}\n" * 30, encoding="utf-8")

    def _events(self, *jobs: int) -> None:
        run = {"id": 1, "flow_run": "0" * 8 + "-0000" * 3 + "-" + "0" * 12, "stage": "submit", "holder": "host:1:1"}
        self._add(Run, [run | {"at": self._ago(hours=8)}])
        steps = ("tosubmit", "submitting", "submitted", "running", "finishing", "finished", "done")
        known = {"attempt": 1, "actor": "poll", "ce": "condor-east"}
        for job in jobs:
            for n, (before, after) in enumerate(pairwise(steps)):
                at, reason = self._ago(hours=8) + timedelta(minutes=9 * n), self.foreign if n == 3 else f"CE: {after}"
                step = {"job_id": job, "at": at, "from_state": before, "to_state": after, "reason": reason}
                self._add(CeJobEvent, [known | step | {"run_id": None if n else 1}])

    def _counts(self) -> None:
        sums: dict[tuple[str, str, str, str], list[Any]] = {}
        with self.db.engine.connect() as connection:
            for row in connection.execute(CeJob.__table__.select()):
                held = sums.setdefault((row.app, row.ce or "", row.share, row.state), [0, row.state_since])
                held[0], held[1] = held[0] + 1, min(held[1], row.state_since)
        rows = [
            {
                "app": a,
                "ce": c,
                "share": s,
                "state": t,
                "n": n,
                "cores": n * (8 if s == "NORTH_MCORE" else 1),
                "oldest": oldest,
            }
            for (a, c, s, t), (n, oldest) in sums.items()
        ]
        self._add(JobCount, rows)
        self._put(Tower, Tower.id == 1, counted_at=self._ago(seconds=4))

    def _history(self) -> None:
        hours: list[dict[str, Any]] = []
        days: list[dict[str, Any]] = []
        means: list[dict[str, Any]] = []
        known = {"app": "atlas", "share": "NORTH_MCORE"}
        for ce, most in CES.items():
            for back in range(73):
                held = int(most * (0.75 + 0.2 * self.dice.random()) * (0.2 if ce == "hpc-west" and back < 3 else 1))
                slots = {"samples": 60, "queued": 6000, "running": held * 60, "slots": held * 60}
                hours.append({"hour": f"{self._ago(hours=back):%Y-%m-%dT%H}", "ce": ce} | slots)
            for back in range(15):
                day = {"day": f"{self._ago(days=back):%Y-%m-%d}", "ce": ce}
                mean = int(most * (0.8 + 0.1 * self.dice.random())) * 1440
                means.append(day | {"samples": 1440, "queued": 144_000, "running": mean, "slots": mean})
                for state, part in (("done", 5.0), ("donefailed", 0.2)):
                    n = int(most * part * (0.6 + 0.7 * self.dice.random()))
                    days.append(known | day | {"state": state, "n": n, "wall_s": n, "cpu_s": n})
        self._add(HourlySlots, hours)
        self._add(DailySlots, means)
        self._add(DailyCount, days)

    def _panda(self) -> None:
        parsed = {"type": "production", "truepilot": False, "sites": ["NORTH"], "endpoints": []}
        queues = [
            {"server": SERVER, "name": name, "served": True, "status": "online", "parsed": parsed, "raw": "{}"}
            | {"seen_at": self._ago(minutes=7), "modified": self._ago(minutes=7)}
            for name in QUEUES
        ]
        self._add(PandaQueue, queues)
        self._add(PandaCount, list(self._panda_counts()))
        job = {"PandaID": PANDA_ID, "jobName": self.foreign, "prodSourceLabel": "user", "pilotSecrets": SECRET}
        row = {"server": SERVER, "panda_id": PANDA_ID, "attempt_nr": 0, "queue": "EAST_ANALY", "label": "user"}
        row |= {
            "state": "running",
            "state_since": self._ago(hours=1),
            "job": json.dumps(job),
            "secrets": SECRET.encode(),
        }
        self._add(PandaRow, [row | {"created": self._ago(hours=9), "modified": self._ago(hours=1)}])

    def _panda_counts(self) -> Iterator[dict[str, Any]]:
        for queue, most in zip(QUEUES, (320, 170, 50), strict=True):
            for state, told, part in (
                ("sent", "starting", 0.2),
                ("running", "running", 0.7),
                ("tovalidate", "transferring", 0.1),
            ):
                n = int(most * part)
                known = {"server": SERVER, "queue": queue, "state": state, "told": told}
                yield known | {"n": n, "cores": n, "oldest": self._ago(hours=2)}

    def _decisions(self) -> None:
        rests = {"ce": "hpc-west", "owner": "operator", "reason": self.foreign}
        silent = {"ce": "condor-east", "seen": f"{self._ago(hours=21):%Y-%m-%dT%H:%M:%SZ}", "n": 12, "giveup": "24 h"}
        full = {"ce": "arc-south.example.org", "on_ce": 800, "maxjobs": 800}
        for hours, line in (
            (20, Line(Topic.UNSEEN, Reason.SILENT, "condor-east", facts=silent | {"vouched": "Other CEs answered."})),
            (18, Line(Topic.UNSEEN, None, "condor-east")),
            (6, Line(Topic.SUBMIT, Reason.FULL, "arc-south.example.org", "SOUTH_PILOT", n=31, facts=full)),
            (3, Line(Topic.MODE, Reason.MODE_REST, "hpc-west", facts=rests)),
        ):
            self.db.write(ledger.note, [line], self._ago(hours=hours))
        hits = [
            {
                "rule": "node-lost",
                "ce": ce,
                "n": n,
                "last_at": self._ago(minutes=m),
                "last_job": 3,
                "window_at": self._ago(hours=1),
                "window_n": 1,
            }
            for ce, n, m in (("hpc-west", 41, 12), ("arc-north.example.org", 5, 60))
        ]
        self._add(RuleHit, hits)

    def _credential(self) -> None:
        row = {
            "kind": "x509-proxy",
            "subject": "/DC=org/DC=example/CN=Robot: ACT",
            "roles": "production",
            "path": "/grid/proxy",
        }
        times = {
            "expires": self.now + timedelta(hours=61),
            "renewed_at": self._ago(hours=35),
            "modified": self._ago(hours=1),
        }
        self._add(CredentialRow, [row | times | {"renewer": "arcproxy"}])

"""Fill empty state tables with a tower's life, in bulk; what can be told from other rows, the database itself makes."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from act_core.atlas import counts
from act_core.db.bootstrap import tower_id
from act_core.db.bulk import chunks
from act_core.db.models import CeJob, CeJobArchive
from act_core.db.session import Database
from act_core.engine.count import bring_up_to_date
from benchmarks.invented import (
    COLUMNS,
    ERRORS,
    LIVE,
    PANDA,
    RESTING,
    SERVER,
    Inventor,
    Plan,
    Row,
    descriptions,
    panda_job,
    stamp,
)

CHUNK = 4000
Say = Callable[[str, int], None]  # what was filled, and how many rows of it


def into(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
    """Rows as the driver takes them: texts and numbers; times as text."""
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    names = ", ".join(f"`{name}`" for name in columns)
    statement = f"INSERT INTO {table} ({names}) VALUES ({', '.join([mark] * len(columns))})"  # noqa: S608 - our names
    written = 0
    for some in chunks(rows, CHUNK):
        connection.exec_driver_sql(statement, some)
        written += len(some)
    return written


def fill(db: Database, plan: Plan, now: datetime, say: Say = lambda _what, _n: None) -> None:
    """Of tables that are empty but for the tower's row."""
    made = Inventor(plan, now, db.read(tower_id))
    month = now - timedelta(days=plan.days)
    parts: tuple[tuple[str, Sequence[str], Iterator[Row]], ...] = (
        ("placements", ("id", "digest"), ((n + 1, str(n)) for n in range(plan.queues))),
        ("placement_ces", ("placement_id", "ce"), _members(plan)),
        ("job_descriptions", ("id", "spec", "created"), descriptions(now)),
        ("credentials", CREDENTIALS, _credentials(now)),
        ("ces", CES, _ces(plan, now)),
        ("panda_queues", QUEUES, _queues(plan, now)),
        (CeJobArchive.__tablename__, COLUMNS, made.attempts(1, plan.archived, RESTING, month, now - HOUR)),
        (CeJob.__tablename__, COLUMNS, made.attempts(plan.archived + 1, plan.live, LIVE, now - 30 * HOUR, now)),
        ("hourly_slots", ("hour", "ce", "samples", "queued", "running", "slots"), _hours(plan, now, made)),
        ("ledger", LEDGER, _lines(plan, now, made)),
        ("ledger_now", (*LEDGER[1:7], "since", "facts"), _standing(plan, now)),
        ("rule_hits", ("rule", "ce", "n", "last_at", "last_job", "window_at", "window_n"), _hits(plan, now, made)),
        ("runs", ("flow_run", "stage", "holder", "at"), _runs(now)),
    )
    for table, columns, rows in parts:
        with db.engine.begin() as connection:
            say(table, into(connection, table, columns, rows))
    for table, statements in told(now).items():
        for statement in statements:
            with db.engine.begin() as connection:
                say(table, connection.execute(text(statement)).rowcount)
    with db.engine.begin() as connection:
        say("panda_jobs", into(connection, "panda_jobs", PANDA_COLUMNS, _panda_jobs(connection)))
    db.write(bring_up_to_date, now, (counts.count,), timedelta(0))
    with db.engine.begin() as connection:
        tables = "ce_jobs, ce_jobs_archive, ce_job_events, panda_jobs, panda_jobs_archive, ledger, hourly_slots"
        sqlite = connection.dialect.name == "sqlite"
        connection.execute(text("ANALYZE" if sqlite else f"ANALYZE TABLE {tables}, daily_counts"))


HOUR = timedelta(hours=1)
CREDENTIALS = ("id", "kind", "subject", "roles", "path", "expires", "renewer", "modified")
CES = (
    "name", "kind", "endpoint", "origin", "maxjobs", "mode", "named_mode", "mode_owner", "mode_reason", "mode_since",
    "failures", "retry_at", "trouble", "own_trouble", "last_seen", "silent_s", "silent_tries", "capacity", "modified",
)  # fmt: skip
QUEUES = ("server", "name", "served", "why", "status", "parsed", "raw", "digest", "seen_at", "modified")
LEDGER = ("at", "topic", "ce", "share", "job_id", "code", "n", "facts")
PANDA_COLUMNS = (
    "server", "panda_id", "attempt_nr", "queue", "label", "reporter", "state", "state_since", "version", "told",
    "wanted", "refused", "job", "ce", "cores", "checks", "unverified", "created", "modified",
)  # fmt: skip


def _members(plan: Plan) -> Iterator[Row]:
    names = plan.names
    for share in range(plan.queues):
        yield from ((share + 1, names[place]) for place in sorted(set(plan.candidates(share))))


def _credentials(now: datetime) -> Iterator[Row]:
    for n, hours in enumerate((96, 90, 12, 3), 1):
        role = ("production", "pilot", "lcgadmin", "user")[n - 1]
        until = stamp(now + timedelta(hours=hours))
        yield (
            n,
            "x509-proxy",
            f"/DC=org/CN=robot{n}",
            f"/atlas/Role={role}",
            f"proxies/{role}",
            until,
            "act",
            stamp(now),
        )


def _ces(plan: Plan, now: datetime) -> Iterator[Row]:
    for n, name in enumerate(plan.names):
        mode, bad = ("stop" if n % 17 == 5 else "on"), n % 13 == 4
        owner = "operator" if mode == "stop" else "cric"
        capacity = json.dumps({"slots": 2000 + n, "version": "7.1.0"})
        yield (
            name, "arc-rest", f"https://{name}:443/arex", "cric", 5000, mode, "on", owner, None, stamp(now - 5 * HOUR),
            4 if bad else 0, stamp(now + HOUR / 12) if bad else None, "timed out" if bad else None, False,
            stamp(now - HOUR / 60), 0, 0, capacity, stamp(now),
        )  # fmt: skip


def _queues(plan: Plan, now: datetime) -> Iterator[Row]:
    names = plan.names
    for n, share in enumerate(plan.shares):
        ends = [{"name": names[place], "kind": "arc-rest", "endpoint": names[place]} for place in plan.candidates(n)]
        parsed = {"name": share, "schedconfig": share, "type": "unified", "maxjobs": 5000, "endpoints": ends}
        raw = json.dumps(parsed | {"padding": "x" * 20_000})
        yield (SERVER, share, True, None, "online", json.dumps(parsed), raw, "", stamp(now), stamp(now))


def _hours(plan: Plan, now: datetime, made: Inventor) -> Iterator[Row]:
    for back in range(24 * plan.days, -1, -1):
        hour = f"{now - back * HOUR:%Y-%m-%dT%H}"
        for name in plan.names:
            held = made.dice.randrange(200, 800)
            yield (hour, name, 60, 60 * held // 2, 60 * held, 60 * held * 6)


def _lines(plan: Plan, now: datetime, made: Inventor) -> Iterator[Row]:
    """In two weeks: breakers that open and close, outputs that were deleted, and above all why jobs waited."""
    names, shares, step = plan.names, plan.shares, timedelta(days=14) / max(1, plan.lines)
    limits = {"on_ce": 5000, "maxjobs": 5000, "queued": 900, "unit": "jobs", "allowed": 900, "running": 4000}
    full, errors = json.dumps(limits | {"a": 0.1, "b": 100}), json.dumps({"failures": 3, "trouble": "timed out"})
    gone = json.dumps({"file": "HITS.root", "url": "davs://se/x"})
    for n in range(plan.lines):
        at, ce = stamp(now - step * (plan.lines - n)), names[n * 37 % plan.ces]
        if n % 20 == 0:
            turn = n // 20
            code = "" if turn // plan.ces % 2 else "breaker-open"
            yield (at, "breaker", names[turn % plan.ces], "", 0, code, 0, errors)
        elif n % 50 == 1:
            job = made.dice.randrange(1, plan.archived + plan.live)
            yield (at, "outputs", ce, "", job, "output-deleted", 0, gone)
        else:
            code = ("full", "queue-full", "")[n % 3]
            yield (at, "submit", ce, shares[n % plan.queues], 0, code, n % 500, full)


def _standing(plan: Plan, now: datetime) -> Iterator[Row]:
    names, since = plan.names, stamp(now - 2 * HOUR)
    for n, share in enumerate(plan.shares):
        ce = names[plan.candidates(n)[0]]
        yield ("submit", ce, share, 0, "full", n, since, json.dumps({"on_ce": 5000, "maxjobs": 5000}))
    for n in range(0, plan.ces, 13):
        facts = {"failures": 4, "trouble": "timed out"}
        yield ("breaker", names[(n + 4) % plan.ces], "", 0, "breaker-open", 0, since, json.dumps(facts))


def _hits(plan: Plan, now: datetime, made: Inventor) -> Iterator[Row]:
    for rule, _ in ERRORS:
        for n, name in enumerate(plan.names):
            if rule:
                job, at = made.dice.randrange(1, plan.archived + plan.live), stamp(now - HOUR * (n % 48))
                yield (rule, name, made.dice.randrange(1, 3000), at, job, at, 1)


def _runs(now: datetime) -> Iterator[Row]:
    for n in range(3000, 0, -1):
        at = stamp(now - n * timedelta(seconds=6))
        yield (f"00000000-0000-4000-8000-{n:012}", "sweep-status", "tower:1:1", at)


def told(now: datetime) -> dict[str, Sequence[str]]:
    """What follows from the attempts."""
    since = stamp(now - timedelta(days=30))
    steps = (("tosubmit", "submitting", "created"), ("submitting", "submitted", "created"),
             ("submitted", "running", "started_at"), ("running", "state", "state_since"))  # fmt: skip
    events = [
        "INSERT INTO ce_job_events (job_id, attempt, at, from_state, to_state, reason, actor, ce, run_id) "  # noqa: S608
        f"SELECT id, attempt, {at}, '{a}', {b if b == 'state' else repr(b)}, 'CE: said so', 'poll', ce, 1 + id % 3000 "
        f"FROM {table} WHERE {at} >= '{since}' AND ce IS NOT NULL"
        for table in ("ce_jobs_archive", "ce_jobs")
        for a, b, at in steps
    ]
    days = (
        "INSERT INTO daily_counts (day, app, ce, share, state, n, wall_s, cpu_s) SELECT "
        "substr(coalesce(ended_at, state_since), 1, 10), app, coalesce(ce, ''), share, state, count(*), "
        "sum(coalesce(wall_s, 0)), sum(coalesce(cpu_s, 0)) FROM ce_jobs_archive "
        "GROUP BY substr(coalesce(ended_at, state_since), 1, 10), app, coalesce(ce, ''), share, state"
    )
    sums = ", ".join(f"sum({name})" for name in ("samples", "queued", "running", "slots"))
    slots = (
        "INSERT INTO daily_slots (day, ce, samples, queued, running, slots) "  # noqa: S608 - our names
        f"SELECT substr(hour, 1, 10), ce, {sums} FROM hourly_slots GROUP BY substr(hour, 1, 10), ce"
    )
    archive = (
        "INSERT INTO panda_jobs_archive (id, server, panda_id, attempt_nr, queue, label, reporter, state, "  # noqa: S608
        "state_since, version, told, wanted, refused, job, ce, cores, checks, unverified, ended_as, created, modified) "
        f"SELECT id, '{SERVER}', 6000000000 + id, 1, share, 'managed', 'tower', 'closed', state_since, 3, "
        "'finished', 'finished', 0, '{}', ce, cores, 0, 0, 'finished', created, modified FROM ce_jobs_archive"
    )
    return {"ce_job_events": events, "daily_counts": [days], "daily_slots": [slots], "panda_jobs_archive": [archive]}


def _panda_jobs(connection: Connection) -> Iterator[Row]:
    columns = "id, share, state, state_since, ce, cores, created, modified"
    rows: list[Any] = list(connection.execute(text(f"SELECT {columns} FROM ce_jobs")))  # noqa: S608 - our names
    for id, share, state, since, ce, cores, created, modified in rows:
        panda_id, stands = 6_000_000_000 + id, PANDA[state]
        label = "user" if id % 10 == 0 else "managed"
        yield (
            SERVER, panda_id, 1, share, label, "tower", stands, str(since), 1, "running", "running", 0,
            panda_job(panda_id), ce, cores, 0, 0, str(created), str(modified),
        )  # fmt: skip

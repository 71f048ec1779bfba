"""What `act doctor` finds in the database, and what it reads there for its other questions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from act_core.cli.brake import described, sentence
from act_core.db import brakes, ces, counting, recovery, runs
from act_core.db.bootstrap import NO_TABLES, newest, open_tables, tower_id
from act_core.db.models import Ce
from act_core.db.modes import CARED_FOR
from act_core.db.recovery import in_words
from act_core.errors import ActError, ConfigError
from act_core.ids import TowerId
from act_core.installed import applications
from act_core.monitor import doctor
from act_core.monitor.doctor import Check, bad, ok, warn
from act_core.monitor.times import moment
from act_core.settings import Settings
from act_core.stages import ENGINE

NOBODY = TowerId("unknown0")
NAMED = 5  # CEs in a line


@dataclass(frozen=True, slots=True)
class Tables:
    """What was read; of a database that is away, nothing. `offset`: its clock ahead of ours, None: it is ours."""

    check: Check
    there: bool = False
    tower: TowerId = NOBODY
    offset: float | None = None
    ces: tuple[Ce, ...] = ()
    brakes: tuple[str, ...] = ()
    recovery: str = ""  # how far one is that is under way
    counted: datetime | None = None
    runs: dict[str, datetime] = field(default_factory=dict)


def read_tables(held: Settings) -> Tables:
    """Everything in a few short questions. Never raises a verdict: what is wrong is the check."""
    try:
        db = open_tables(held)
    except ActError as err:
        return Tables(_away(held, err))
    try:
        before, theirs = datetime.now(UTC), db.clock()
        after = datetime.now(UTC)
        offset = (theirs - before - (after - before) / 2).total_seconds()
        return Tables(
            ok(
                "database",
                f"{_place(held)}, schema {newest()}, answers in {(after - before).total_seconds() * 1e3:.0f} ms",
            ),
            there=True,
            tower=db.read(tower_id),
            offset=None if held.arc.db.type == "sqlite" else offset,
            ces=tuple(db.read(ces.all_ces)),
            brakes=tuple(sentence(described(row)) for row in db.read(brakes.on)),
            recovery=in_words(db.read(recovery.under_way)),
            counted=db.read(counting.counted_at),
            runs=dict(db.read(runs.newest, theirs - doctor.LOOKED_BACK)),
        )
    except ActError as err:
        return Tables(_away(held, err))
    finally:
        db.close()


def _place(held: Settings) -> str:
    db = held.arc.db
    if db.type == "sqlite":
        return str(held.sqlite_file)
    where = str(db.socket) if db.socket else f"{db.host}:{db.port}"
    return f"{db.name} at {where}{', over TLS' if db.tls_ca else ''}"


def _away(held: Settings, err: ActError) -> Check:
    place = _place(held)
    found = str(err) if str(err).startswith(place) else f"{place}: {err}"
    if NO_TABLES in found:
        return bad(
            "database", found, "`act bootstrap` makes them. Were there some? Then look at `db` in aCTConfigARC.yaml."
        )
    if isinstance(err, ConfigError):
        return bad("database", found, "Do what the sentence says; the keys stand under `db` in aCTConfigARC.yaml.")
    if held.arc.db.type == "sqlite":
        return bad("database", found, f"Look at the file and its disk: {held.sqlite_file}.")
    do = "Does the server run (`systemctl status mariadb`)? Are db.host and db.port right, and does it let us in?"
    return bad("database", found, f"{do} Jobs on the CEs go on, and the tower too when it is back.")


def of_tables(tables: Tables, held: Settings, up: timedelta | None, now: datetime) -> Iterator[Check]:
    """What the tables tell of the tower's work."""
    if not tables.there:
        yield doctor.skipped("stages", "the database does not tell")
        return
    yield doctor.lateness(tables.counted, tables.runs, _with_work(held), up, now)
    if tables.recovery:
        do = "`act recover` tells how far each CE is; docs/recovery.md, before you go on without one."
        yield warn("recovery", tables.recovery, do)
    if tables.brakes:
        yield bad("brakes", "; ".join(tables.brakes), "`act brake list`, and docs/safety.md before you release one.")
    resting = [row for row in tables.ces if row.retry_at and row.retry_at > now and row.mode in CARED_FOR]
    if resting:
        told = [f"{row.name} until {moment(row.retry_at, now)}: {row.trouble}" for row in resting[:NAMED]]
        more = f"; and {len(resting) - NAMED} more" if len(resting) > NAMED else ""
        yield warn("resting CEs", f"{'; '.join(told)}{more}", "They are asked again by themselves; see each CE below.")


def _with_work(held: Settings) -> set[str]:
    """The stages that have anything to do: the others end at once, and leave no trace."""
    try:
        apps = applications(held)
    except ConfigError:
        apps = ()  # told with the configuration
    parts = (*ENGINE, *(part for app in apps for part in app.parts))
    return {part.stage for part in parts if part.reads or not held.arc.tower.observe}


def unavailable(tables: Tables, name: str) -> str:
    """Why a CE is not to be tried; empty: it is."""
    row = next((one for one in tables.ces if one.name == name), None)
    if row is None or row.mode in CARED_FOR:
        return ""
    return f"it is {row.mode}, by {row.mode_owner or 'nobody'}: {row.mode_reason or 'no reason is told'}"

"""The matrix as data: which fault strikes which write or call, in which life, and how long recovery may take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

KILLS = ("killed before", "killed after")
UNHEARD = "commit unheard"  # MariaDB has committed, and the connection is cut before it says so
REPLIES = (
    "reply lost",
    "reply twice",
    "sent twice",
    "reset in the body",
    "500",
    "503, Retry-After",
    "429",
    "malformed",
    "wrong types",
    "truncated lists",
)
LEASE_S, SEND_S, GRACE_S, WORK_S = 45.0, 30.0, 60.0, 60.0
AT_ONCE_S = WORK_S
IN_THE_AIR_S = LEASE_S + GRACE_S + WORK_S

CONTENTS = {"malformed", "wrong types", "truncated lists"}
# Of these there is no wrong content: a file's is the job's own, and what nobody reads can be anything.
NO_CONTENT = {"arc: fetch", "arc: diagnose", "arc: send inputs", "arc: delegation signed"}

# In the order in which a life makes them.
CALLS: dict[str, tuple[str, ...]] = {
    "good": (
        "panda: role",
        "panda: alive",
        "panda: getJob",
        "arc: versions",
        "arc: delegation",
        "arc: delegation signed",
        "arc: submit",
        "arc: send inputs",
        "arc: list of the ended",
        "arc: info",
        "panda: updateJob",
        "panda: workers",
        "panda: harvester",
        "arc: list of files",
        "arc: fetch",
        "arc: diagnose",
        "storage: size and checksum",
        "panda: final report",
        "arc: clean",
    ),
    "killed": ("panda: updateJob", "panda: job status", "arc: kill", "arc: status"),
    "doubt": ("arc: list",),
    "rerun": ("arc: restart",),
    "lost outputs": ("storage: size and checksum", "panda: job status", "arc: clean"),
    "refreshed": ("cric: queues", "cric: downtimes"),
    "forgetful": ("arc: capacity",),
}
# `#2`: the second time that it happens in a life.
WRITES: dict[str, tuple[str, ...]] = {
    "good": (
        "asks.begin",
        "fetch_jobs._write",
        "queues.asked",
        "bind._write",
        "leases.take",
        "credentials.remember",
        "claim.claim",
        "claims.settle for submit",
        "claims.settle for submit #2",
        "leases.release",
        "ces.went_well",
        "ces.started",
        "ces.next_looks",
        "claims.settle for poll",
        "count.bring_up_to_date",
        "mirror._write",
        "mirror._write #2",
        "workers._settle",
        "claims.settle for fetch",
        "validate._write",
        "heartbeat.freeze",
        "heartbeat._settle",
        "heartbeat._settle #2",
        "claims.settle for clean",
        "archive.archive_attempts",
        "retire._move",
    ),
    "killed": ("claims.settle for cancel", "claims.settle for limits"),
    "doubt": ("claims.settle for reconcile", "ledger.note", "orphans.sight"),
    "lost outputs": (
        "validate._write",
        "claims.settle for resubmit",
        "clearing._settle",
        "clearing._later",
    ),
    "rerun": ("rules.count", "claims.settle for rerun", "claims.settle for rerun #2"),
    "refreshed": ("refresh.write_queues", "refresh_downtimes._write"),
    "forgetful": ("ces.said", "brakes.forget"),
}
# Upkeep that belongs to no job: what retention takes away.
UPKEEP = ("retention.", "retire.forget")

# A worker sleeps there, and another one goes on: for longer than its lease, or until all is settled without it.
SLEEPS = {"slept through its lease": 60.0, "slept past its deadline": 200.0}
SLEPT = {
    "good": {
        "claims.settle for submit": "slept through its lease",
        "claims.settle for poll": "slept through its lease",
        "claims.settle for fetch": "slept through its lease",
        "claims.settle for clean": "slept through its lease",
        "heartbeat._settle #2": "slept through its lease",
        "claim.claim": "slept past its deadline",
    }
}
# What the CE hides for a while when the tower does not know whether a submission arrived.
HIDDEN = {"unlisted": "hidden for 150 s", "listed late": "hidden for 70 s"}
# What getJob loses PanDA gives up after half an hour: other jobs take the place of these. What a worker does is told
# at moments of its own.
ALONE = {"panda: getJob", "panda: workers", "panda: harvester"}
# Of what a CE may leave out, a word that nobody understands is as good as none.
OPTIONAL = {("arc: capacity", "wrong types")}
# What was sent twice is on the CE twice: only a look at its whole list finds the other one.
LISTED = {("arc: submit", "sent twice"): "doubled"}
# The writes with which jobs change hands are tried on MariaDB, too.
SQLITE, MARIADB = "sqlite", "mysql"
ON_MARIADB: dict[str, tuple[str, ...]] = {
    "good": (
        "asks.begin",
        "fetch_jobs._write",
        "bind._write",
        "leases.take",
        "claim.claim",
        "claims.settle for submit",
        "claims.settle for submit #2",
        "claims.settle for poll",
        "mirror._write",
        "claims.settle for fetch",
        "validate._write",
        "heartbeat.freeze",
        "heartbeat._settle",
        "heartbeat._settle #2",
        "claims.settle for clean",
        "archive.archive_attempts",
        "retire._move",
    ),
    "killed": ("claims.settle for cancel",),
    "doubt": ("claims.settle for reconcile",),
    "rerun": ("claims.settle for rerun",),
}
# What strikes the whole tower for a while, and in which life.
ALL = "the whole tower"
WHOLE = {
    "database gone for 60 s": "good",
    "database: deadlock": "good",
    "database: lock wait": "good",
    "database restarted": "good",
    "database read-only": "good",
    "database: disk full": "good",
    "SQLite: disk full": "good",
    "SQLite: read-only": "good",
    "disk full in fetch": "good",
    "proxy expired in mid-call": "good",
    "CE amnesia": "forgetful",
    "CE clock off": "good",
}


# Real processes: what is killed, and the seconds of real time within which work has to go on (tests/faults).
REAL = {
    "Prefect's server killed": 120.0,
    "Prefect's server killed, its database lost": 120.0,
    "the worker killed": 120.0,
}


@dataclass(frozen=True)
class Cell:
    """One fault at one point of one life, on one database."""

    life: str
    point: str
    fault: str
    database: str = SQLITE

    @property
    def name(self) -> str:
        where = "" if self.database == SQLITE else ", MariaDB"
        return f"{self.life}: {self.point}: {self.fault}{where}"

    @property
    def write(self) -> bool:
        return self.fault not in WHOLE and "." in self.point

    @property
    def limit(self) -> float:
        """Seconds from the fault until work goes on; longer where a submission was in the air."""
        if self.life in HIDDEN:
            return float(HIDDEN[self.life].split()[2]) + SEND_S + IN_THE_AIR_S
        return (
            IN_THE_AIR_S
            if self.fault in (*KILLS, UNHEARD) or self.life in ("doubt", "forgetful") or "submit" in self.point
            else AT_ONCE_S
        )


@dataclass(frozen=True)
class Group:
    """Cells that strike one life, at points that do not disturb each other."""

    cells: tuple[Cell, ...]

    @property
    def life(self) -> str:
        return self.cells[0].life

    @property
    def database(self) -> str:
        return self.cells[0].database

    @property
    def name(self) -> str:
        return " + ".join(cell.name for cell in self.cells)


def together(points: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Points that lie far from each other, so that one fault is over when the next one strikes."""
    apart = -(-len(points) // size)
    return (points[first::apart] for first in range(apart))


def groups() -> Iterator[Group]:
    """All cells. A tower that dies is alone with it; of the replies, three go into one life."""
    for life, calls in CALLS.items():
        for fault in REPLIES:
            apart = (
                ALONE
                | (NO_CONTENT if fault in CONTENTS else set())
                | {one for one, how in OPTIONAL | LISTED.keys() if how == fault}
            )
            for some in together([call for call in calls if call not in apart], 3):
                yield Group(tuple(Cell(life, call, fault) for call in some))
            yield from (Group((Cell(life, call, fault),)) for call in calls if call in ALONE)
        yield from (Group((Cell(life, call, fault),)) for fault in KILLS for call in calls)
    for life, writes in WRITES.items():
        yield from (Group((Cell(life, write, fault),)) for fault in KILLS for write in writes)

    for life, slept in SLEPT.items():
        yield from (Group((Cell(life, write, fault),)) for write, fault in slept.items())
    yield from (Group((Cell(life, "claims.settle for submit", "killed before"),)) for life in HIDDEN)
    yield from (Group((Cell(life, point, fault),)) for (point, fault), life in LISTED.items())
    yield from (Group((Cell(life, ALL, plight, database_of(plight)),)) for plight, life in WHOLE.items())
    for life, writes in ON_MARIADB.items():
        yield from (Group((Cell(life, write, fault, MARIADB),)) for fault in (*KILLS, UNHEARD) for write in writes)


def database_of(plight: str) -> str:
    return MARIADB if plight.startswith("database") else SQLITE


def cells() -> list[Cell]:
    return [cell for group in groups() for cell in group.cells]

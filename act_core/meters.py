"""What this process does, in numbers for Prometheus: how often, how long, with what outcome.

Labels come from short lists: stages, verbs, names of CEs, outcomes; never a job, a file or a host of somebody else's.
What stands in the state tables is not counted here: `monitor.metrics` reads it when somebody asks.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, Summary
from prometheus_client import disable_created_metrics as _disable_created_metrics

from act_core.errors import (
    BadInput,
    ConfigError,
    CredentialError,
    DatabaseAway,
    DiskError,
    OutcomeUnknown,
    ProtocolError,
    Transient,
)

# a second line for each series, of which nobody asks
_disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()  # ours alone: Prefect, too, has metrics in the library's common one
ProcessCollector(registry=REGISTRY)

ATTEMPTS, PANDA_JOBS = "attempts", "panda_jobs"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (DatabaseAway, "database"),
    (Transient, "transient"),
    (CredentialError, "credential"),
    (OutcomeUnknown, "unknown"),
    (ProtocolError, "protocol"),
    (ConfigError, "config"),
    (DiskError, "disk"),
    (BadInput, "input"),
    (asyncio.CancelledError, "cancelled"),
    (GeneratorExit, "cancelled"),
)

BUILD = Gauge("act_build_info", "1; the version of the program", ["version"], registry=REGISTRY)
ROUNDS = Histogram(
    "act_round_seconds", "rounds of work by stage", ["stage", "verb"], buckets=_SECONDS, registry=REGISTRY
)
BUSY = Counter("act_rounds_busy", "rounds that found the lease taken", ["stage", "verb"], registry=REGISTRY)
CE_ROUNDS = Summary("act_ce_round_seconds", "rounds of work at a CE", ["ce", "verb"], registry=REGISTRY)
ERRORS = Counter("act_round_errors", "rounds that failed", ["ce", "verb", "kind"], registry=REGISTRY)
CE_CALLS = Summary("act_ce_call_seconds", "calls to CEs", ["ce", "call", "outcome"], registry=REGISTRY)
PANDA_CALLS = Summary("act_panda_call_seconds", "calls to PanDA", ["server", "method", "outcome"], registry=REGISTRY)
STORAGE = Counter("act_storage_answers", "answers of grid storage about files", ["deed", "outcome"], registry=REGISTRY)
SETTLED = Counter("act_settled_rows", "decisions on rows", ["table", "outcome"], registry=REGISTRY)
MOVES = Counter("act_moves", "attempts that came into a state", ["ce", "state"], registry=REGISTRY)
WINDOW_LATE = Histogram(
    "act_window_late_seconds", "planned start to real start", ["stage"], buckets=_SECONDS, registry=REGISTRY
)
WINDOWS = Summary("act_window_seconds", "windows, by how they ended", ["stage", "end"], registry=REGISTRY)

for _table in (ATTEMPTS, PANDA_JOBS):
    for _outcome in ("written", "stale", "illegal"):
        SETTLED.labels(_table, _outcome)  # a series that begins with its first event hides that one from `increase`
try:
    BUILD.labels(version("act-flows")).set(1)
except PackageNotFoundError:  # a tree that is not installed
    BUILD.labels("unknown").set(1)


def kind_of(err: BaseException) -> str:
    """What went wrong, as one of few words; a bug of ours is `bug`."""
    return next((word for of, word in _KINDS if isinstance(err, of)), "bug")


@contextmanager
def in_round(stage: str, verb: str, ce: str) -> Iterator[None]:
    """One round of work; `ce` empty: its key is none."""
    began = perf_counter()
    try:
        yield
    except BaseException as err:
        ERRORS.labels(ce, verb, kind_of(err)).inc()
        raise
    finally:
        seconds = perf_counter() - began
        ROUNDS.labels(stage, verb).observe(seconds)
        if ce:
            CE_ROUNDS.labels(ce, verb).observe(seconds)


@dataclass(slots=True)
class Call:
    """A call that is under way."""

    outcome: str = "ok"

    def answered(self, status: int) -> None:
        """With this status of HTTP."""
        self.outcome = "ok" if status < 400 else "refused" if status < 500 else "failed"


@contextmanager
def _timed(meter: Summary, whom: str, what: str) -> Iterator[Call]:
    call, began = Call(), perf_counter()
    try:
        yield call
    except BaseException as err:
        call.outcome = kind_of(err)
        raise
    finally:
        _series(meter, whom, what, call.outcome).observe(perf_counter() - began)


@lru_cache(maxsize=8192)
def _series(meter: Summary, *labels: str) -> Summary:
    """The library looks for it under a lock, and makes texts of its labels each time."""
    return meter.labels(*labels)


def ce_call(ce: str, call: str) -> AbstractContextManager[Call]:
    """One call to a CE; `call`: what is asked, in words of ours."""
    return _timed(CE_CALLS, ce, call)


def panda_call(server: str, method: str) -> AbstractContextManager[Call]:
    """One call to PanDA."""
    return _timed(PANDA_CALLS, server, method)


def settled(table: str, written: int, stale: int, illegal: int, moves: Mapping[tuple[str, str], int]) -> None:
    """A batch of decisions was committed; `moves`: how many came into (CE, state)."""
    for outcome, n in (("written", written), ("stale", stale), ("illegal", illegal)):
        if n:
            SETTLED.labels(table, outcome).inc(n)
    for (ce, state), n in moves.items():
        MOVES.labels(ce, state).inc(n)


@contextmanager
def window(stage: str) -> Iterator[Call]:
    """A window, which ends as its `outcome` says."""
    call, began = Call("raised"), perf_counter()
    try:
        yield call
    finally:
        WINDOWS.labels(stage, call.outcome).observe(perf_counter() - began)

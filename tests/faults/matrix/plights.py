"""What strikes the whole tower for a while: its database, its disk, its proxy, or the CE's memory and clock."""

import errno
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import event

from act_core.simulators.faults import FaultRule, Kind
from tests.faults.matrix import mariadb
from tests.faults.matrix.bench import Bench

Undo = Callable[[], None]


@dataclass
class Plight:
    """`begin` strikes the bench and returns what ends it. `at`, `back`: when it began, and when it was over."""

    name: str
    begin: Callable[[Bench], Undo]
    lasts: timedelta = timedelta(0)
    when: Callable[[Bench], bool] = lambda _: True
    at: datetime | None = None
    back: datetime | None = None
    undo: Undo = lambda: None

    def look(self, bench: Bench) -> None:
        """Begin or end it, if the time has come."""
        if self.at is None and self.when(bench):
            self.at = bench.rt.now()
            self.undo = self.begin(bench)
        elif self.at is not None and self.back is None and bench.rt.now() - self.at >= self.lasts:
            self.end()
            self.back = bench.rt.now()

    def end(self) -> None:
        """Whatever of it is still in force is over."""
        undo, self.undo = self.undo, lambda: None
        undo()


def sqlite_says(words: str) -> Callable[[Bench], Undo]:
    """Statements that write fail with this error, until it is over."""

    def begin(bench: Bench) -> Undo:
        engine = bench.engine

        def execute(_cursor: Any, statement: str, *_: Any) -> None:
            if statement.startswith(mariadb.WRITING):
                raise sqlite3.OperationalError(words)

        event.listen(engine, "do_execute", execute)
        return lambda: event.remove(engine, "do_execute", execute)

    return begin


def mariadb_says(code: int, words: str, times: int | None = None) -> Callable[[Bench], Undo]:
    """The same of MariaDB; so many times, or until it is over."""
    return lambda bench: mariadb.refusing(bench.engine, code, words, times)


def disk_full(bench: Bench) -> Undo:
    """No file of a job can be made."""
    real = os.open

    def refused(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_CREAT and flags & os.O_EXCL and "results" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return real(path, flags, *more, **named)

    os.open = refused

    def undo() -> None:
        os.open = real

    return undo


def proxy_expired(bench: Bench) -> Undo:
    """The file holds an expired one until somebody renews it."""
    path = bench.settings.arc.voms.proxypath
    assert path is not None
    bench.pki.proxy("tower", timedelta(seconds=-60), path=path)

    def renewed() -> None:
        bench.pki.proxy("tower", timedelta(hours=96), path=path)

    return renewed


def amnesia(bench: Bench) -> Undo:
    """The CE forgets all jobs for a while, in which they go on."""
    books = bench.arc.service.books
    books.hidden |= set(books.jobs)
    return books.hidden.clear


def clock_off(bench: Bench) -> Undo:
    """The CE's clock is two hours ahead in all that it says."""
    rule = FaultRule(kind=Kind.CLOCK, seconds=7200)
    bench.ce.faults._rules["clock"] = rule

    def undo() -> None:
        del bench.ce.faults._rules["clock"]

    return undo


def is_there(bench: Bench) -> bool:
    """A job is on the CE."""
    return bool(bench.arc.service.books.jobs)


MINUTE = timedelta(seconds=60)
PLIGHTS: dict[str, Callable[[], Plight]] = {
    "database gone for 60 s": lambda: Plight("", lambda bench: mariadb.gone(bench.engine), MINUTE),
    "database: deadlock": lambda: Plight("", mariadb_says(1213, "Deadlock found", times=3)),
    "database: lock wait": lambda: Plight("", mariadb_says(1205, "Lock wait timeout exceeded", times=9)),
    "database restarted": lambda: Plight("", lambda bench: mariadb.restarting(bench.engine, times=8)),
    "database read-only": lambda: Plight("", mariadb_says(1290, "running with the --read-only option"), MINUTE),
    "database: disk full": lambda: Plight("", mariadb_says(1021, "Disk full"), MINUTE),
    "SQLite: disk full": lambda: Plight("", sqlite_says("database or disk is full"), MINUTE),
    "SQLite: read-only": lambda: Plight("", sqlite_says("attempt to write a readonly database"), MINUTE),
    "disk full in fetch": lambda: Plight("", disk_full, MINUTE),
    "proxy expired in mid-call": lambda: Plight("", proxy_expired, MINUTE),
    "CE amnesia": lambda: Plight("", amnesia, MINUTE, is_there),
    "CE clock off": lambda: Plight("", clock_off, MINUTE),
}

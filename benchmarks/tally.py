"""Statements and commits of a database engine."""

import threading

from sqlalchemy import event

from act_core.db.session import Database


class Tally:
    """Counts from any thread, from its making on."""

    def __init__(self, db: Database) -> None:
        self.statements = self.commits = 0
        self._lock = threading.Lock()
        event.listen(db.engine, "before_cursor_execute", self._statement)
        event.listen(db.engine, "commit", self._commit)

    def _statement(self, *_: object) -> None:
        with self._lock:
            self.statements += 1

    def _commit(self, _: object) -> None:
        with self._lock:
            self.commits += 1

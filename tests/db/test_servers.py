"""What MySQL is asked otherwise than MariaDB, as far as that shows without one; and servers that are too old."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Integer, column, select, values
from sqlalchemy.dialects import mysql, sqlite

from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.bootstrap import tower_id
from act_core.db.models import CeJob, Description
from act_core.db.servers import check_server, too_old
from act_core.db.session import Database
from act_core.jobspec import JobSpec

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def server(mariadb: bool, *version: int) -> Any:
    dialect: Any = mysql.dialect()
    dialect.is_mariadb, dialect.server_version_info = mariadb, version
    return dialect


def test_mysql_has_a_word_before_each_row() -> None:
    v = values(column("a", Integer), column("b", Integer), name="v").data([(1, 2), (3, 4)]).cte("v", nesting=True)
    question = select(select(v).subquery("s"))

    def said(dialect: Any) -> str:
        return " ".join(str(question.compile(dialect=dialect)).split())

    assert "AS (VALUES ROW(%s, %s), ROW(%s, %s))" in said(server(False, 8, 0, 36))
    assert "AS (VALUES (%s, %s), (%s, %s))" in said(server(True, 10, 11, 6))
    assert "AS (VALUES (?, ?), (?, ?))" in said(sqlite.dialect())


def test_ids_of_new_descriptions_come_without_returning(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db.engine.dialect, "insert_returning", False)  # as MySQL's is: there is none here
    specs = [JobSpec(executable=name) for name in ("a", "b", "c")]
    jobs = [NewJob("manual", spec.executable, spec, frozenset({"ce"}), 1) for spec in specs]
    db.write(add_jobs, db.read(tower_id), jobs, NOW)
    together = select(CeJob.app_job_id, Description.spec).join(Description, Description.id == CeJob.description_id)
    found = db.read(lambda session: session.execute(together).tuples().all())
    assert {job: JobSpec.model_validate_json(spec).executable for job, spec in found} == {"a": "a", "b": "b", "c": "c"}


@pytest.mark.parametrize(
    ("dialect", "says"),
    [
        (server(True, 10, 6, 0), None),
        (server(True, 11, 4, 2), None),
        (server(False, 8, 0, 19), None),
        (server(False, 8, 4, 0), None),
        (
            server(True, 10, 5, 23),
            "the database server is MariaDB 10.5.23: MariaDB 10.6 and MySQL 8.0.19 are",
        ),
        (server(False, 5, 7, 44), "the database server is MySQL 5.7.44: MariaDB 10.6 and MySQL 8.0.19 are"),
    ],
)
def test_a_server_that_is_too_old_is_told(dialect: Any, says: str | None) -> None:
    found = too_old(dialect)
    assert found == says or (found and says and found.startswith(says))


def test_this_server_will_do(db: Database) -> None:
    with db.engine.connect() as connection:
        check_server(connection)

"""What a worker does before it takes its first run."""

import pytest
from sqlalchemy import text

from act_core.db import bootstrap, ces, leases
from act_core.db.session import Database
from act_core.errors import ConfigError
from act_core.settings.model import Settings, Site
from flows.serve import begin


def _naming(settings: Settings, *names: str) -> Settings:
    sites = {name: Site(kind="local") for name in names}
    return settings.model_copy(update={"arc": settings.arc.model_copy(update={"sites": sites})})


def test_its_configuration_is_the_towers(db: Database, db_settings: Settings) -> None:
    begin(_naming(db_settings, "a", "b"))
    begin(_naming(db_settings, "b"))
    assert {row.name: row.mode for row in db.read(ces.all_ces)} == {"a": "drain", "b": "on"}
    begin(_naming(db_settings, "a", "b"))
    assert {row.name: row.mode for row in db.read(ces.all_ces)} == {"a": "on", "b": "on"}


def test_tables_of_another_program_stay_as_they_are(db: Database, db_settings: Settings) -> None:
    changed = text("UPDATE alembic_version SET version_num = :schema")
    db.write(lambda session: session.execute(changed, {"schema": "9999"}) and None)
    try:
        with pytest.raises(ConfigError, match="newer than this program"):
            begin(_naming(db_settings, "a"))
        assert db.read(ces.all_ces) == []
    finally:
        db.write(lambda session: session.execute(changed, {"schema": bootstrap.newest()}) and None)


def test_leases_of_the_dead_are_ended(db: Database, db_settings: Settings) -> None:
    host = leases.holder().rsplit(":", 2)[0]
    db.write(leases.take, "submit/submit", "a", f"{host}:999999999:1", db.clock())
    assert begin(_naming(db_settings, "a")) == 1
    assert db.write(leases.take, "submit/submit", "a", leases.holder(), db.clock()) is not None

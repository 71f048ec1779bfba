"""What a worker does before it takes its first run."""

import asyncio
import socket
import threading
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from act_core.db import bootstrap, ces, leases
from act_core.db.session import Database
from act_core.errors import ConfigError
from act_core.live import Live
from act_core.processes import tick_age
from act_core.settings.model import Monitor, Settings, Site
from flows import serve
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


async def test_a_disk_that_hangs_holds_up_the_look_at_the_files_and_nothing_else(
    tmp_path: Path,
    eventually: Callable[[Callable[[], Awaitable[bool]], str], Awaitable[bool]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "HANGS_S", 0.01)
    monkeypatch.setattr(serve, "LOOK_S", 0.01)
    goes_on, looks = threading.Event(), []

    class Hangs(Live):
        """Its files lie on a disk that does not answer."""

        def look(self, hurry: bool = False) -> bool:
            looks.append(hurry)
            return goes_on.wait(20) and False

    live = Hangs(Settings(state_dir=tmp_path), {"HOME": str(tmp_path)})
    live.owed = False
    watching = asyncio.create_task(serve.watch_configuration(live, asyncio.Event()))

    async def ticked() -> bool:
        return tick_age(tmp_path) is not None

    async def again() -> bool:
        return len(looks) > 1

    await eventually(ticked, "the main loop goes round")
    assert looks == [False]
    goes_on.set()
    await eventually(again, "the next look")
    watching.cancel()


async def test_metrics_are_served_once_their_port_is_free(
    db_settings: Settings,
    eventually: Callable[[Callable[[], Awaitable[bool]], str], Awaitable[bool]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(serve, "METRICS_AGAIN_S", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arc = db_settings.arc.model_copy(update={"monitor": Monitor(prometheusport=port)})
        serving = asyncio.create_task(serve._metrics(db_settings.model_copy(update={"arc": arc})))

        async def told() -> bool:
            return "no metrics are served" in caplog.text

        await eventually(told, "the error")
    url = f"http://127.0.0.1:{port}/metrics"

    async def served() -> bool:
        return "metrics are served at http" in caplog.text

    with caplog.at_level("INFO", "act"):
        await eventually(served, "the port")
    with await asyncio.to_thread(urllib.request.urlopen, url, timeout=20) as answer:
        assert b"act_database_up 1.0" in answer.read()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert caplog.text.count("no metrics are served") == 1
    with socket.create_server(("127.0.0.1", port)):
        """It is free again."""

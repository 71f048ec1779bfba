"""The numbers for Prometheus: what the tables say, and that nobody waits for a database that is away."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed
from sqlalchemy import event
from sqlalchemy.orm import Session

from act_core import meters
from act_core.atlas import metrics as atlas_metrics
from act_core.db import claims
from act_core.db.session import Database
from act_core.decisions import Move
from act_core.errors import ConfigError, CredentialError, DatabaseAway, Transient
from act_core.monitor import metrics, state_families
from act_core.monitor.metrics import StateMetrics, registry_of
from act_core.monitor.metrics_page import MetricsPage
from act_core.settings.model import ArcSettings, Db, Monitor, Settings
from act_core.states import CeState
from tests.db.conftest import Rows, rows
from tests.monitor import filled

__all__ = ["rows"]  # a fixture
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def samples(families: Any) -> Samples:
    found = [(one.name, frozenset(one.labels.items()), one.value) for family in families for one in family.samples]
    assert len({one[:2] for one in found}) == len(found), "Prometheus takes no series twice"
    return {(name, labels): value for name, labels, value in found}


class Found:
    def __init__(self, families: Any) -> None:
        self.all = samples(families)

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.all.get((name, frozenset(labels.items())))


@pytest.fixture
def state(db: Database, db_settings: Settings) -> Iterator[StateMetrics]:
    """A collector over tables that say something of everything."""
    db.write(filled.fill, db.clock())
    made = StateMetrics(filled.settings_of(db_settings))
    yield made
    made.close()


def test_the_tables_are_told(state: StateMetrics) -> None:
    found = Found(state.collect())
    assert found("act_database_up") == 1
    assert found("act_jobs", app="atlas", ce="a", share="Q1", state="running") == 3
    assert found("act_running_cores", ce="a") == 24
    assert (found("act_ce_breaker_open", ce="a"), found("act_ce_breaker_open", ce="b")) == (0, 1)
    assert found("act_brakes_on") == 1
    assert found("act_brake_jobs", scope="ce:a", kind="lose") == 90
    assert found("act_reasons", topic="submit", code="full") == 1
    assert found("act_heartbeats_overdue", server=filled.SERVER) == 2
    assert found("act_panda_jobs", server=filled.SERVER, queue="Q1", state="closed", told="finished") == 8
    assert found("act_panda_oldest_seconds", server=filled.SERVER, state="closed") is None
    assert found("act_oldest_seconds", ce="a", state="done") is None


def test_times_are_told(state: StateMetrics) -> None:
    found = Found(state.collect())
    least = {
        ("act_counts_age_seconds", ()): 4,
        ("act_oldest_seconds", (("ce", "a"), ("state", "submitted"))): 300,
        ("act_heartbeat_late_seconds", (("server", filled.SERVER),)): 180,
        ("act_ce_poll_late_seconds", (("ce", "a"),)): 120,
        ("act_ce_unseen_seconds", (("ce", "a"),)): 30,
        ("act_panda_oldest_seconds", (("server", filled.SERVER), ("state", "running"))): 3600,
    }
    told = {key: found(key[0], **dict(key[1])) for key in least}
    assert all(value is not None and least[key] <= value < least[key] + 60 for key, value in told.items()), told
    assert found("act_ce_poll_late_seconds", ce="b") == 0, "a CE that rests is asked later"
    left = found("act_credential_seconds_left", credential="x509up", kind="x509-proxy")
    assert left is not None
    assert 4.9 * 3600 < left <= 5 * 3600


def test_the_originals_names_are_kept(state: StateMetrics) -> None:
    found = Found(state.collect())
    names = ("arc_queued_jobs", "arc_running_jobs", "arc_finishing_jobs")
    assert [found(name, ce_endpoint="https://a/arex") for name in names] == [5, 3, 0]
    assert [found(name, ce_endpoint="https://b/arex") for name in names] == [0, 0, 2]


def test_every_declared_number_is_served_with_its_labels(state: StateMetrics) -> None:
    declared = {**metrics.FAMILIES, **state_families.FAMILIES, **atlas_metrics.FAMILIES}
    served = {(name, tuple(sorted(dict(labels)))) for name, labels in Found(state.collect()).all}
    assert {(name, tuple(sorted(one.labels))) for name, one in declared.items()} == served


def test_a_look_costs_a_constant_number_of_statements(db: Database, db_settings: Settings) -> None:
    held = filled.settings_of(db_settings)
    sent: list[str] = []

    def hear(_conn: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(db.engine, "before_cursor_execute", hear)

    def asked() -> int:
        sent.clear()
        ask = [state_families.engine_families, atlas_metrics.collect]
        db.read(lambda session: [list(one(session, held, db.now())) for one in ask] and None)
        return len(sent)

    db.now()
    empty = asked()
    db.write(filled.fill, db.clock())
    assert asked() == empty
    assert empty <= 13


def test_who_asks_at_once_shares_one_look(db_settings: Settings) -> None:
    time = [100.0]
    state = StateMetrics(db_settings, lambda: time[0])
    reads: list[str] = []
    event.listen(state._db.engine, "before_cursor_execute", lambda _c, _k, statement, *_: reads.append(statement))
    threads = [threading.Thread(target=lambda: list(state.collect())) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    once = len(reads)
    list(state.collect())
    assert len(reads) == once
    time[0] += metrics.FRESH_S
    list(state.collect())
    assert len(reads) > once
    state.close()


def test_a_bug_of_an_application_costs_its_own_numbers(state: StateMetrics, caplog: pytest.LogCaptureFixture) -> None:
    def broken(_session: Session, _settings: Settings, _now: Any) -> list[Any]:
        raise KeyError("oops")

    state._collects = {**state._collects, "broken": broken}
    found = Found(state.collect())
    assert found("act_database_up") == 1
    assert (found("act_application_up", app="atlas"), found("act_application_up", app="broken")) == (1, 0)
    assert found("act_heartbeats_overdue", server=filled.SERVER) == 2
    assert "a bug of the application broken" in caplog.text


def test_a_database_that_is_away_is_a_number(tmp_path: Any) -> None:
    away = Db(type="mysql", host="127.0.0.1", port=1, user="nobody")
    state = StateMetrics(Settings(state_dir=tmp_path, arc=ArcSettings(db=away)))
    found = Found(registry_of(state).collect())
    assert found("act_database_up") == 0
    assert found("act_disk_free_bytes", place="state")
    assert found("act_settled_rows_total", table="attempts", outcome="illegal") is not None
    assert found("act_brakes_on") is None
    state.close()


def test_a_database_that_hangs_holds_up_nobody(db_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    state, answers = StateMetrics(db_settings), threading.Event()
    read = state._db.read
    monkeypatch.setattr(metrics, "PATIENCE_S", 0.01)
    # the one way to let a database that is there hang for as long as the test wants
    monkeypatch.setattr(state._db, "read", lambda *asked: answers.wait(30) and read(*asked))
    assert [Found(state.collect())("act_database_up") for _ in range(3)] == [0, 0, 0]
    answers.set()
    monkeypatch.setattr(metrics, "PATIENCE_S", 30)
    assert Found(state.collect())("act_database_up") == 1
    state.close()


def _got(page: MetricsPage, path: str = "/metrics") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{page.port}{path}", timeout=20) as answer:
        return str(answer.read().decode())


def test_the_page_is_what_prometheus_reads(db_settings: Settings) -> None:
    page = MetricsPage("127.0.0.1", 0, StateMetrics(db_settings))
    try:
        found = Found(parsed(_got(page)))
        assert found("act_database_up") == 1
        assert found("act_settled_rows_total", table="attempts", outcome="stale") is not None
        with pytest.raises(urllib.error.HTTPError, match="404"):
            _got(page, "/secrets")
        taken = Monitor(prometheusport=page.port)
        with pytest.raises(ConfigError, match=rf"no metrics are served at 127.0.0.1:{page.port}: .*prometheusport"):
            MetricsPage.opened(
                db_settings.model_copy(update={"arc": ArcSettings(db=db_settings.arc.db, monitor=taken)})
            )
    finally:
        page.close()


def test_nothing_is_served_unasked(db_settings: Settings) -> None:
    assert MetricsPage.opened(db_settings) is None


def _value(name: str, **labels: str) -> float:
    return meters.REGISTRY.get_sample_value(name, labels) or 0.0


def test_rows_are_counted_when_they_are_committed(rows: Rows, database: str) -> None:
    rows.add("j1", "j2", "j3")
    picked = rows.pick("j1", "j2", "j3")
    rows.put("j2", version=7)
    moves = {
        picked["j1"]: Move(CeState.SUBMITTING, "x", columns={"ce": database}),
        picked["j2"]: Move(CeState.SUBMITTING, "x"),
        picked["j3"]: Move(CeState.DONE, "x"),
    }
    keys = [{"table": "attempts", "outcome": one} for one in ("written", "stale", "illegal")]
    before = [_value("act_settled_rows_total", **key) for key in keys]

    def in_vain(session: Session) -> None:
        claims.settle(session, moves, rows.now, "test")
        raise Transient("the connection is lost before the commit")

    with pytest.raises(Transient):
        rows.db.write(in_vain)
    assert [_value("act_settled_rows_total", **key) for key in keys] == before
    rows.db.write(claims.settle, moves, rows.now, "test")
    after = [_value("act_settled_rows_total", **key) for key in keys]
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1]
    assert _value("act_moves_total", ce=database, state="submitting") == 1


@pytest.mark.parametrize(
    ("err", "word"),
    [
        (DatabaseAway("x"), "database"),
        (Transient("x"), "transient"),
        (CredentialError("x"), "credential"),
        (KeyError("x"), "bug"),
    ],
    ids=lambda one: str(one),
)
def test_errors_have_few_names(err: Exception, word: str) -> None:
    assert meters.kind_of(err) == word


@pytest.mark.parametrize(("status", "word"), [(200, "ok"), (404, "refused"), (503, "failed")])
def test_answers_have_few_names(status: int, word: str) -> None:
    made = meters.Call()
    made.answered(status)
    assert made.outcome == word

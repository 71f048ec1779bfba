"""Anything is found by any of its names, among living jobs and among those at rest."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from act_core.db.bootstrap import tower_id
from act_core.db.models import CeJob
from act_core.db.policy_models import Orphan
from act_core.db.session import Database
from act_core.monitor.views.search import LONGEST, search
from act_core.settings.model import Settings
from tests.monitor.views.conftest import NOW, attempt

JOB = "6000000001.1"
OLD = "6000000020.1"


@pytest.mark.parametrize(
    ("text", "kind", "name", "by"),
    [
        ("6000000001", "job", JOB, "PandaID"),
        (JOB, "job", JOB, "job id"),
        (f"  {JOB}\n", "job", JOB, "job id"),
        (f"act-tower001-{1:026d}", "job", JOB, "submission key"),
        ("r1", "job", JOB, "id on the CE"),
        ("https://ce1/arex/rest/1.0/jobs/r1", "job", JOB, "id on the CE"),
        ("https://ce1/arex/rest/1.0/jobs/r1/?x=y", "job", JOB, "id on the CE"),
        (OLD, "job", OLD, "job id"),
        ("r20", "job", OLD, "id on the CE"),
        (f"act-tower001-{20:026d}", "job", OLD, "submission key"),
        ("6000000009", "panda job", "6000000009.1", "PandaID"),
        ("4711.batch", "job", JOB, "batch id"),
        ("ce2", "ce", "ce2", "name"),
        ("queu", "queue", "QUEUE", "name"),
    ],
)
def test_by_any_name(tower: Database, db_settings: Settings, text: str, kind: str, name: str, by: str) -> None:
    tower.write(lambda s: s.execute(update(CeJob).where(CeJob.id == 1).values(batch_id="4711.batch")) and None)
    found = tower.read(search, db_settings, text)
    assert [(hit.kind, hit.name, hit.by) for hit in found.hits] == [(kind, name, by)]
    assert found.hits[0].archived == (name == OLD)


def test_by_the_towers_own_name(tower: Database, db_settings: Settings) -> None:
    mine = tower.read(tower_id)
    key = f"act-{mine}-{'k' * 26}"
    tower.write(lambda s: s.execute(insert(CeJob), [attempt(60, submission_key=key)]) and None)
    for text in (key, "k" * 26, f"act-{mine}"):
        assert [hit.name for hit in tower.read(search, db_settings, text).hits] == ["6000000060.1"]
    assert [hit.kind for hit in tower.read(search, db_settings, mine).hits] == ["tower"]


def test_an_orphan_is_found(tower: Database, db_settings: Settings) -> None:
    row = {"ce": "ce1", "remote_id": "stray", "submission_key": "act-x-y", "known": False}
    tower.write(lambda s: s.execute(insert(Orphan), [row | {"first_seen": NOW, "last_seen": NOW}]) and None)
    (hit,) = tower.read(search, db_settings, "stray").hits
    assert (hit.kind, hit.name, hit.ce) == ("orphan", "act-x-y", "ce1")


def test_one_id_of_two_applications(tower: Database, db_settings: Settings) -> None:
    twin = attempt(70, app="manual", app_job_id=JOB, created=NOW + timedelta(hours=1))
    tower.write(lambda s: s.execute(insert(CeJob), [twin]) and None)
    assert {hit.app for hit in tower.read(search, db_settings, JOB).hits} == {"manual", "atlas"}


@pytest.mark.parametrize(
    "text", ["", "  ", "nothing", "%", "'; DROP TABLE ce_jobs", "x" * 5000, "\x00", "https://[", "act-"]
)
def test_odd_texts_find_nothing(tower: Database, db_settings: Settings, text: str) -> None:
    found = tower.read(search, db_settings, text)
    assert len(found.text) <= LONGEST
    assert text == "act-" or found.hits == ()

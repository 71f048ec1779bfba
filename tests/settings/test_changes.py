"""What another configuration changes, in words; secrets are compared and never shown."""

from pathlib import Path

import pytest

from act_core.settings import Settings
from act_core.settings.changes import changes, in_force
from tests.settings.written import load

BEFORE = "sites: {ce1: {endpoint: https://ce1/arex, maxjobs: 5}}\ndb: {password: hunter2}\n"


def settings(tmp_path: Path, arc: str, app: str = "") -> Settings:
    return load(tmp_path, arc, app).settings


@pytest.mark.parametrize(
    ("arc", "app", "told"),
    [
        pytest.param(BEFORE, "", [], id="nothing"),
        pytest.param(
            BEFORE.replace("maxjobs: 5", "maxjobs: 7"), "", ["sites.ce1.maxjobs: 5 → 7 (arc.yaml:1)"], id="a number"
        ),
        pytest.param(
            BEFORE + "jobs: {queueoffset: 9}", "", ["jobs.queueoffset: 100 → 9 (arc.yaml:3)"], id="no default any more"
        ),
        pytest.param(
            BEFORE.replace(", maxjobs: 5", ""), "", ["sites.ce1.maxjobs: 5 → 999999 (arc.yaml:1)"], id="a default again"
        ),
        pytest.param(
            BEFORE.replace("hunter2", "hunter3"),
            "",
            ["db.password: another value, not shown (arc.yaml:2)"],
            id="a secret",
        ),
        pytest.param(
            BEFORE.replace("ce1: {", "ce2: {kind: local}, ce1: {"),
            "",
            ["sites.ce2: new: a section (arc.yaml:1)", "sites.ce2.kind: new: local (arc.yaml:1)"],
            id="a CE that comes",
        ),
        pytest.param(
            "db: {password: hunter2}",
            "",
            [
                "sites.ce1: gone (it was a section)",
                "sites.ce1.endpoint: gone (it was https://ce1/arex)",
                "sites.ce1.maxjobs: gone (it was 5)",
            ],
            id="a CE that goes",
        ),
        pytest.param(
            BEFORE, "modules: {app: [manual, atlas]}", ["modules.app: manual → manual, atlas (app.yaml:1)"], id="a list"
        ),
    ],
)
def test_changes_in_words(tmp_path: Path, arc: str, app: str, told: list[str]) -> None:
    old = settings(tmp_path, BEFORE)
    found = changes(old, settings(tmp_path, arc, app))
    assert [str(one).replace(f"{tmp_path}/", "") for one in found] == told
    assert "hunter" not in str(found)


def test_what_wants_a_restart_stays_as_it_is_and_the_rest_holds(tmp_path: Path) -> None:
    held = settings(tmp_path, "logger: {logdir: /a}")
    more = "db: {name: other}\nprefect: {pause: 3}\nlogger: {logdir: /b, level: debug}\nbreaker: {failures: 9}"
    fresh = settings(tmp_path, more)
    found = changes(held, fresh)
    assert [one.key for one in found if one.restart] == ["db.name", "logger.logdir", "prefect.pause"]
    now = in_force(held, fresh)
    assert (now.arc.db, now.arc.prefect, now.arc.logger.logdir) == (held.arc.db, held.arc.prefect, Path("/a"))
    assert (now.arc.logger.level, now.arc.breaker.failures) == ("debug", 9)
    assert [one.key for one in changes(now, fresh)] == [one.key for one in found if one.restart]

"""`explain` says what holds and where from, and hides what is secret."""

import json
from pathlib import Path

from act_core.settings import load_settings
from act_core.settings.explain import Row, explain, in_words

ARC = """\
db: {password: hunter2, tls_ca: /ca}
sites:
  ce1:
    endpoint: https://ce1/arex
    patience: 90 min
    options: {since: 2026-01-01, queue: long, token: hunter2, deep: [{api_key: hunter2}]}
"""


def explained(tmp_path: Path, env: dict[str, str] | None = None) -> dict[str, Row]:
    file = tmp_path / "arc.yaml"
    file.write_text(ARC)
    nowhere = tmp_path / "app.yaml"
    nowhere.write_text("")
    return {row.key: row for row in explain(load_settings(file, nowhere, {"HOME": "/home/op", **(env or {})}).settings)}


def test_every_key_has_a_row_with_its_origin(tmp_path: Path) -> None:
    rows = explained(tmp_path, {"ACT_CRIC__MAXJOBS": "5", "ACT_STATE_DIR": "/s"})
    assert rows["db.tls_ca"] == Row("aCTConfigARC.yaml", "db.tls_ca", "/ca", f"{tmp_path}/arc.yaml:1")
    assert rows["db.port"] == Row("aCTConfigARC.yaml", "db.port", 3306, "default")
    assert rows["cric.maxjobs"] == Row("aCTConfigAPP.yaml", "cric.maxjobs", 5, "$ACT_CRIC__MAXJOBS")
    assert rows["state_dir"].origin == "$ACT_STATE_DIR"
    assert rows["sites.ce1.patience"].value == "90 min"
    assert rows["sites.ce1.batch"].value is None
    assert rows["sites.ce1.deadline"].value == "1 min"
    assert rows["jobs.checkmintime"].value == "2 s"
    assert not rows["sites.ce1.batch"].changed
    assert rows["panda.sites"].value == {}
    assert rows["modules.app"].value == ["manual"]


def test_secrets_are_hidden_wherever_they_stand(tmp_path: Path) -> None:
    rows = explained(tmp_path, {"ACT_PREFECT__DATABASE": "postgresql+asyncpg://act:hunter2@db/prefect"})
    assert rows["db.password"].value == "***"
    assert rows["prefect.database"].value == "***"
    assert rows["sites.ce1.options"].value == {
        "since": "2026-01-01",
        "queue": "long",
        "token": "***",
        "deep": [{"api_key": "***"}],
    }
    assert "hunter2" not in json.dumps([row.value for row in rows.values()])


def test_an_empty_password_is_not_shown_as_one() -> None:
    rows = {row.key: row for row in explain(load_settings(env={"HOME": "/home/op", "VIRTUAL_ENV": ""}).settings)}
    assert rows["db.password"].value == ""


def test_values_in_words() -> None:
    assert in_words(None) == in_words("") == in_words([]) == in_words({}) == "-"
    assert in_words(True) == "yes"
    assert in_words(False) == "no"
    assert in_words(0) == "0"
    assert in_words(["a", "b"]) == "a, b"
    assert in_words({"q": ["a"], "n": 1}) == "q: a, n: 1"

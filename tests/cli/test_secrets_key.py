"""The key for the secrets of jobs, as an operator has it."""

import json
from pathlib import Path

import pytest

from act_core.cli import job_show
from act_core.credentials.vault import Vault
from tests.cli.conftest import Act


def test_it_is_made_with_the_tables_and_stays(bare: Act, place: Path) -> None:
    key = place / "state" / "secrets.key"
    assert bare("bootstrap").code == 0
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    assert bare("bootstrap").code == 0
    assert key.read_bytes() == before


def test_another_one_is_put_before_it(act: Act, place: Path) -> None:
    key = place / "state" / "secrets.key"
    assert act("credentials", "rotate-key", "--json").json == {"file": str(key), "keys": 1}
    sealed = Vault(key).seal("x")
    said = act("credentials", "rotate-key")
    assert (said.code, "has 2 keys" in " ".join(said.out.split())) == (0, True)
    assert Vault(key).open(sealed).get_secret_value() == "x"


def test_one_that_others_can_read_is_not_used(act: Act, place: Path) -> None:
    act("credentials", "rotate-key")
    (place / "state" / "secrets.key").chmod(0o644)
    said = act("credentials", "rotate-key")
    assert said.code == 2
    assert "can be read by others: chmod 600" in " ".join(said.err.split())


def test_a_file_of_a_user_seals_nothing(act: Act, place: Path) -> None:
    spec = {"name": "j", "executable": "/bin/true", "inputs": [{"name": "f", "sealed": True}]}
    (place / "job.yaml").write_text(json.dumps(spec))
    said = act("jobs", "add", place / "job.yaml")
    assert said.code == 2
    assert "sealed" in said.err


def test_logs_are_shown_with_their_addresses(capsys: pytest.CaptureFixture[str]) -> None:
    log = {"log": "story", "url": "https://logs.example/d/Q/7.story", "file": "/srv/d/Q/7.story"}
    told = {"id": "7.1", "app": "atlas", "name": "n", "candidates": [], "logs": [log], "attempts": []}
    job_show._print_story(told)
    assert "story  https://logs.example/d/Q/7.story   /srv/d/Q/7.story" in capsys.readouterr().out

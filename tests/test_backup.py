"""docs/backup.md: its commands are run, on both databases; what was restored is there, and the tower knows it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from act_core.cli import main
from act_core.cli.context import use_files
from act_core.db import arrivals, bootstrap, listing
from act_core.db.listing import Filter
from act_core.db.session import Database
from act_core.jobspec import JobSpec
from act_core.settings.model import Db, Settings
from flows.supervise import prepare
from tests.fixtures.skipped import missing

PAGE = (Path(__file__).parents[1] / "docs" / "backup.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```sh\n# ([^\n]+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
NAMES = {"sqlite": "SQLite", "mysql": "MariaDB"}
PROGRAMS = {"sqlite": ("sqlite3", "sqlite3"), "mysql": ("mariadb-dump", "mariadb-client")}


@dataclass(slots=True)
class Place:
    """A tower's place, and what an operator does there."""

    directory: Path
    settings: Settings
    kind: str

    def run(self, block: str) -> None:
        state, backup = self.settings.state_dir, self.directory / "backup"
        env = {**os.environ, "ACT_STATE_DIR": str(state), "BACKUP": str(backup), "DB": self.settings.arc.db.name}
        lines = re.sub(r"^act\b", f"{sys.executable} -m act_core.cli", BLOCKS[block], flags=re.MULTILINE)
        command = ["sh", "-e", "-c", lines]
        done = subprocess.run(
            command, cwd=self.directory, env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def add(self, job: str) -> None:
        db = Database(self.settings)
        new = arrivals.NewJob("manual", job, JobSpec(executable="x"), frozenset({"here"}), 1)
        db.write(arrivals.add_jobs, db.read(bootstrap.tower_id), [new], datetime.now(UTC))
        db.close()

    def jobs(self) -> list[str]:
        db = Database(self.settings)
        found = [job.app_job_id for job in db.read(listing.jobs, Filter(), 9)]
        db.close()
        return found


def configuration(db: Db) -> str:
    mysql = f"{{type: mysql, name: {db.name}, user: {db.user}, host: {db.host}, port: {db.port}"
    socket = f", socket: {db.socket}" if db.socket else ""
    password = f", password: '{db.password.get_secret_value()}'" if db.password.get_secret_value() else ""
    return f"db: {mysql}{socket}{password}}}\n" if db.type == "mysql" else ""


def client(db: Db) -> str:
    address = f"socket={db.socket}" if db.socket else f"host={db.host}\nport={db.port}"
    return f"[client]\nuser={db.user}\npassword={db.password.get_secret_value()}\n{address}\n"


@pytest.fixture
def place(database: str, servers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    program, package = PROGRAMS[database]
    if shutil.which(program) is None:
        missing(package, f"there is no {program}")
    for name in ("ACTCONFIGARC", "ACTCONFIGAPP", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    state = tmp_path / "state"
    state.mkdir()
    (tmp_path / "backup").mkdir()
    db = servers.empty("mysql") if database == "mysql" else Db(file=state / "act.sqlite")
    (tmp_path / "aCTConfigARC.yaml").write_text(configuration(db) + "sites: {here: {kind: local}}\n")
    address = f"socket={db.socket}" if db.socket else f"host={db.host}\nport={db.port}"
    (tmp_path / "my.cnf").write_text(
        f"[client]\nuser={db.user}\npassword={db.password.get_secret_value()}\n{address}\n"
    )
    monkeypatch.setenv("ACT_STATE_DIR", str(state))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    monkeypatch.chdir(tmp_path)
    settings = Settings.model_validate({"state_dir": state, "arc": {"db": db}})
    return Place(tmp_path, settings, database)


@pytest.fixture
def act(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[Any, str]]:
    def run(*words: str) -> tuple[Any, str]:
        monkeypatch.setattr(sys, "argv", ["act", *words])
        use_files(None, None)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main.main()
        return ended.value.code, capsys.readouterr().out

    return run


def test_what_was_backed_up_is_restored_and_the_tower_knows_it(
    place: Place, act: Callable[..., tuple[Any, str]]
) -> None:
    assert not act("bootstrap")[0]
    prepare(place.settings, lambda _words: None)
    place.add("before")
    place.run(NAMES[place.kind])
    prepare(place.settings, lambda _words: None)  # it was started once more
    place.add("after")
    place.run(f"{NAMES[place.kind]}, restore")
    assert place.jobs() == ["before"]
    code, said = act("status")
    assert (code, "1 jobs wait for a CE" in said) == (1, True), "no tower is up"
    told: list[str] = []
    prepare(place.settings, told.append)
    assert any("the database is older than this directory" in words for words in told)


def test_on_another_host_it_has_to_be_said(place: Place, act: Callable[..., tuple[Any, str]]) -> None:
    act("bootstrap")
    prepare(place.settings, lambda _words: None)
    (place.settings.state_dir / "secrets.key").touch()
    place.run(NAMES[place.kind])
    place.run("files")
    listed = ["tar", "-tzf", str(place.directory / "backup" / "state.tgz")]
    kept = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
    assert "./secrets.key" in kept
    assert not {"./generation.json", "./act.sqlite"} & set(kept)
    (place.settings.state_dir / "generation.json").unlink()
    place.run(f"{NAMES[place.kind]}, restore")
    place.run("both, restore")
    told: list[str] = []
    prepare(place.settings, told.append)
    assert any("the database is older than this directory" in words for words in told)
    told.clear()
    prepare(place.settings, told.append)
    assert not any("older" in words for words in told), "once is enough"

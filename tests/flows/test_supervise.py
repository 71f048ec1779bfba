"""The pieces of `act up`: children that are started again, what stands in the state directory, and the password."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from act_core import logs
from act_core.atlas import books
from act_core.atlas.queues import in_doubt
from act_core.db import bootstrap
from act_core.db.session import Database
from act_core.errors import ActError, ConfigError, Transient
from act_core.processes import NAMED_BY, lives, process_start, standing, up_file, worker_number
from act_core.settings import Settings, load_settings
from act_core.settings.app_model import Modules
from flows import children, keeper, supervise
from flows.children import Child, free_port, stop_all
from flows.environment import client_environment, password, password_file, server_environment
from flows.standing import healthy, take_down
from flows.supervise import Supervisor, prepare

WAITS = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state")


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    made = Child("sleeper", WAITS, {"MARK": "seen"}, tmp_path / "sleeper.log")
    yield made
    made.stop()


def stands(settings: Settings, pid: int, start: str | None, children: dict[str, object]) -> None:
    settings.state_dir.mkdir(exist_ok=True)
    said = {"pid": pid, "start": start, "phase": "up", "prefect": "http://127.0.0.1:1", "children": children}
    up_file(settings.state_dir).write_text(json.dumps(said))


def test_a_child_that_died_is_started_again(child: Child) -> None:
    assert not child.died()
    child.start()
    assert child.process is not None
    first = child.process.pid
    child.process.kill()
    child.process.wait()
    assert child.died()
    child.again()
    assert child.process.pid != first
    assert not child.died()


def test_a_child_that_dies_all_the_time_is_given_up(child: Child) -> None:
    for _ in range(children.RESTARTS):
        child.again()
        child.stop()
    with pytest.raises(ActError, match=r"sleeper died 6 times within 60 s: see .*sleeper\.log"):
        child.again()


def test_a_child_that_does_not_go_is_killed(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    monkeypatch.setattr(children, "STOP_S", 0.3)
    child.command = [sys.executable, "-c", f"{deaf}; signal.pause()"]
    child.start()
    assert child.process is not None
    with subprocess.Popen(["tail", "-f", "-n", "+1", child.log], stdout=subprocess.PIPE) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"up\n"
        reader.kill()
    child.stop()
    assert child.process.returncode == -9


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": 1}'])
def test_an_unreadable_word_of_a_tower_is_none(settings: Settings, text: str) -> None:
    settings.state_dir.mkdir()
    up_file(settings.state_dir).write_text(text)
    assert standing(settings.state_dir) is None
    assert not take_down(settings.state_dir)


def test_a_tower_stands_as_long_as_its_process(settings: Settings) -> None:
    assert standing(settings.state_dir) is None
    stands(settings, os.getpid(), process_start(os.getpid()), {})
    said = standing(settings.state_dir)
    assert said is not None
    assert said["phase"] == "up"
    with pytest.raises(ConfigError, match=r"is up in .* already"):
        prepare(settings, lambda _words: None)
    stands(settings, os.getpid(), "another process of this number", {})
    assert standing(settings.state_dir) is None


def test_what_does_not_go_down_is_ended(settings: Settings, child: Child) -> None:
    child.start()
    assert child.process is not None
    supervisor = subprocess.Popen(WAITS, stdout=subprocess.PIPE)
    assert supervisor.stdout is not None
    supervisor.stdout.readline()
    pid, start = child.process.pid, process_start(child.process.pid)
    stands(settings, supervisor.pid, process_start(supervisor.pid), {"worker": [pid, start]})
    assert take_down(settings.state_dir)
    assert supervisor.wait(10) == -15
    assert child.process.wait(10) == -9
    supervisor.stdout.close()
    assert not lives(pid, start or "")
    assert not up_file(settings.state_dir).exists()


def test_an_application_that_is_not_installed_stops_the_start(settings: Settings) -> None:
    app = settings.app.model_copy(update={"modules": Modules(app=("atlsa",))})
    with pytest.raises(ConfigError, match=r"modules\.app: no application 'atlsa'; installed: .*atlas"):
        prepare(settings.model_copy(update={"app": app}), lambda _words: None)
    assert not settings.sqlite_file.exists()


def test_where_prefect_is_to_be_found_is_told_once_the_tables_are_there(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_tables(_settings: Settings, _say: Callable[[str], None]) -> None:
        raise Transient("no database")

    said: list[str] = []
    monkeypatch.setattr(signal, "signal", lambda _number, _how: None)
    supervisor = Supervisor(settings, 4711, said.append)
    monkeypatch.setattr(supervisor, "_bring_up", lambda: None)
    monkeypatch.setattr(supervisor, "_keep", lambda: None)
    with monkeypatch.context() as away:
        away.setattr(supervise, "prepare", no_tables)
        with pytest.raises(Transient):
            supervisor.run()
    assert said == []
    supervisor.run()
    assert [words.split(" ")[0] for words in said] == ["tower", "Prefect", "page:", "going"]
    assert said[1] == f"Prefect UI: {supervisor.url}   (password: {password_file(settings)})"


def test_a_restored_database_is_told(settings: Settings) -> None:
    said: list[str] = []
    prepare(settings, said.append)
    prepare(settings, said.append)
    assert [words.split(",")[1] for words in said] == [" start 1", " start 2"]
    db = Database(settings)
    tower = db.read(bootstrap.tower_id)
    bootstrap.remember_generation(settings.state_dir, tower, 9)
    db.close()
    said.clear()
    prepare(settings, said.append)
    assert said[0] == "the database is older than this directory (generation 3 after 9): was it restored?"
    assert said[1] == "0 jobs that wait are sent in 45 min, when the CEs' lists have been read"


def test_the_applications_hear_of_a_restored_database(settings: Settings) -> None:
    app = settings.app.model_copy(update={"modules": Modules(app=("atlas",))})
    settings = settings.model_copy(update={"app": app})
    said: list[str] = []
    prepare(settings, said.append)
    db = Database(settings)
    times = dict.fromkeys(("state_since", "created", "modified", "heartbeat_due_at"), db.clock())
    job = {
        "server": "s",
        "panda_id": 1,
        "attempt_nr": 1,
        "queue": "Q",
        "label": "managed",
        "state": "sent",
        "job": "{}",
    }
    db.write(books.insert_jobs, [job | times])
    bootstrap.remember_generation(settings.state_dir, db.read(bootstrap.tower_id), 9)
    said.clear()
    prepare(settings, said.append)
    assert said[2] == "1 jobs may have been sent since: they are asked about first (docs/safety.md)"
    assert db.read(in_doubt) == {"Q": 1}
    db.close()


def test_nobody_is_healthy_where_nobody_listens() -> None:
    assert not healthy(f"http://127.0.0.1:{free_port()}")


@pytest.mark.parametrize("answer", [b"", b"220 mail.example.org ESMTP\r\n"])
def test_what_speaks_something_else_is_not_healthy_and_ends_no_tower(settings: Settings, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answered() -> None:
            for _ in range(2):
                client, _ = listening.accept()
                with client:
                    client.recv(4096)
                    client.sendall(answer)

        other = threading.Thread(target=answered)
        other.start()
        port = listening.getsockname()[1]
        assert not healthy(f"http://127.0.0.1:{port}")
        assert Supervisor(settings, port, lambda _words: None)._pool_is_there()
        other.join()


def test_a_full_disk_ends_no_tower_that_is_up(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(settings, 4711, lambda _words: None)
    in_the_way = up_file(settings.state_dir).with_suffix(".new")
    in_the_way.mkdir(parents=True)  # as good as a full disk for who is root
    with pytest.raises(ConfigError, match="cannot be written"):
        supervisor._write("starting")
    supervisor._write("up")
    assert "tried again" in caplog.text
    in_the_way.rmdir()
    supervisor._write("up")
    assert standing(settings.state_dir) is not None


def test_what_cannot_be_mended_now_ends_no_tower(
    settings: Settings, child: Child, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_words: str) -> None:
        raise ActError("no deployments")

    supervisor = Supervisor(settings, free_port(), lambda _words: None)
    monkeypatch.setattr(supervisor, "_pool_is_there", lambda: False)
    monkeypatch.setattr(supervisor, "_furnish", refused)
    supervisor._mend()
    assert "no deployments" in caplog.text
    monkeypatch.setattr(supervise, "SERVER_UP_S", 0.0)
    supervisor.server = child
    child.log.touch()
    child.start()
    assert supervisor._back_again() == 0.0
    assert "does not come up" in caplog.text
    assert child.died()


def test_the_password_is_made_once_and_is_nobodys_business(settings: Settings) -> None:
    made = password(settings)
    assert made == password(settings)
    assert made.startswith("act:")
    assert len(made) > 20
    assert stat.S_IMODE(password_file(settings).stat().st_mode) == 0o600
    assert stat.S_IMODE(password_file(settings).parent.stat().st_mode) == 0o700


def test_server_and_clients_share_the_password_and_the_address(settings: Settings) -> None:
    client, server = client_environment(settings, 4711), server_environment(settings, 4711)
    assert client["PREFECT_API_AUTH_STRING"] == server["PREFECT_SERVER_API_AUTH_STRING"]
    assert client["PREFECT_API_URL"] == server["PREFECT_UI_API_URL"] == "http://127.0.0.1:4711/api"
    assert str(settings.state_dir) in server["PREFECT_SERVER_DATABASE_CONNECTION_URL"]
    assert {"127.0.0.1", "4711"} <= set(Supervisor(settings, 4711, lambda _words: None).server.command)


def test_children_read_the_files_that_the_command_line_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACTCONFIGARC", "ACTCONFIGAPP", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ACT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(f"db: {{file: {tmp_path}/mine.sqlite}}\n")
    settings = load_settings(Path("mine.yaml")).settings
    environment = Supervisor(settings, 4711, lambda _words: None).workers[0].environment
    assert environment["ACTCONFIGARC"] == str(tmp_path / "mine.yaml")
    assert "ACTCONFIGAPP" not in environment
    monkeypatch.setenv("ACTCONFIGARC", environment["ACTCONFIGARC"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    try:
        assert keeper.settings().sqlite_file == tmp_path / "mine.sqlite"
    finally:
        logs.close()


def test_each_worker_has_a_name_and_a_log_and_all_of_them_end(settings: Settings, child: Child) -> None:
    prefect = settings.arc.prefect.model_copy(update={"workers": 4, "elsewhere": 1})
    several = settings.model_copy(update={"arc": settings.arc.model_copy(update={"prefect": prefect})})
    workers = Supervisor(several, 4711, lambda _words: None).workers
    assert [one.name for one in workers] == ["worker", "worker-2", "worker-3"]
    assert [one.log.name for one in workers] == ["worker.log", "worker-2.log", "worker-3.log"]
    assert [one.environment[NAMED_BY] for one in workers] == [one.name for one in workers]
    assert [worker_number(one.name) for one in workers] == [1, 2, 3]
    another = Child("worker-2", child.command, {}, child.log)
    for one in (child, another):
        one.start()
    stop_all([child, another, workers[2]])
    assert child.died()
    assert another.died()

"""TLS to the database, with a real server: who is verified how, and what is said of one that is not."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import text

from act_core.db.session import Database
from act_core.errors import ConfigError
from act_core.settings.model import ArcSettings, Db, Settings
from act_core.simulators.pki import TestPki
from tests.fixtures.skipped import missing

UP_S = 60.0
Open = Callable[..., Database]


def program(*names: str) -> str:
    found = next(filter(None, map(shutil.which, names)), None) or next(
        filter(None, map(shutil.which, _sbin(names))), None
    )
    return found or missing("mysql", f"no {names[0]} on this machine")


def _sbin(names: tuple[str, ...]) -> list[str]:
    return [f"/usr/sbin/{name}" for name in names]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a server that was never started."""
    made = tmp_path_factory.mktemp("mariadb") / "data"
    install = program("mariadb-install-db", "mysql_install_db")
    options = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", "--user=root"]
    words = [
        install,
        "--no-defaults",
        f"--datadir={made}",
        f"--tmpdir={made.parent}",  # a server that begins removes what other servers have in theirs
        *options,
        "--innodb-log-file-size=4M",
        "--innodb-flush-method=nosync",
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@contextmanager
def serving(data: Path, *words: str) -> Iterator[int]:
    """A server on a port of its own, over a copy of these data; it is ended by its number."""
    copy = Path(shutil.copytree(data, data.parent / f"copy{len(words)}", dirs_exist_ok=True))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = (copy.parent / f"{copy.name}.log").open("wb")
    command = [program("mariadbd", "mysqld"), "--no-defaults", f"--datadir={copy}", f"--port={port}", "--user=root"]
    command += ["--bind-address=127.0.0.1", f"--socket={copy}/s", "--skip-name-resolve", f"--pid-file={copy}/pid"]
    command += [f"--tmpdir={copy}", "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", *words]
    with log, subprocess.Popen(command, stdout=log, stderr=log) as server:
        try:
            _await(port, server)
            yield port
        finally:
            server.kill()


def _await(port: int, server: "subprocess.Popen[bytes]") -> None:
    end, pause = time.monotonic() + UP_S, threading.Event()
    while True:
        assert server.poll() is None, "mariadbd has ended"
        assert time.monotonic() < end, "mariadbd never answered"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        pause.wait(0.02)


@pytest.fixture(scope="module")
def port(data: Path, pki: TestPki) -> Iterator[int]:
    """Of a server with a certificate for 127.0.0.1 and localhost."""
    files = (f"--ssl-ca={pki.ca_file}", f"--ssl-cert={pki.host.certificate}", f"--ssl-key={pki.host.key}")
    with serving(data, *files) as found:
        yield found


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    made: list[Database] = []

    def build(port: int, ca: Path | None, host: str = "127.0.0.1", **more: Path) -> Database:
        db = Db.model_validate(
            {"type": "mysql", "user": "root", "name": "mysql", "host": host, "port": port, "tls_ca": ca} | more
        )
        made.append(Database(Settings(state_dir=tmp_path, arc=ArcSettings(db=db))))
        return made[-1]

    yield build
    for one in made:
        one.close()


def cipher(db: Database) -> str:
    question = text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
    return str(db.read(lambda session: session.execute(question).one()[1]))


def test_the_session_is_encrypted(opened: Open, port: int, pki: TestPki) -> None:
    assert "AES" in cipher(opened(port, pki.ca_file)) or "CHACHA" in cipher(opened(port, pki.ca_file))
    assert cipher(opened(port, pki.ca_dir, "localhost"))


def test_another_authority_is_refused(opened: Open, port: int, tmp_path: Path) -> None:
    other = TestPki(tmp_path / "other")
    with pytest.raises(ConfigError, match=r"is not signed by the CA in db\.tls_ca"):
        cipher(opened(port, other.ca_file))


def test_another_host_is_refused(opened: Open, data: Path, pki: TestPki, tmp_path: Path) -> None:
    elsewhere = x509.SubjectAlternativeName([x509.DNSName("db.example.org")])
    other = pki._issued("db", "/DC=org/DC=act-test/CN=db.example.org", timedelta(days=2), [(elsewhere, False)])
    files = (f"--ssl-ca={pki.ca_file}", f"--ssl-cert={other.certificate}", f"--ssl-key={other.key}", "--skip-log-bin")
    refused = pytest.raises(ConfigError, match=r"certificate is for another host: set db\.host")
    with serving(data, *files) as port, refused:
        cipher(opened(port, pki.ca_file))


def test_a_client_shows_its_certificate_where_it_is_wanted(opened: Open, port: int, pki: TestPki) -> None:
    def alone(session: object) -> None:
        for words in ("CREATE OR REPLACE USER x509@'127.0.0.1' REQUIRE X509", "GRANT ALL ON *.* TO x509@'127.0.0.1'"):
            session.execute(text(words))  # type: ignore[attr-defined]

    opened(port, pki.ca_file).write(alone)
    user = pki.user("tower")
    shown = {"user": "x509", "tls_cert": user.certificate, "tls_key": user.key}
    assert cipher(opened(port, pki.ca_file, **shown))
    with pytest.raises(ConfigError, match="check the db section"):
        cipher(opened(port, pki.ca_file, **{"user": "x509"}))


def test_a_server_without_tls_is_refused(opened: Open, data: Path, pki: TestPki) -> None:
    with serving(data, "--skip-ssl") as plain:
        with pytest.raises(ConfigError, match=r"the server speaks no TLS, and db\.tls_ca wants it"):
            cipher(opened(plain, pki.ca_file))
        assert cipher(opened(plain, None)) == ""


def test_files_that_are_not_there(opened: Open, tmp_path: Path, pki: TestPki) -> None:
    with pytest.raises(ConfigError, match=r"db\.tls_ca: no certificate can be read from .*none\.pem: No such file"):
        opened(1, tmp_path / "none.pem")
    with pytest.raises(ConfigError, match=r"db\.tls_cert: .*none\.pem.* cannot be used"):
        opened(1, pki.ca_file, tls_cert=tmp_path / "none.pem")

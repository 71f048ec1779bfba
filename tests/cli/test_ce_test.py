"""`act ces test` on a good CE and on broken ones: the whole output of each."""

import asyncio
import contextlib
import re
import shutil
import signal
import socket
import sqlite3
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from cryptography import x509

from act_core.ids import TowerId
from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_process import real_payload
from act_core.simulators.pki import TestPki
from act_core.simulators.serve import Running, run_in_thread
from tests.cli.conftest import Act, Said, Signalled

GOLDEN = Path(__file__).parent / "golden" / "ces-test"
QUICK = {"run_s": (0.0, 0.0), "step_s": 0.0, "kill_s": 0.0, "info_period": 0.0}
FAST = ("--seconds", 0, "--watch", 0)
TOWER = TowerId("tower001")
HERE = x509.IPAddress(ip_address("127.0.0.1"))
BOB = "/DC=org/DC=act-test/CN=bob"
NORMAL = (
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    (r"port \d+ answers", "port PORT answers"),
    (r"\b[0-9a-f]{12}\b", "ID"),
    (r"\bdf[0-9a-f]+\b", "ID"),
    (r"\d{4}-\d\d-\d\d( \d\d:\d\dZ)?", "DATE"),
    (r"after \d+ s", "after N s"),
    (r"(known for nosuch.invalid): .*", r"\1: WHY"),
    (r"[^ ]*/(certificates|proxy\.pem)", r"DIR/\1"),
)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    made = TestPki(tmp_path_factory.mktemp("pki"))
    made.proxy("alice", path=made.root / "proxy.pem")
    return made


@pytest.fixture(scope="module")
def server_pki(pki: TestPki, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., TestPki]:
    """The same CA with another host certificate."""

    def make(name: x509.GeneralName, lifetime: timedelta = timedelta(days=200)) -> TestPki:
        root = tmp_path_factory.mktemp("server")
        shutil.copytree(pki.ca_dir, root / "certificates", symlinks=True)
        shutil.copy(pki.root / "ca.key", root)
        made = TestPki(root)
        names = x509.SubjectAlternativeName([name])
        made._issued("host", f"/DC=org/DC=act-test/CN={name.value}", lifetime, [(names, False)])
        return made

    return make


@contextlib.contextmanager
def serving(pki: TestPki, pace: dict[str, Any] | None = None, **more: Any) -> Iterator[Running]:
    options = ArcOptions(pki.root, pace=Pace(**(QUICK | (pace or {}))), payload=real_payload, **more)
    with run_in_thread(lambda: serve_arc(options)) as running:
        yield running


Try = Callable[..., Said]


def configure(place: Path, pki: TestPki, endpoint: str, ca_dir: Path | None = None, **site: Any) -> None:
    """One CE: `ce`. `ca_dir`: of whom is trusted, if not of the test CA."""
    voms = {"proxypath": str(pki.root / "proxy.pem"), "cacertdir": str(ca_dir or pki.ca_dir)}
    sites = {"ce": {"endpoint": endpoint, **site}}
    (place / "aCTConfigARC.yaml").write_text(yaml.safe_dump({"sites": sites, "voms": voms}))


@pytest.fixture
def try_ce(act: Act, place: Path, pki: TestPki) -> Try:
    """`act ces test ce …` of a CE with this endpoint."""

    def run(endpoint: str, *words: object, **site: Any) -> Said:
        configure(place, pki, endpoint, **site)
        return act("ces", "test", "ce", *FAST, *words)

    return run


def told(said: Said) -> str:
    text = f"{said.out}exit {said.code}\n"
    for pattern, instead in NORMAL:
        text = re.sub(pattern, instead, text)
    return text


def golden(said: Said, name: str) -> None:
    assert said.err == ""
    assert told(said) == (GOLDEN / f"{name}.txt").read_text()


def left(running: Running) -> list[str]:
    """What is still on the CE."""

    async def ask() -> list[str]:
        async with aiohttp.ClientSession() as session, session.get(f"{running.control}/jobs") as answer:
            return [job["id"] for job in (await answer.json())["jobs"] if not job["removed"]]

    return asyncio.run(ask())


def order(running: Running, path: str, body: Any) -> None:
    async def post() -> None:
        async with aiohttp.ClientSession() as session, session.post(f"{running.control}{path}", json=body) as answer:
            assert answer.status < 300

    asyncio.run(post())


def rows(place: Path) -> list[tuple[str, int]]:
    """How many rows each table of the tower has."""
    with contextlib.closing(sqlite3.connect(place / "state" / "act.sqlite")) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [(name, db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]) for name in sorted(names)]


def test_a_good_ce(try_ce: Try, pki: TestPki, place: Path) -> None:
    with serving(pki) as running:
        before = rows(place)
        golden(try_ce(f"{running.url}/arex", options={"queue": "fork"}), "good")
        assert left(running) == []
        assert rows(place) == before


def test_nobody_listens(try_ce: Try) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    golden(try_ce(f"https://127.0.0.1:{port}/arex"), "nobody-listens")


def test_an_unknown_host(try_ce: Try) -> None:
    golden(try_ce("https://nosuch.invalid/arex"), "unknown-host")


def test_another_ca_of_the_name_of_ours(try_ce: Try, tmp_path: Path) -> None:
    with serving(TestPki(tmp_path / "other")) as running:
        golden(try_ce(f"{running.url}/arex"), "same-name-ca")


def test_a_ca_that_is_not_ours(try_ce: Try, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("act_core.simulators.pki.ORGANISATION", "/O=Elsewhere")
        other = TestPki(tmp_path / "other")
        assert other.host.certificate.exists()
    with serving(other) as running:
        golden(try_ce(f"{running.url}/arex"), "wrong-ca")


def test_no_ca_at_all(try_ce: Try, pki: TestPki, tmp_path: Path) -> None:
    (tmp_path / "certificates").mkdir()
    with serving(pki) as running:
        golden(try_ce(f"{running.url}/arex", ca_dir=tmp_path / "certificates"), "no-ca")


@pytest.mark.parametrize(("days", "name"), [(1, "revoked"), (-1, "old-revocations")])
def test_revocations(try_ce: Try, server_pki: Callable[..., TestPki], days: int, name: str) -> None:
    made = server_pki(HERE)
    made.revoke(made.host.certificate, lifetime=timedelta(days=days))
    with serving(made) as running:
        golden(try_ce(f"{running.url}/arex", ca_dir=made.ca_dir), name)


def test_a_certificate_for_another_host(try_ce: Try, server_pki: Callable[..., TestPki]) -> None:
    with serving(server_pki(x509.DNSName("ce7.example.org"))) as running:
        golden(try_ce(f"{running.url}/arex"), "wrong-host-name")


def test_a_certificate_that_has_expired(try_ce: Try, server_pki: Callable[..., TestPki]) -> None:
    with serving(server_pki(HERE, timedelta(days=-1))) as running:
        golden(try_ce(f"{running.url}/arex"), "expired")


def test_an_identity_that_is_not_mapped(try_ce: Try, pki: TestPki) -> None:
    with serving(pki, mapped=frozenset({BOB})) as running:
        golden(try_ce(f"{running.url}/arex"), "not-mapped")


def test_a_queue_that_is_not_there(try_ce: Try, pki: TestPki) -> None:
    with serving(pki) as running:
        golden(try_ce(f"{running.url}/arex", "--rte", "ENV/PROXY", options={"queue": "grid"}), "wrong-queue")
        assert left(running) == []


def test_a_delegation_that_is_refused(try_ce: Try, pki: TestPki) -> None:
    with serving(pki) as running:
        order(running, "/faults", {"kind": "error", "path": "/delegations", "status": 500, "reason": "No space left"})
        golden(try_ce(f"{running.url}/arex"), "delegation-refused")


def test_a_job_that_fails(try_ce: Try, pki: TestPki) -> None:
    with serving(pki, {"fail_run": 1.0}) as running:
        golden(try_ce(f"{running.url}/arex"), "job-fails")
        assert left(running) == []


def test_a_job_that_never_runs(try_ce: Try, pki: TestPki) -> None:
    with serving(pki, {"slots": 0}) as running:
        golden(try_ce(f"{running.url}/arex", "--deadline", 0), "job-hangs")
        assert left(running) == []


def test_without_jobs(try_ce: Try, pki: TestPki) -> None:
    with serving(pki) as running:
        said = try_ce(f"{running.url}/arex", "--quick", "--json")
        assert (said.code, said.json["good"]) == (0, True)
        assert [step["step"] for step in said.json["steps"]][-1] == "delegation"


@pytest.mark.usefixtures("act")
@pytest.mark.parametrize(("number", "exits"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_whatever_ends_it_leaves_nothing(
    place: Path, pki: TestPki, signalled: Signalled, number: signal.Signals, exits: int
) -> None:
    with serving(pki, {"slots": 0}) as running:
        configure(place, pki, f"{running.url}/arex")
        code, last = signalled(number, "ok    kill", "ces", "test", "ce", *FAST)
        assert code == exits
        assert [line.split() for line in last] == [["ok", "clean", *["nothing", "of", "ours", "is", "left", "there"]]]
        assert left(running) == []


def test_every_golden_text_has_its_test() -> None:
    text = Path(__file__).read_text()
    assert [path.stem for path in GOLDEN.glob("*.txt") if f'"{path.stem}"' not in text] == []
    assert len(list(GOLDEN.glob("*.txt"))) >= 9

"""`act doctor` names the culprit: each trouble with the real thing, and what hides nothing else."""

import contextlib
import json
import os
import socket
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from act_core.cli import doctor_host
from act_core.processes import process_start, up_file
from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.pki import TestPki
from act_core.simulators.serve import Running, run_in_thread
from tests.cli.conftest import Act, Said

ALICE, BOB = "/DC=org/DC=act-test/CN=alice", "/DC=org/DC=act-test/CN=bob"
Doctor = Callable[..., Said]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    made = TestPki(tmp_path_factory.mktemp("pki"))
    made.proxy("alice", path=made.root / "proxy.pem", lifetime=timedelta(hours=96))
    return made


@contextlib.contextmanager
def serving(pki: TestPki, **more: Any) -> Iterator[Running]:
    with run_in_thread(lambda: serve_arc(ArcOptions(pki.root, **more))) as running:
        yield running


@pytest.fixture(scope="module")
def arc(pki: TestPki) -> Iterator[Running]:
    """A CE that is well and takes alice alone."""
    with serving(pki, mapped=frozenset({ALICE})) as running:
        yield running


@pytest.fixture
def doctor(act: Act, place: Path, pki: TestPki) -> Doctor:
    """`act doctor --json` of a tower with these CEs; other sections of the configuration by name."""

    def run(sites: dict[str, str], *words: str, **sections: dict[str, Any]) -> Said:
        voms = {"proxypath": str(pki.root / "proxy.pem"), "cacertdir": str(pki.ca_dir)}
        ces = {name: {"endpoint": f"{url}/arex"} for name, url in sites.items()} | {"here": {"kind": "local"}}
        disk = {"fetchjobs": 0, "downloads": 0}
        wanted = {"sites": ces, "disk": disk} | sections | {"voms": voms | sections.get("voms", {})}
        (place / "aCTConfigARC.yaml").write_text(yaml.safe_dump(wanted))
        return act("doctor", "--json", *words)

    return run


def verdicts(said: Said) -> dict[str, str]:
    return {one["name"].partition(" /")[0]: one["verdict"] for one in said.json["checks"]}


def of(said: Said, name: str) -> dict[str, str]:
    return next(one for one in said.json["checks"] if one["name"].startswith(name))


def only_bad(said: Said, *names: str) -> None:
    """These are bad and everything else was looked at all the same."""
    assert said.code == 1
    assert {name for name, verdict in verdicts(said).items() if verdict == "bad"} == set(names)


def test_all_is_well(doctor: Doctor, arc: Running, act: Act) -> None:
    said = doctor({"ce": arc.url})
    assert said.code == 0
    assert said.json["good"]
    assert "warn" not in verdicts(said).values()
    assert ALICE in of(said, "CE ce")["found"]
    assert of(said, "clock")["verdict"] == "ok"
    told = act("doctor")
    assert told.code == 0
    assert "all is well" in told.out


def test_the_database_is_down(doctor: Doctor, arc: Running, place: Path) -> None:
    with socket.socket() as nobody:  # bound, and never listening: the port stays ours
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        said = doctor({"ce": arc.url}, db={"type": "mysql", "port": port})
    only_bad(said, "database")
    assert f"127.0.0.1:{port}" in of(said, "database")["found"]
    assert "systemctl status mariadb" in of(said, "database")["do"]
    assert of(said, "CE ce")["verdict"] == of(said, "clock")["verdict"] == of(said, "disk")["verdict"] == "ok"


def stands(state_dir: Path, url: str) -> None:
    """As if this process were the tower: it is up, and its server is at this address."""
    me = os.getpid()
    said = {"pid": me, "start": process_start(me), "phase": "up", "prefect": url}
    said["children"] = {"worker": [me, process_start(me)]}
    up_file(state_dir).write_text(json.dumps(said))
    os.utime(up_file(state_dir), (1, 1))
    (state_dir / "worker.tick").touch()


def test_prefect_is_down_and_nothing_goes_round(doctor: Doctor, arc: Running, place: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        stands(place / "state", url)
        said = doctor({"ce": arc.url})
    only_bad(said, "Prefect", "stages")
    assert f"does not answer at {url}" in of(said, "Prefect")["found"]
    assert "prefect-server.log" in of(said, "Prefect")["do"]
    assert "submit for 1 h or more" in of(said, "stages")["found"]


def test_a_certificate_of_another_authority(doctor: Doctor, arc: Running, tmp_path: Path) -> None:
    other = TestPki(tmp_path / "other")
    with serving(other) as theirs:
        said = doctor({"ce": arc.url, "theirs": theirs.url})
    only_bad(said, "CE theirs")
    assert "its certificate is not accepted" in of(said, "CE theirs")["found"]
    assert of(said, "CE theirs")["do"]


def test_an_expired_proxy(doctor: Doctor, arc: Running, pki: TestPki, tmp_path: Path) -> None:
    old = pki.proxy("alice", timedelta(hours=-2), path=tmp_path / "old.pem")
    said = doctor({"ce": arc.url, "other": arc.url}, voms={"proxypath": str(old)})
    only_bad(said, "credential", "CEs ce, other")
    assert ALICE in of(said, "credential")["found"]
    assert "it ended 2 h ago" in of(said, "credential")["found"]
    assert "expired" in of(said, "CEs")["found"]


def test_a_ce_that_refuses_the_identity(doctor: Doctor, arc: Running, pki: TestPki) -> None:
    with serving(pki, mapped=frozenset({BOB})) as strict:
        said = doctor({"ce": arc.url, "strict": strict.url})
    only_bad(said, "CE strict")
    assert of(said, "CE strict")["found"].startswith("mapping: ")
    assert f"Ask the site to map {ALICE}" in of(said, "CE strict")["do"]


def test_a_full_disk(doctor: Doctor, arc: Running, place: Path) -> None:
    """A real disk, with more wanted to be free than there is: none can be filled here."""
    said = doctor({"ce": arc.url}, disk={"fetchjobs": "1000000 TB", "downloads": 0})
    only_bad(said, "disk")
    assert "no jobs are taken from PanDA" in of(said, "disk")["found"]
    assert "du -xhd2" in of(said, "disk")["do"]


def ahead(ce: Running, seconds: float) -> None:
    rule = json.dumps({"kind": "clock", "seconds": seconds}).encode()
    order = urllib.request.Request(f"{ce.control}/faults", rule, {"Content-Type": "application/json"})
    urllib.request.urlopen(order, timeout=10).close()


@pytest.mark.parametrize("both", [False, True], ids=["of one CE", "of this machine"])
def test_a_clock_that_is_off_by_an_hour(doctor: Doctor, pki: TestPki, *, both: bool) -> None:
    with serving(pki) as one, serving(pki) as two:
        ahead(one, 3600)
        if both:
            ahead(two, 3600)
        said = doctor({"one": one.url, "two": two.url})
    only_bad(said, "clock")
    words = "this machine is 1 h behind" if both else "CE one is 1 h ahead"
    assert f"the clock of {words}" in of(said, "clock")["found"]
    assert "timedatectl" in of(said, "clock")["do"]


def test_a_bad_file_is_told_with_every_problem(act: Act, place: Path) -> None:
    (place / "aCTConfigARC.yaml").write_text("jobs: {queueofset: 1}\nbreaker: {failures: x}\n")
    said = act("doctor", "--json")
    only_bad(said, "configuration")
    assert "queueofset" in of(said, "configuration")["found"]
    assert "breaker.failures" in of(said, "configuration")["found"]


def test_an_application_that_is_not_installed(doctor: Doctor, place: Path) -> None:
    (place / "aCTConfigAPP.yaml").write_text("modules: {app: [atlsa]}")
    said = doctor({}, "--no-ces")
    only_bad(said, "applications")
    assert "no application 'atlsa'" in of(said, "applications")["found"]


def test_a_check_that_breaks_hides_no_other(doctor: Doctor, arc: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_held: object) -> list[Any]:  # a bug of ours cannot be had otherwise
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(doctor_host, "disks", broken)
    said = doctor({"ce": arc.url})
    only_bad(said, "disk")
    assert "ZeroDivisionError: oops" in of(said, "disk")["found"]


def test_a_state_directory_that_others_may_write_in(doctor: Doctor, place: Path) -> None:
    (place / "state").chmod(0o777)
    said = doctor({}, "--no-ces")
    only_bad(said, "state directory")
    assert of(said, "CEs")["verdict"] == "skipped"


def test_a_panda_that_is_away_and_a_key_that_is_lost(doctor: Doctor, arc: Running, place: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        server = f"https://127.0.0.1:{nobody.getsockname()[1]}"
        atlas = {"modules": {"app": ["manual", "atlas"]}, "panda": {"server": server}}
        (place / "aCTConfigAPP.yaml").write_text(yaml.safe_dump(atlas))
        said = doctor({"ce": arc.url})
    only_bad(said, f"PanDA {server.removeprefix('https://')}", "secrets key")
    assert "does not answer as PanDA does" in of(said, "PanDA")["found"]
    assert "panda.server" in of(said, "PanDA")["do"]
    assert "secrets.key" in of(said, "secrets key")["found"]

"""`act credentials`: what an operator sees of proxies and tokens, and what a program does."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from act_core.cli.credential_list import listed
from act_core.db.credentials import PROXY, Found, remember
from act_core.db.models import CeJob
from act_core.db.policy_models import CredentialRow
from act_core.db.session import Database
from act_core.settings.model import ArcSettings, Settings
from act_core.settings.policy import Token, Voms
from act_core.simulators.pki import TestPki
from tests.cli.conftest import Act

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STAND_IN = (
    '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = -P ] && out=$2; shift; done\ncp "$(dirname "$0")/made.pem" "$out"\n'
)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def grid(place: Path, pki: TestPki) -> Path:
    """A tower that makes one proxy with a stand-in of arcproxy; returns where that finds what it brings."""
    here = place / "bin"
    here.mkdir()
    (here / "arcproxy").write_text(STAND_IN)
    (here / "arcproxy").chmod(0o755)
    source = pki.proxy("robot", 900 * HOUR, path=place / "robot.pem")
    words = f"voms: {{vo: atlas, roles: [pilot], proxypath: {source}, bindir: {here}, cacertdir: {pki.ca_dir}}}\n"
    with (place / "aCTConfigARC.yaml").open("a") as file:
        file.write(words)
    return here / "made.pem"


def _row(path: str, hours: float, **known: object) -> CredentialRow:
    usual: dict[str, object] = {"kind": "x509-proxy", "subject": "/CN=robot", "roles": "", "renewer": ""}
    return CredentialRow(path=path, expires=NOW + hours * HOUR, **(usual | known))


def test_what_is_told_of_each() -> None:
    voms = Voms(vo="atlas", proxypath="/robot.pem", proxystoredir="/store")
    settings = Settings(state_dir=Path("/s"), arc=ArcSettings(voms=voms, tokens={"t": Token(file="/t.token")}))
    rows = [
        _row("/robot.pem", 8000),
        _row("/store/atlas.pem", 93.9, roles="/atlas", renewer="auto", trouble="not renewed: no role"),
        _row("/t.token", -1, kind="token", subject="i/s"),
        _row("/robot.pem#9", -50, subject="/CN=former"),
    ]
    found = [
        (one["name"], one["left"], one["renewer"], one["roles"], one["bad"]) for one in listed(settings, rows, NOW)
    ]
    assert found == [
        ("t", "ended", None, [], True),
        ("atlas", "3 d 21 h", "auto", ["/atlas"], False),
        ("robot", "333 d 8 h", None, [], False),
    ]


@pytest.mark.parametrize(
    ("hours", "left"), [(5.5, "5 h 30 min"), (0.2, "12 min"), (0, "ended"), (8760 * 7973, "for ever")], ids=str
)
def test_what_is_left(hours: float, left: str) -> None:
    settings = Settings(state_dir=Path("/s"), arc=ArcSettings(voms=Voms(proxypath="/p")))
    row = _row("/p", 1)
    row.expires = datetime(9999, 1, 1, tzinfo=UTC) if left == "for ever" else NOW + hours * HOUR
    assert listed(settings, [row], NOW)[0]["left"] == left


def test_a_tower_without_any(act: Act) -> None:
    said = act("credentials")
    assert (said.code, said.out) == (
        0,
        "no credentials: name a proxy by voms.proxypath, or tokens (docs/credentials.md)\n",
    )
    assert act("credentials", "--json").json == []
    assert act("credentials", "renew").out.startswith("the tower makes no credentials")
    forecast = act("credentials", "forecast")
    assert (forecast.code, forecast.out) == (0, "no job outlives what it was given\n")
    assert act("credentials", "forecast", "--json").json == []


def test_from_nothing_to_a_fresh_proxy(act: Act, grid: Path, pki: TestPki) -> None:
    first = act("credentials", "--json")
    assert {one["name"]: one["kind"] for one in first.json} == {"atlas-pilot": None, "robot": None}
    failed = act("credentials", "renew")
    assert failed.code == 1
    assert failed.out.startswith("atlas-pilot: /atlas/Role=pilot: arcproxy made no good proxy in 3 tries: exit code 1")
    assert failed.err.endswith("not all were renewed\n")
    pki.proxy("robot", 96 * HOUR, path=grid, roles=["/atlas/Role=pilot", "/atlas"])
    renewed = act("credentials", "renew", "atlas-pilot", "--json")
    assert (renewed.code, renewed.json) == (0, {"atlas-pilot": None})
    assert act("audit", "--json").json[0]["facts"] == {"atlas-pilot": "renewed"}
    act("sweep", "renew-credentials")
    said = act("credentials")
    assert said.code == 0
    header, line, _robot = said.lines
    assert header == "credential kind subject roles expires left renewed by trouble"
    assert line.startswith("atlas-pilot x509-proxy /DC=org/DC=act-test/CN=robot /atlas/Role=pilot /atlas 20")
    assert line.endswith("3 d 23 h auto")
    status = act("status", "--json").json
    assert {Path(one["path"]).name: one["bad"] for one in status["proxies"]} == {
        "atlas-pilot.pem": False,
        "robot.pem": False,
    }
    assert status["ending"] == []


def test_a_bad_one_ends_with_1(act: Act, grid: Path, pki: TestPki, place: Path) -> None:
    pki.proxy("robot", -HOUR, path=place / "robot.pem")
    act("sweep", "renew-credentials")
    said = act("credentials", "--json")
    assert said.code == 1
    assert {one["name"]: one["bad"] for one in said.json} == {"atlas-pilot": True, "robot": True}
    assert "robot.pem expired at" in json.dumps(said.json)


def test_an_unknown_name(act: Act, grid: Path) -> None:
    said = act("credentials", "renew", "nosuch")
    assert (said.code, said.out) == (2, "")
    assert said.err == "no credential 'nosuch' that the tower makes; there are: atlas-pilot\n"


def test_the_forecast_names_jobs_and_what_ends(act: Act, place: Path) -> None:
    with (place / "aCTConfigARC.yaml").open("a") as file:
        file.write("voms: {proxypath: /grid/proxy}\n")
    (place / "job.yaml").write_text("executable: /bin/true\n")
    act("jobs", "add", "job.yaml", "job.yaml")
    db = Database(Settings(state_dir=place / "state"))
    until = db.clock().replace(microsecond=0) + HOUR
    robot = Found(PROXY, "/grid/proxy", "/CN=robot", until, renewer="")
    known = {"ce": "here", "state": "running", "walltime_s": 36000, "proxy_until": until}
    known["credential_id"] = db.write(remember, robot, until)
    db.write(lambda session: session.execute(update(CeJob).values(known)))
    db.close()
    told = f"{until:%Y-%m-%dT%H:%M:%SZ}"
    said = act("credentials", "forecast")
    assert said.code == 1
    assert said.lines == [
        "CE what ends until jobs first job of renewed by trouble",
        f"here delegation {told} 2 1 /CN=robot somebody else",
        f"here worker-node proxy {told} 2 1 /CN=robot somebody else",
    ]
    first = act("credentials", "forecast", "--json").json[0]
    assert (first["ends"], first["until"], first["jobs"], first["path"]) == ("delegation", told, 2, "/grid/proxy")
    act("sweep", "renew-credentials")
    (ending,) = act("status", "--json").json["ending"]
    assert ending.startswith("2 jobs at here may outlive the delegation that /CN=robot gave them")
    assert "act credentials forecast" in act("status").out

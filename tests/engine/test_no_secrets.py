"""No key, token or secret is in any column of the database after a job's life, nor in the log."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, inspect
from sqlalchemy.orm import Session

from act_core.credentials.tokens import read_token
from act_core.db.arrivals import NewJob, add_jobs
from act_core.engine.credentials import made
from act_core.jobspec import JobSpec
from act_core.runtime import Runtime
from act_core.settings.model import Jobs, Settings, Site
from act_core.settings.policy import Token, Voms
from act_core.simulators.pki import TestPki
from act_core.simulators.token_issuer import Issuer, serve_issuer
from act_core.stages import Tower, sweep
from tests.ce.arc_house import QUICK, Builder

SECRET = "the-secret-of-the-client"
STAGES = ("submit", "sweep-status", "fetch-validate", "renew-credentials", "clean")


@pytest.fixture
def pki(tmp_path: Path) -> TestPki:
    made = TestPki(tmp_path / "pki")
    made.proxy("alice", path=made.root / "proxy.pem")
    return made


@pytest.fixture
async def tower(db_settings: Settings, pki: TestPki, tmp_path: Path) -> AsyncIterator[Tower]:
    """A tower over a simulated ARC CE that is shown a proxy and a token, both of the tower's own making."""
    script = (
        '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" = -P ] && out=$2; shift; done\ncp "$(dirname "$0")/p.pem" "$out"\n'
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "arcproxy").write_text(script)
    (tmp_path / "bin" / "arcproxy").chmod(0o755)
    _fresh(pki, tmp_path)
    async with AsyncExitStack() as stack:
        house = await Builder(pki, tmp_path, stack)(pace=QUICK)
        issuer = await stack.enter_async_context(serve_issuer(Issuer({"act": SECRET}), pki.root))
        source = pki.proxy("alice", path=tmp_path / "robot.pem")
        voms = Voms(vo="atlas", proxypath=source, bindir=tmp_path / "bin", cacertdir=pki.ca_dir)
        token = Token(issuer=issuer.url, clientid="act", clientsecret=SECRET, cacert=pki.ca_dir)
        site = Site(endpoint=f"{house.simulator.url}/arex", credential="both", token="t")
        jobs = Jobs(checkinterval="0", checkmintime="0", queuetime="1 h")
        changed = {"voms": voms, "tokens": {"t": token}, "sites": {"ce": site}, "jobs": jobs}
        arc = db_settings.arc.model_copy(update=changed)
        async with Runtime.open(db_settings.model_copy(update={"arc": arc})) as rt:
            yield Tower(rt)


def _fresh(pki: TestPki, tmp_path: Path) -> None:
    pki.proxy("alice", path=tmp_path / "bin" / "p.pem", roles=["/atlas"])


async def test_after_a_life(
    tower: Tower,
    pki: TestPki,
    tmp_path: Path,
    eventually: Callable[..., Awaitable[Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    rt = tower.rt
    await sweep(tower, "renew-credentials", [])
    new = [NewJob("manual", "j1", JobSpec(executable="/bin/true"), frozenset({"ce"}), 3)]
    await rt.write(add_jobs, rt.tower, new, rt.now())
    shown: list[str] = []

    async def over() -> bool:
        for stage in STAGES:
            await sweep(tower, stage, [])
        shown.extend(_secrets(rt.settings))
        states = await rt.read(lambda session: [row["state"] for row in _rows(session, "ce_jobs")])
        return states == ["done"]

    await eventually(over, "the job's end")
    for one in made(rt.settings).values():
        one.place.unlink()
    _fresh(pki, tmp_path)
    await sweep(tower, "renew-credentials", [])
    texts = await rt.read(lambda session: list(_texts(session)))
    assert any("/DC=org/DC=act-test/CN=alice" in text for text in texts)  # what is written of them is found this way
    secrets = {SECRET, "PRIVATE KEY", *shown, *_secrets(rt.settings)}
    assert len(secrets) > 5
    for secret in secrets:
        assert not [text[:80] for text in (*texts, caplog.text) if secret in text]


def _secrets(settings: Settings) -> list[str]:
    """The token, and a line of each private key."""
    found = []
    for one in made(settings).values():
        text = one.place.read_text() if one.kind != "token" else read_token(one.place)
        key = text.partition("PRIVATE KEY-----\n")[2].splitlines()
        found += key[3:5] if key else [text]
    return found


def _rows(session: Session, table: str) -> list[dict[str, Any]]:
    metadata = MetaData()
    metadata.reflect(session.get_bind(), only=[table])
    return [dict(row) for row in session.execute(metadata.tables[table].select()).mappings()]


def _texts(session: Session) -> Iterator[str]:
    """Every value of every table, as text."""
    for table in inspect(session.get_bind()).get_table_names():
        for row in _rows(session, table):
            yield from (str(value) for value in row.values() if value is not None)

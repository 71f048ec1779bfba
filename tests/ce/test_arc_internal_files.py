"""Inputs, outputs and proxies of jobs in an A-REX on the same host."""

from pathlib import Path

import pytest

from act_core.ce.arc_records import id_of
from act_core.ce.base import (
    Credential,
    Fetched,
    FetchPlan,
    Refused,
    TowerId,
)
from act_core.db.attempts import new_key
from act_core.errors import CredentialError
from act_core.jobspec import COMMIT_FILE, InputFile
from act_core.simulators.pki import TestPki
from tests.ce.arc_host import COMMIT, JOB, NAME, SPEC, TOWER, Host


async def test_inputs_arrive_and_are_told(host: Host, tmp_path: Path) -> None:
    (tmp_path / "table").write_text("1 2\n")
    job = host.job(JOB, NAME, "PREPARING", {"input_status": "\n/there\n"})
    files = [
        InputFile(name="run.sh", content="#!/bin/sh\n", executable=True),
        InputFile(name="d/table", source=str(tmp_path / "table")),
    ]
    assert await host.ce().put_inputs({job: files}) == {job: None}
    session = host.root / "session" / job
    assert (session / "d/table").read_text() == "1 2\n"
    assert [(session / name).stat().st_mode & 0o777 for name in ("run.sh", "d/table")] == [0o700, 0o600]
    assert host.file(job, "input_status").read_text() == "\n/there\n/run.sh\n/d/table\n"
    assert host.told() == {job}


async def test_a_job_that_has_started_keeps_its_inputs(host: Host) -> None:
    job = host.job(JOB, NAME, "INLRMS", {"input_status": "\n"})
    assert await host.ce().put_inputs({job: [COMMIT]}) == {job: None}
    assert not (host.root / "session" / job / COMMIT_FILE).exists()


async def test_control_files_come_home_without_the_proxy(host: Host) -> None:
    job = host.job(JOB, NAME, "FINISHED", {"errors": "a log", "proxy": "secret", "diag": "exitcode=0"})
    (host.root / "session" / job / "out").write_text("out")
    home = host.root / "home"
    plan = FetchPlan(home, ("/", "diagnose=log/", "diagnose=x/proxy", "diagnose=y/../proxy"))
    assert await host.ce().fetch({job: plan}) == {
        job: Fetched(6, 3 + 5 + 10 + 8 + len(_local(host)) + len(_desc(host)))
    }
    assert {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()} == {
        "out", "log/errors", "log/diag", "log/status", "log/local", "log/description",
    }  # fmt: skip


def _local(host: Host) -> str:
    return host.file(JOB, "local").read_text()


def _desc(host: Host) -> str:
    return host.file(JOB, "description").read_text()


async def test_too_much_is_refused(host: Host) -> None:
    job = host.job(JOB, NAME, "FINISHED")
    with (host.root / "session" / job / "big").open("wb") as file:
        file.truncate(1024 * 1024 + 1)
    answer = (await host.ce(max_fetch_mb=1).fetch({job: FetchPlan(host.root / "home", ("/",))}))[job]
    assert isinstance(answer, Refused)
    assert answer.for_good
    assert not (host.root / "home").exists()


async def test_living_jobs_get_the_new_proxy(host: Host, pki: TestPki) -> None:
    proxy = pki.proxy("alice", path=host.root / "proxy.pem")
    ce, keys = host.ce(proxy), [new_key(TOWER), new_key(TowerId("tower002")), new_key(TOWER)]
    assert ce.traits.needs_credential
    for key in (keys[1], keys[0], keys[2]):  # ours last: so we are tower001
        await ce.submit({key: SPEC})
    old = host.file(id_of(keys[0]), "proxy").read_bytes()
    assert old == proxy.read_bytes()
    assert host.file(id_of(keys[0]), "proxy").stat().st_mode & 0o777 == 0o600
    another = host.file(id_of(keys[2]), "local")
    another.write_text(another.read_text().replace("CN=alice", "CN=bob"))
    pki.proxy("alice", path=proxy)
    await ce.renew(Credential(proxy, "", host.now))
    now = [host.file(id_of(key), "proxy").read_bytes() for key in keys]
    assert now == [proxy.read_bytes(), old, old]
    assert old != proxy.read_bytes()


async def test_no_job_is_made_with_a_proxy_that_is_none(host: Host) -> None:
    (host.root / "proxy.pem").write_text("nonsense")
    (host.root / "proxy.pem").chmod(0o600)
    with pytest.raises(CredentialError):
        await host.ce(host.root / "proxy.pem").submit({new_key(TOWER): SPEC})

"""Brakes, orphans and CEs that are given up, as an operator meets them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from act_core.cli import ce_abandon
from act_core.cli.actor import actor
from act_core.db import brakes, credentials, orphans
from act_core.db.brakes import Kind, Weighed
from act_core.db.credentials import Found
from act_core.db.models import Ce, CeJob
from act_core.db.session import Database
from act_core.engine.identity import Identity
from act_core.errors import CredentialError
from act_core.ids import RemoteId, SubmissionKey
from act_core.settings import load_settings
from tests.cli.conftest import Act

NOW = datetime.now(UTC)
LOSE = Weighed("ce:here", Kind.LOSE, "ce:here", 312, 400, 50)


@pytest.fixture
def db(act: Act, place: Path) -> Iterator[Database]:
    opened = Database(load_settings(None, None).settings)
    yield opened
    opened.close()


@pytest.fixture
def brake(db: Database) -> int:
    made = db.write(brakes.engage, LOSE, timedelta(minutes=10), NOW, {})
    assert made is not None
    return made


@pytest.fixture
def jobs(act: Act, db: Database, place: Path) -> list[str]:
    """Three jobs that run at the CE `here`."""
    (place / "job.yaml").write_text("name: j\nexecutable: /bin/true\n")
    ids = [act("jobs", "add", "job.yaml", "--ce", "here").out.strip() for _ in range(3)]

    def write(session: Any) -> None:
        session.execute(update(CeJob).values(ce="here", state="running", remote_id="r", absent_since=NOW))

    db.write(write)
    return ids


def test_no_brake(act: Act) -> None:
    assert act("brake", "list").out == "no brake is on\n"
    assert act("brake", "list", "--json").json == []
    assert act("status", "--json").json["brakes"] == []
    said = act("brake", "release", 1)
    assert (said.code, said.err) == (2, "no brake 1: `act brake list`\n")


def test_a_brake_is_shown(act: Act, brake: int) -> None:
    assert "1 take 312 of 400 jobs of here for lost ce:here" in act("brake", "list").lines[1]
    (told,) = act("status", "--json").json["brakes"]
    assert (told["id"], told["on"], told["n"], told["limit"]) == (brake, True, 312, 50)
    assert "would take 312 of 400 jobs of here for lost; none of them moves (`act brake list`" in act("status").out


def test_a_release(act: Act, brake: int, jobs: list[str]) -> None:
    dry = act("brake", "release", brake, "--dry-run")
    assert dry.lines == ["312 jobs of here would be let through (lose)", f"among them: {', '.join(jobs)}"]
    assert len(act("brake", "list", "--json").json) == 1
    said = act("brake", "release", brake, "--for", "2h", "--reason", "the disk died", "--json").json
    assert (said["n"], said["released"], said["examples"]) == (312, True, jobs)
    assert act("brake", "list", "--json").json == []
    (row,) = act("brake", "list", "--all", "--json").json
    assert (row["released_by"], row["reason"], row["passed"]) == (actor().who, "the disk died", 0)
    deed = act("audit", "--json").json[0]
    assert (deed["deed"], deed["facts"]["jobs"], deed["facts"]["reason"]) == ("brake.release", 312, "the disk died")
    again = act("brake", "release", brake)
    assert (again.code, again.err.startswith("brake 1 is off since")) == (1, True)


@pytest.mark.parametrize("time", ["soon", "0", "3d", "-1h"])
def test_a_time_that_is_none(act: Act, brake: int, time: str) -> None:
    said = act("brake", "release", brake, f"--for={time}")
    assert said.code == 2
    assert said.err.startswith("--for ")


def test_orphans(act: Act, db: Database) -> None:
    assert act("orphans").out == "no orphans\n"
    seen = {RemoteId("r1"): (SubmissionKey("act-a-b"), True), RemoteId("r2"): (SubmissionKey("act-a-c"), False)}
    db.write(orphans.sight, "here", seen, NOW)
    rows = act("orphans", "--json").json
    assert [(row["remote_id"], row["attempt"]) for row in rows] == [("r1", "over"), ("r2", "unknown")]
    assert act("ces", "list").code == 0  # enters the configured CEs
    assert len(act("orphans", "--ce", "here").lines) == 3
    assert act("orphans", "--ce", "nowhere").code == 2


def test_giving_up_a_ce(act: Act, jobs: list[str]) -> None:
    dry = act("ces", "abandon", "here")
    assert dry.out.startswith("here has 3 running; with --yes it is given up:\n")
    assert {row["state"] for row in act("jobs", "list", "--json").json} == {"running"}
    said = act("ces", "abandon", "here", "--yes", "--reason", "burnt down", "--json").json
    assert (said["abandoned"], said["jobs"], said["done"]) == (True, {"running": 3}, {"abandoned": 3})
    assert {row["state"] for row in act("jobs", "list", "--json").json} == {"abandoned"}
    shown = act("ces", "show", "here", "--json").json
    assert (shown["mode"], shown["mode_owner"], shown["mode_reason"]) == ("abandoned", "operator", "burnt down")
    assert act("audit", "--json").json[0]["facts"] == {"reason": "burnt down", "done": {"abandoned": 3}}
    assert act("ces", "on", "here").code == 0
    assert act("ces", "show", "here", "--json").json["mode"] == "on"
    assert act("ces", "abandon", "nowhere").code == 2


@pytest.fixture
def alice(db: Database, jobs: list[str]) -> int:
    """Who submitted two of the three jobs; nobody knows whose the third one is. The CE is shown somebody else."""
    one = db.write(credentials.remember, Found("x509-proxy", "/grid/alice", "/CN=alice", NOW + timedelta(days=1)), NOW)
    mine = update(CeJob).where(CeJob.app_job_id.in_(jobs[:2])).values(credential_id=one)
    db.write(lambda session: session.execute(mine) and None)
    return one


@pytest.mark.parametrize("by", ["subject", "number"])
def test_giving_up_what_a_former_identity_left(act: Act, jobs: list[str], alice: int, by: str) -> None:
    words = ("ces", "abandon", "here", "--identity", "/CN=alice" if by == "subject" else alice)
    dry = act(*words)
    assert dry.lines[0] == "here has 2 running of /CN=alice; with --yes these are given up, and nothing else there:"
    assert {row["state"] for row in act("jobs", "list", "--json").json} == {"running"}
    assert act(*words, "--yes", "--reason", "left CERN").out == "here: given up of /CN=alice: 2 abandoned\n"
    states = {row["id"]: (row["state"], row["error"]) for row in act("jobs", "list", "--json").json}
    why = "the jobs of /CN=alice at here were given up: left CERN"
    assert states == {jobs[0]: ("abandoned", why), jobs[1]: ("abandoned", why), jobs[2]: ("running", None)}
    assert act("ces", "show", "here", "--json").json["mode"] == "on"
    again = act(*words)
    assert (again.code, again.err) == (
        2,
        f"--identity {str(words[-1])!r}: it has nothing at here; there are jobs of: no identity\n",
    )


def test_an_identity_that_has_nothing_there(act: Act, alice: int) -> None:
    said = act("ces", "abandon", "here", "--identity", "/CN=carol", "--yes")
    assert (said.code, said.err) == (
        2,
        f"--identity '/CN=carol': it has nothing at here; there are jobs of: {alice} (/CN=alice)\n",
    )
    assert {row["state"] for row in act("jobs", "list", "--json").json} == {"running"}


@pytest.mark.parametrize(
    ("trouble", "says"),
    [(None, "here is shown this identity now"), (CredentialError("it is over"), "it is over; mend that first")],
)
def test_the_identity_in_use_is_not_given_up(
    act: Act, alice: int, monkeypatch: pytest.MonkeyPatch, trouble: CredentialError | None, says: str
) -> None:
    async def shown(_rt: Any, _ce: str) -> Identity:
        if trouble:
            raise trouble
        return Identity(alice, "/CN=alice", NOW)

    monkeypatch.setattr(ce_abandon, "shown", shown)
    said = act("ces", "abandon", "here", "--identity", alice, "--yes")
    assert (said.code, says in said.err) == (2, True)
    assert {row["state"] for row in act("jobs", "list", "--json").json} == {"running"}


def test_giving_up_what_went_to_a_former_endpoint(act: Act, db: Database, jobs: list[str]) -> None:
    words = ("ces", "abandon", "here", "--moved")
    never = act(*words)
    assert (never.code, "has always had this endpoint" in never.err) == (2, True)
    assert act(*words, "--identity", "7").code == 2

    def moved(session: Session) -> None:
        session.execute(update(Ce).where(Ce.name == "here").values(moved_at=NOW, moved_from="old.example.org"))
        session.execute(update(CeJob).where(CeJob.app_job_id == jobs[0]).values(send_deadline=NOW + timedelta(days=1)))
        session.execute(update(CeJob).where(CeJob.app_job_id.in_(jobs[1:])).values(send_deadline=NOW))

    db.write(moved)
    assert act(*words).lines[0].startswith("here has 2 running sent to old.example.org; with --yes these are given up")
    assert act(*words, "--yes").out == "here: given up sent to old.example.org: 2 abandoned\n"
    states = {row["id"]: row["state"] for row in act("jobs", "list", "--json").json}
    assert states == {jobs[0]: "running", jobs[1]: "abandoned", jobs[2]: "abandoned"}

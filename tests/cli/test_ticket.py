"""`act ticket`: the text for a site, from real tables."""

from datetime import timedelta
from pathlib import Path

import pytest

from act_core.db.models import CeJob, Description
from act_core.db.policy_models import CredentialRow
from act_core.errors import BadInput
from act_core.jobspec import JobSpec
from act_core.monitor.ticket import ticket
from act_core.monitor.ticket_read import read_ticket
from tests.cli.conftest import Act
from tests.cli.situations import KINDS, NOW, ON, Tables, before

GOLDEN = Path(__file__).parent / "golden"
SECRET = "--token=very-private-argument"


def _troubles(t: Tables) -> None:
    """Seven failures of two kinds, one good end before them, and a neighbour that rests."""
    t.job("good", **ON | {"remote_id": "good1"}, state="done")
    t.put(CeJob, CeJob.app_job_id == "good", state_since=before(hours=5))
    for n in range(7):
        error = f"LRMS error: (137) job {n} was killed" if n else f"cannot run {SECRET} on 192.168.3.4"
        known = {"remote_id": f"df127f4a487{n}", "state_since": before(hours=2, minutes=-n)}
        t.job(f"bad{n}", **ON | known, state="failed" if n else "lost", error=error)
    t.put(Description, Description.id > 0, spec=JobSpec(executable="x", arguments=(SECRET,)).model_dump_json())
    t.ce(
        "north",
        failures=2,
        trouble="https://north.example.org/arex answers 503 Busy?token=abc",
        capacity={"version": "nordugrid-arc 7.0"},
    )
    t.ce("south", failures=3, retry_at=NOW + timedelta(minutes=3))
    t.add(
        CredentialRow, kind="x509-proxy", subject="/DC=org/CN=alice", path="/grid/proxy",
        expires=NOW + timedelta(hours=40), modified=NOW,
    )  # fmt: skip


def _text(t: Tables, subject: str) -> str:
    found = t.db.read(read_ticket, t.settings, subject, KINDS, NOW)
    assert found is not None
    return "".join(f"{line}\n" for line in ticket(*found, NOW).lines(NOW)).replace("act-flows 0.1.0", "act-flows V")


@pytest.mark.parametrize(("subject", "name"), [("north", "ticket-ce"), ("df127f4a4873", "ticket-job")])
def test_golden(situation: Tables, subject: str, name: str) -> None:
    _troubles(situation)
    text = _text(situation, subject)
    assert text == (GOLDEN / f"{name}.txt").read_text()
    assert "private-argument" not in text
    assert str(situation.settings.state_dir) not in text


def test_jobs_that_the_ce_does_not_know_are_named(situation: Tables) -> None:
    for n in range(7):
        situation.job(f"gone{n}", **ON | {"remote_id": f"df{n}"}, state="running", absent_since=before(minutes=5))
    text = _text(situation, "north")
    assert "how many      7 jobs of ours not known to the CE any more; 0 jobs came to a bad end" in text
    assert text.count("not in your answers, running before, 11:55:00Z (5 min ago)") == 5
    assert "since         11:55:00Z (5 min ago)" in text
    assert "\n  df3  not in your answers, running before" in _text(situation, "df3")


def test_of_a_ce_that_is_well_little_is_told(situation: Tables) -> None:
    text = _text(situation, "south")
    assert "since         not known" in text
    assert "0 jobs came to a bad end" in text
    assert "the CE's words" not in text


def test_a_job_at_no_ce_has_no_site_to_write_to(situation: Tables) -> None:
    situation.job()
    with pytest.raises(BadInput, match="job 7kqw2m is at no CE: `act explain 7kqw2m` tells why"):
        _text(situation, "7kqw2m")


def test_the_command_tells_people_and_programs(act: Act) -> None:
    said = act("ticket", "here")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("Subject: jobs of ours at here: not asked yet\n")
    assert act("ticket", "here", "--json").json["errors"] == []
    unknown = act("ticket", "nosuch")
    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.err.startswith("no CE and no job 'nosuch'")

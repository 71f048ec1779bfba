"""`act explain` of PanDA's jobs: outputs on storage, the final report, what a dead attempt left."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.db import ledger
from act_core.db.ledger import Line
from act_core.db.models import CeJob, CeJobEvent
from act_core.db.panda_models import PandaRow
from act_core.reasons import Reason, Topic
from tests.cli.situations import NOW, ON, Tables, before

GOLDEN = Path(__file__).parent / "golden" / "explain_panda"
JOB = "4711.1"
BAD = "HITS.1: unreachable: se.example.org:443: it rests for 30 s: storage answers 503"


def _panda(t: Tables, state: str, **columns: Any) -> None:
    known = {
        "server": "pandaserver.cern.ch:25443",
        "panda_id": 4711,
        "attempt_nr": 1,
        "queue": "TEST",
        "label": "managed",
        "state": state,
        "state_since": before(hours=1),
        "job": "{}",
        "created": before(hours=9),
        "modified": NOW,
    }
    t.add(PandaRow, **(known | columns))


def _validated(t: Tables) -> None:
    t.job(JOB, app="atlas", **ON, state="done")
    due = {"check_due_at": NOW + timedelta(minutes=4)}
    _panda(t, "tovalidate", wanted="transferring", told="transferring", checks=4, error=BAD, **due)


def _reported(t: Tables) -> None:
    t.job(JOB, app="atlas", **ON, state="done", ce_clean_at=before(minutes=50))
    due = {"heartbeat_due_at": NOW + timedelta(minutes=4), "sent_at": before(minutes=50)}
    words = "output not valid on storage (no attempt is left): HITS.1: absent: no such file"
    _panda(t, "toreport", refused=3, error=words, **due)


def _fenced(t: Tables) -> None:
    t.job(JOB, app="atlas", **ON, state="done", superseded_by="next", submission_key="old", attempt=1)
    t.job("4711.2", app="atlas", fenced_until=NOW + timedelta(minutes=14))
    t.put(CeJob, CeJob.app_job_id == "4711.2", app_job_id=JOB, attempt=2)
    beat = {"told_at": before(minutes=9), "heartbeat_due_at": NOW + timedelta(minutes=18)}
    words = "it runs anew: HITS.1: mismatch: size is 4, not 1000"
    _panda(t, "starting", told="transferring", wanted="transferring", error=words, **beat)


def _cleared(t: Tables) -> None:
    _fenced(t)
    t.put(CeJob, CeJob.attempt == 2, fenced_until=None)
    facts = {"job": JOB, "file": "HITS.1", "url": "https://se.example.org/x/HITS.1", "words": ""}
    log = {"file": "log.1", "url": "https://se.example.org/x/log.1", "words": "unreachable: storage answers 503"}
    lines = [
        Line(Topic.OUTPUTS, Reason.OUTPUT_WOULD_GO, job_id=1, facts=facts),
        Line(Topic.OUTPUTS, Reason.OUTPUT_KEPT, job_id=1, facts=facts | log),
    ]
    t.db.write(ledger.append, lines, before(minutes=5))


def _closed(t: Tables) -> None:
    t.job(JOB, app="atlas", **ON, state="done", ce_clean_at=before(minutes=50), released_at=before(minutes=50))
    _panda(t, "closed", told="finished", told_at=before(minutes=50))


def _taken(t: Tables) -> None:
    _panda(t, "sent", heartbeat_due_at=NOW + timedelta(minutes=24))


def _forgotten(t: Tables) -> None:
    _panda(t, "forgotten", told="running", told_at=before(hours=2))


def _refused(t: Tables) -> None:
    words = "the queue TEST is a pull queue: its pilots fetch jobs themselves"
    _panda(t, "closed", told="failed", told_at=before(minutes=50), error=words)


SCENES: dict[str, Callable[[Tables], None]] = {
    "outputs-are-looked-for": _validated,
    "report-waits": _reported,
    "next-attempt-behind-its-fence": _fenced,
    "what-was-left": _cleared,
    "closed": _closed,
    "no-attempt-yet": _taken,
    "no-attempt-known": _forgotten,
    "no-attempt-refused": _refused,
}


@pytest.mark.parametrize("name", SCENES)
def test_golden(situation: Tables, name: str) -> None:
    SCENES[name](situation)
    assert situation.explained(JOB) == (GOLDEN / f"{name}.txt").read_text()


def test_every_golden_text_has_its_situation() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(SCENES)


def test_of_a_job_that_a_harvester_handed_over_panda_hears_nothing(situation: Tables) -> None:
    situation.job(JOB, app="atlas", **ON, state="done")
    _panda(situation, "closed", reporter="harvester", told="finished", told_at=before(minutes=50))
    assert "Its Harvester has its end: finished, told at 11:10:00Z" in situation.explained(JOB)
    situation.put(PandaRow, PandaRow.panda_id == 4711, state="running")
    said = situation.explained(JOB)
    assert "A Harvester handed it over, and alone speaks to PanDA of it" in said
    assert "PanDA was told" not in said


@pytest.mark.parametrize("asked", ["4711", "4711.1"])
def test_a_pandaid_is_enough_and_means_the_newest_attempt(situation: Tables, asked: str) -> None:
    _closed(situation)
    assert situation.explained(asked) == (GOLDEN / "closed.txt").read_text()
    _panda(situation, "sent", attempt_nr=2)
    said = situation.explained(asked).splitlines()[0]
    assert said == ("PanDA job 4711.2 of TEST: no attempt (sent)" if asked == "4711" else _first("closed"))


def test_what_a_job_was_cancelled_for_is_told_and_not_what_was_cleaned_later(situation: Tables) -> None:
    situation.job(JOB, app="atlas", **ON, state="cancelled", ce_clean_at=before(minutes=50))
    for since, reason in (("cancelling", "PanDA wants it dead"), ("cancelled", "cleaned on the CE")):
        situation.add(
            CeJobEvent, job_id=1, attempt=1, at=NOW, from_state=since, to_state="cancelled", reason=reason, actor="x"
        )
    assert "It was cancelled: PanDA wants it dead" in situation.explained(JOB)


def _first(name: str) -> str:
    return (GOLDEN / f"{name}.txt").read_text().splitlines()[0]


def test_a_job_of_another_application_has_no_panda_story(situation: Tables) -> None:
    situation.job(JOB, state="done")
    _panda(situation, "closed")
    assert "PanDA" not in situation.explained(JOB)

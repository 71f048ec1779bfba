"""`act explain`: the whole text for each situation, built in real tables; and that what it recommends exists."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from act_core.cli.explain import DOWN
from act_core.cli.main import app
from act_core.db.models import CeJob
from act_core.db.policy_models import BrakeRow, CredentialRow, DowntimeRow
from act_core.monitor.sentences import told
from act_core.reasons import Reason, Topic
from act_core.tells import TELLS
from tests.cli.conftest import Act
from tests.cli.situations import NOW, ON, Tables, before

GOLDEN = Path(__file__).parent / "golden" / "explain"

Scene = Callable[[Tables], None]


def _full_and_resting(t: Tables) -> None:
    t.job()
    t.job("other", **ON, state="running")
    t.ce("north", maxjobs=1)
    t.note(Reason.FULL, "north", 120, on_ce=100, maxjobs=100)  # as it was when it began
    t.ce("south", failures=4, retry_at=NOW + timedelta(minutes=2), trouble="https://south.example.org/arex answers 503")


def _free(t: Tables) -> None:
    t.job()
    t.ce("south", mode="stop", mode_owner="anna", mode_reason="disk full", modified=before(days=1))


def _refused_and_late(t: Tables) -> None:
    t.job(tries=3, due_at=NOW + timedelta(minutes=1), error="429 Too many", submit_before=NOW + timedelta(hours=1))
    t.ce("south", kind="condor")
    t.add(DowntimeRow, origin="cric", ce="north", start=before(hours=1), end=NOW + timedelta(hours=3), reason="network")


def _doubt(t: Tables) -> None:
    t.job(
        **ON | {"remote_id": None}, state="submitting", send_deadline=before(minutes=1), absent_since=before(seconds=20)
    )
    t.event("submitting", "answer lost: Connection reset after the request had left", minutes=2)


def _no_inputs(t: Tables) -> None:
    t.job(**ON | {"inputs_sent_at": None}, state="submitted", state_since=before(minutes=4), tries=2, error="503 Busy")


def _queued_there(t: Tables) -> None:
    t.job(**ON, state="submitted", native_state="QUEUING", request="cancel", request_at=before(minutes=1))


def _absent(t: Tables) -> None:
    t.job(
        **ON, state="running", node="wn7", absent_since=before(minutes=30), walltime_s=86400, started_at=before(hours=2)
    )
    t.add(
        BrakeRow, scope="ce:north", kind="lose", source="ce:north", n=412, living=500, since=before(minutes=30),
        seen_at=NOW, facts={"limit": 50},
    )  # fmt: skip


def _killed(t: Tables) -> None:
    t.job(app="atlas", **ON, state="cancelling", due_at=NOW + timedelta(minutes=20), request="cancel")
    t.ce("north", failures=1, trouble="no answer in time")


def _fetched_later(t: Tables) -> None:
    error = "stdout.txt: 500 Internal"
    t.job(**ON, state="finished", tries=2, due_at=NOW + timedelta(seconds=30), error=error)


def _failed(t: Tables) -> None:
    t.job(**ON, state="failed", exit_code=137, rule="out of memory", error="LRMS error: (137) killed", attempts_left=2)


def _second_attempt(t: Tables) -> None:
    t.job(attempt=2, ce="south", remote_id="ab1", state="running", inputs_sent_at=NOW, state_since=before(minutes=5))
    t.job(**ON, state="donefailed", error="Data download failed", superseded_by="x")


def _lost(t: Tables) -> None:
    t.job(**ON, state="lost")
    t.event("lost", "in no answer of the CE since 2026-03-01 08:50:00", hours=2)


def _abandoned(t: Tables) -> None:
    t.job(**ON, state="abandoned")
    t.event("abandoned", "north was not seen since 2026-02-27", hours=2)
    t.ce("north", mode="abandoned", mode_owner="reconcile", last_seen=before(days=3), modified=before(hours=2))


def _done(t: Tables) -> None:
    t.job(**ON, state="done", ce_clean_at=before(hours=1), released_at=before(hours=1), modified=before(minutes=50))


def _ce_well(t: Tables) -> None:
    t.job(**ON, state="running")
    t.add(
        CredentialRow, kind="x509-proxy", subject="/DC=org/CN=alice", path="/grid/proxy",
        expires=NOW + timedelta(hours=40), modified=NOW,
    )  # fmt: skip


def _ce_queue_full(t: Tables) -> None:
    t.job("a")
    t.job("b", ce="north", state="submitted")
    t.note(Reason.QUEUE_FULL, "north", 1, queued=115, unit="jobs", allowed=115, running=100, a=0.15, b=1)


def _ce_room_again(t: Tables) -> None:
    t.job("a")
    t.note(Reason.QUEUE_FULL, "north", 9, queued=115, unit="jobs", allowed=115, running=100, a=0.15, b=100)


def _ce_forgot(t: Tables) -> None:
    for n in range(2):
        t.job(f"gone{n}", **ON | {"remote_id": f"df{n}"}, state="running", absent_since=before(minutes=5))
    t.add(
        BrakeRow, scope="queue:prod", kind="lose", source="ce:north", n=60, living=70, since=before(minutes=4),
        seen_at=NOW, facts={"limit": 50},
    )  # fmt: skip


def _ce_abandoned(t: Tables) -> None:
    """What was so before says nothing any more: nobody asks it, and nothing of ours is there."""
    t.job()
    t.ce("north", mode="abandoned", mode_owner="operator", mode_reason="fire", mode_since=before(hours=1))
    t.ce("north", failures=4, retry_at=NOW + timedelta(minutes=2), trouble="Cannot connect to host")
    t.note(Reason.PROXY_SHORT, "north", 1, until="2026-03-01 17:22")
    t.note(Reason.OTHER_IDENTITY, "north", 6, Topic.IDENTITY, now="/CN=bob")


def _ce_downtime_by_endpoint(t: Tables) -> None:
    t.job()
    t.add(
        DowntimeRow, origin="config", ce="north.example.org:443/arex", start=NOW + timedelta(hours=1),
        end=NOW + timedelta(hours=4), reason="switches",
    )  # fmt: skip
    t.note(Reason.DOWNTIME_AHEAD, "north", 1, start="2026-03-01 13:00", end="2026-03-01 16:00")


def _job_given_up_by_hand(t: Tables) -> None:
    t.job(**ON, state="abandoned", ce_clean_at=before(hours=2))
    t.event("abandoned", "north was given up: fire", hours=2, actor="operator")
    t.orphan("df127f4a4873", known=True)


def _orphan(t: Tables) -> None:
    t.orphan("df99", known=False)


def _held_by_rule(t: Tables) -> None:
    t.job(**ON, state="failed", exit_code=1, rule="odd-node", error="exit code 1", share="prod")
    t.note(Reason.RULE_HOLDS, "north", 1, Topic.ERRORS, rule="odd-node", error="exit code 1", why="the node is odd")


def _doubt_and_unwanted(t: Tables) -> None:
    t.job(**ON | {"remote_id": None}, state="submitting", send_deadline=before(minutes=1))
    t.put(CeJob, CeJob.id == 1, request="cancel", request_at=before(seconds=10))


def _doubt_one_phase(t: Tables) -> None:
    t.job(**ON | {"remote_id": None}, state="submitting", send_deadline=before(minutes=1))
    sites: Any = t.settings.arc.sites
    sites["north"] = sites["north"].model_copy(update={"two_phase": False})


def _ce_rests(t: Tables) -> None:
    t.ce("north", failures=3, retry_at=NOW + timedelta(seconds=30), trouble="Cannot connect to host", last_seen=None)
    t.add(
        DowntimeRow, origin="config", ce="*", start=NOW + timedelta(hours=5), end=NOW + timedelta(hours=9), reason=""
    )  # fmt: skip


def _own_trouble(t: Tables) -> None:
    t.ce(
        "north", failures=4, retry_at=NOW + timedelta(seconds=20), own_trouble=True, last_seen=before(minutes=9),
        trouble="the proxy /grid/proxy expired at 2026-03-01 11:50:00 UTC: renew it",
    )  # fmt: skip


SCENES: dict[str, tuple[str, Scene]] = {
    "job-waits-full-and-resting": ("7kqw2m", _full_and_resting),
    "job-waits-and-one-could-take-it": ("7kqw2m", _free),
    "job-waits-refused-and-downtime": ("7kqw2m", _refused_and_late),
    "job-in-doubt": ("7kqw2m", _doubt),
    "job-waits-for-inputs": ("7kqw2m", _no_inputs),
    "job-queued-and-unwanted": ("7kqw2m", _queued_there),
    "job-absent-and-braked": ("df127f4a4873", _absent),
    "job-kill-not-confirmed": ("7kqw2m", _killed),
    "job-outputs-wait": ("7kqw2m", _fetched_later),
    "job-failed-by-rule": ("7kqw2m", _failed),
    "job-second-attempt": ("df127f4a4873", _second_attempt),
    "job-lost": ("7kqw2m", _lost),
    "job-abandoned": ("7kqw2m", _abandoned),
    "job-done-and-cleaned": ("7kqw2m", _done),
    "ce-well": ("north", _ce_well),
    "ce-queue-full": ("north", _ce_queue_full),
    "ce-rests-before-a-downtime": ("north", _ce_rests),
    "ce-has-room-again": ("north", _ce_room_again),
    "ce-forgot-jobs": ("north", _ce_forgot),
    "ce-abandoned": ("north", _ce_abandoned),
    "ce-downtime-by-endpoint": ("north", _ce_downtime_by_endpoint),
    "job-given-up-and-back": ("7kqw2m", _job_given_up_by_hand),
    "job-held-by-rule": ("7kqw2m", _held_by_rule),
    "job-in-doubt-and-unwanted": ("7kqw2m", _doubt_and_unwanted),
    "job-in-doubt-one-phase": ("7kqw2m", _doubt_one_phase),
    "ce-own-trouble": ("north", _own_trouble),
    "orphan": ("df99", _orphan),
}


@pytest.mark.parametrize("name", SCENES)
def test_golden(situation: Tables, name: str) -> None:
    subject, scene = SCENES[name]
    scene(situation)
    assert situation.explained(subject) == (GOLDEN / f"{name}.txt").read_text()


def test_every_golden_text_has_its_situation() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(SCENES)
    assert len(SCENES) >= 12


def commands(texts: list[str]) -> set[str]:
    """What the texts recommend between backticks: `act …`."""
    quoted = [quote for text in texts for quote in re.findall(r"`([^`]+)`", text) if quote.startswith("act ")]
    assert not [
        text for text in texts if re.search(r"(?<!`)\bact (?:jobs|ces|explain|ticket|sweep|up|down|status)\b", text)
    ]
    return set(quoted)


def known(words: list[str]) -> str:
    """What the command line does not know of `act …`; empty: it knows all of it."""
    here: Any = typer.main.get_command(app)
    while words and words[0] in getattr(here, "commands", {}):
        here = here.commands[words.pop(0)]
    if getattr(here, "commands", None) and (words or not here.invoke_without_command):
        return f"no command after {here.name}: {words}"
    options = {option for parameter in here.params for option in parameter.opts}
    unknown = [word for word in words if word.startswith("--") and word not in options]
    return f"{here.name} has no {unknown}" if unknown else ""


def test_what_is_recommended_exists() -> None:
    texts = [sentence for tell in TELLS.values() for sentence in (tell.why, tell.next, tell.do)]
    texts += [line for path in GOLDEN.glob("*.txt") for line in path.read_text().splitlines()]
    found = commands(texts)
    assert len(found) > 10
    assert {command: trouble for command in sorted(found) if (trouble := known(command.split()[1:]))} == {}


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_told_whatever_its_facts(reason: Reason) -> None:
    for facts in ({}, {name: None for name in "abcn"}, {"ce": {"odd": [1]}, "maxjobs": "many", "n": 3, "a": "x"}):
        tell = told(reason.value, facts, NOW)
        assert all(isinstance(part, str) and part for part in (tell.why, tell.next, tell.do))
        assert "{" not in re.sub(r"\{'odd'.*?\}", "", tell.why + tell.next + tell.do)


def test_every_reason_has_its_sentences() -> None:
    assert set(TELLS) == set(Reason)


def test_a_reason_of_another_version_is_shown_as_it_is() -> None:
    assert told("flux", {"until": "x"}, NOW).why == "flux: this version has no words for it (until=x)."


def test_a_fact_that_is_a_time_is_told_as_one() -> None:
    facts = {"maxjobs": "2026-03-01T10:00:00+00:00", "ce": "north", "on_ce": 3}
    assert told("full", facts, NOW).why == "north has 3 of at most 10:00:00Z (2 h ago) jobs."


def test_the_command_tells_a_ce_and_a_program(act: Act) -> None:
    said = act("explain", "here")
    assert (said.code, said.err) == (0, "")
    assert said.lines[0] == "CE here (local, no endpoint): mode on, never heard of"
    answer = act("explain", "here", "--json").json
    assert answer["why"][0] == "here takes new jobs."
    assert answer["next"][0] == DOWN, "no tower is up in a test"


def test_who_is_unknown_is_told_where_to_look(act: Act) -> None:
    said = act("explain", "nosuch")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "no CE and no job 'nosuch': a job is known by its id or PandaID, its submission key or its id on the CE "
        "(`act jobs list`); the CEs are here, there\n"
    )

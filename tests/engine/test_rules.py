"""What follows from an error: the shipped rules, the configured ones before them, and what they may not do."""

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from act_core.ce.base import Facts, Refused
from act_core.db.attempts import Attempt
from act_core.decisions import Move
from act_core.engine.rule_table import ABOVE, ARC_ERRORS, HOLDS
from act_core.engine.rules import (
    NOTHING,
    Allowed,
    Why,
    after_failure,
    after_hold,
    applied,
    first_match,
    refused,
    rulebook,
)
from act_core.settings.policy import Errors
from act_core.states import CeState, Request

Make = Callable[..., Attempt]
S = CeState
ARC, CONDOR = "arc-rest", "htcondor"
SHIPPED = rulebook(Errors())
R = Request


def errors(**given: Any) -> Errors:
    return Errors.model_validate(given)


def test_every_shipped_rule_has_a_name_of_its_own_a_reason_and_a_source() -> None:
    rows = (*ABOVE, *ARC_ERRORS, *HOLDS)
    assert len({row.name for row in rows}) == len(rows)
    assert all(row.why and row.source and len(row.name) <= 64 for row in rows)


def test_the_page_has_a_row_for_each_shipped_rule() -> None:
    page = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    told = [line for line in page.splitlines() if re.match(r"\| `(arc|hold)-", line)]
    assert told == [
        f"| `{row.name}` | {row.kinds} | `{row.pattern.replace('|', chr(92) + '|')}` | {row.action} | {row.why} |"
        for row in (*ABOVE, *ARC_ERRORS, *HOLDS)
    ]


def test_the_originals_list_is_shipped_whole() -> None:
    assert len(ARC_ERRORS) == 21
    assert {row.action for row in ARC_ERRORS} == {"resubmit"}


@pytest.mark.parametrize("row", ARC_ERRORS, ids=lambda row: row.name)
def test_each_error_of_the_originals_list_is_worth_another_attempt(row: Any) -> None:
    found = first_match(SHIPPED, f"LRMS says: {row.pattern}; and more", ARC)
    assert found is not None
    assert found.action == "resubmit"


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("LRMS error: (3) Job finished with wrong exit code - 3 != 0", ARC, None),
        ("lrms ERROR: (-1)", ARC, "arc-lrms-minus-1"),
        ("LRMS error: (1)", "arc-internal", "arc-lrms-1"),
        ("LRMS error: (1)", CONDOR, None),
        ("LRMS error: (1)", "local", None),
        ("User file: /.act-commit - Timeout waiting", ARC, "arc-inputs-late"),
        ("Job is canceled by external request", ARC, "arc-killed-there"),
        ("hold 1/0: by hand", CONDOR, "hold-by-hand"),
        ("hold 12/0: Transfer output files failure", CONDOR, "hold-transfer"),
        ("hold 13/256: Transfer input files failure", CONDOR, "hold-transfer"),
        ("hold 34/102: memory usage exceeded request_memory", CONDOR, "hold-resources"),
        ("hold 0/0: Error sending files to schedd ce@ce: DCSchedd::spoolJobFiles:7002", CONDOR, "hold-spool"),
        ("hold 0/0: Failed to delegate the proxy", CONDOR, "hold-delegation"),
        ("hold 99/0: nobody knows", CONDOR, None),
        ("hold 45/0: x", ARC, None),
        ("", ARC, None),
        (None, ARC, None),
    ],
)
def test_which_rule_speaks(text: str | None, kind: str, name: str | None) -> None:
    found = first_match(SHIPPED, text, kind)
    assert (found.name if found else None) == name


def test_configured_rules_come_first_in_their_order() -> None:
    rules = [
        {"pattern": r"exit code - \d\b", "regex": True, "action": "resubmit", "name": "small"},
        {"pattern": "LRMS error", "action": "fail"},
    ]
    book = rulebook(errors(rules=rules))
    texts = ("LRMS error: (3) wrong exit code - 3 != 0", "LRMS error: (127) Job failed", "Job was lost")
    named = [found.name for text in texts if (found := first_match(book, text, ARC))]
    assert named == ["small", "LRMS error", "arc-lost"]


def test_the_originals_key_replaces_its_list_and_nothing_else() -> None:
    book = rulebook(errors(toresubmit={"arcerrors": ["quota"]}))
    assert first_match(book, "Job was lost", ARC) is None
    assert (first_match(book, "disk Quota exceeded", ARC) or SHIPPED[0]).name == "quota"
    assert (first_match(book, "hold 34/102", CONDOR) or SHIPPED[0]).name == "hold-resources"


@pytest.mark.parametrize("given", [[], ["x"]], ids=["empty: nothing begins again", "one"])
def test_the_originals_list_may_be_empty(given: list[str]) -> None:
    book = rulebook(errors(toresubmit={"arcerrors": given}))
    assert len(book) == len(SHIPPED) - len(ARC_ERRORS) + len(given)


FAILED_STAGE_IN = Facts(error="Data download failed", restart_at="PREPARING")
LOST = Facts(error="Job was lost")
NO_LIST = Facts(error="x; Error reading user generated output file list", restart_at="FINISHING")


@pytest.mark.parametrize(
    ("facts", "allowed", "known", "wish", "rule", "but"),
    [
        pytest.param(LOST, Allowed(), {}, R.RESUBMIT, "arc-lost", None, id="resubmitted"),
        pytest.param(LOST, Allowed(), {"attempts_left": 0}, None, "arc-lost", Why.NO_ATTEMPT, id="no attempt is left"),
        pytest.param(LOST, Allowed(late=True), {}, None, "arc-lost", Why.LATE, id="past its best-before"),
        pytest.param(LOST, Allowed(), {"released_at": 1}, None, "arc-lost", Why.CLOSED, id="closed"),
        pytest.param(LOST, Allowed(), {"request": R.CANCEL}, None, None, None, id="somebody wants it dead"),
        pytest.param(LOST, Allowed(), {"request": R.RERUN}, None, None, None, id="somebody wants it restarted"),
        pytest.param(LOST, Allowed(), {"request": R.FETCH}, R.RESUBMIT, "arc-lost", None, id="somebody wants its logs"),
        pytest.param(Facts(error="exit code 3"), Allowed(), {}, None, None, None, id="nobody knows the error"),
        pytest.param(Facts(), Allowed(2), {}, None, None, None, id="the CE says nothing"),
        pytest.param(FAILED_STAGE_IN, Allowed(2), {}, R.RERUN, None, None, id="stage-in is restarted"),
        pytest.param(FAILED_STAGE_IN, Allowed(2), {"reruns": 1}, R.RERUN, None, None, id="and restarted once more"),
        pytest.param(FAILED_STAGE_IN, Allowed(2), {"reruns": 2}, None, None, None, id="the allowance is used up"),
        pytest.param(FAILED_STAGE_IN, Allowed(0), {}, None, None, None, id="there is no allowance"),
        pytest.param(FAILED_STAGE_IN, Allowed(2, late=True), {}, None, None, None, id="too late for a restart"),
        pytest.param(NO_LIST, Allowed(2), {}, None, "arc-output-list", None, id="no list of outputs: no restart"),
        pytest.param(
            Facts(error="Internal error in uploader", restart_at="FINISHING"),
            Allowed(1, 0),
            {},
            R.RERUN,
            None,
            None,
            id="a restart comes before another attempt",
        ),
    ],
)
def test_what_follows_a_failure(
    attempt: Make,
    facts: Facts,
    allowed: Allowed,
    known: dict[str, Any],
    wish: Request | None,
    rule: str | None,
    but: Why | None,
) -> None:
    verdict = after_failure(attempt(S.RUNNING, **known), facts, SHIPPED, ARC, allowed)
    assert (verdict.wish, verdict.rule.name if verdict.rule else None, verdict.but) == (wish, rule, but)


@pytest.mark.parametrize(
    ("action", "wish", "tell", "rest"),
    [
        ("resubmit", R.RESUBMIT, False, False),
        ("rest", R.RESUBMIT, False, True),
        ("fail", None, False, False),
        ("hold", None, True, False),
        ("rerun", None, False, False),
    ],
)
def test_each_action_on_a_failure_that_cannot_be_restarted(
    attempt: Make, action: str, wish: Request | None, tell: bool, rest: bool
) -> None:
    book = rulebook(errors(rules=[{"pattern": "odd", "action": action}]))
    verdict = after_failure(attempt(S.RUNNING), Facts(error="very odd"), book, ARC, Allowed(2))
    assert (verdict.wish, verdict.tell, verdict.rest) == (wish, tell, rest)


def test_a_configured_rule_stands_above_a_restart(attempt: Make) -> None:
    book = rulebook(errors(rules=[{"pattern": "download failed", "action": "fail"}]))
    assert after_failure(attempt(S.RUNNING), FAILED_STAGE_IN, book, ARC, Allowed(2)).wish is None


def held(text: str, restart: bool = True) -> Facts:
    return Facts(error=text, restart_at=text.partition(":")[0] if restart else None)


@pytest.mark.parametrize(
    ("facts", "known", "wish", "tell", "but"),
    [
        pytest.param(held("hold 13/2: x"), {}, R.RERUN, False, None, id="released"),
        pytest.param(held("hold 13/2: x"), {"reruns": 3}, R.RESUBMIT, False, Why.TOO_OFTEN, id="released too often"),
        pytest.param(held("hold 13/2: x", False), {}, R.RESUBMIT, False, Why.TOO_OFTEN, id="it cannot be released"),
        pytest.param(
            held("hold 13/2: x"), {"reruns": 3, "attempts_left": 0}, R.CANCEL, False, Why.NO_ATTEMPT, id="given up"
        ),
        pytest.param(held("hold 34/102: x"), {}, R.CANCEL, False, None, id="failed"),
        pytest.param(held("hold 6/2: x"), {}, R.RESUBMIT, False, None, id="another attempt"),
        pytest.param(held("hold 6/2: x"), {"attempts_left": 0}, R.CANCEL, False, Why.NO_ATTEMPT, id="no attempt"),
        pytest.param(held("hold 1/0: x"), {}, None, True, None, id="left to the operator"),
        pytest.param(held("hold 99/0: x"), {}, None, False, None, id="unknown: left until its limit"),
        pytest.param(held("hold 6/2: x"), {"request": R.CANCEL}, None, False, None, id="killed already"),
    ],
)
def test_what_is_done_about_a_held_job(
    attempt: Make, facts: Facts, known: dict[str, Any], wish: Request | None, tell: bool, but: Why | None
) -> None:
    verdict = after_hold(attempt(S.RUNNING, **known), facts, SHIPPED, CONDOR, Allowed(releases=3))
    assert (verdict.wish, verdict.tell, verdict.but) == (wish, tell, but)


def test_a_failed_job_that_a_rule_holds_is_no_news(attempt: Make) -> None:
    book = rulebook(errors(rules=[{"pattern": "odd", "action": "hold", "name": "look"}]))
    verdict = after_failure(attempt(S.RUNNING), Facts(error="odd"), book, ARC, Allowed())
    move = applied(Move(S.FAILED, "CE: FAILED", {"error": "odd"}), verdict)
    assert (move.news, move.columns["rule"], move.reason) == (False, "look", "CE: FAILED; rule look: hold")
    assert applied(Move(S.FAILED, "CE: FAILED"), NOTHING) == Move(S.FAILED, "CE: FAILED")


@pytest.mark.parametrize(
    ("why", "for_good", "tries", "becomes"),
    [
        pytest.param("New job submission is not allowed", True, 99, False, id="the site drains: the job waits"),
        pytest.param("emies:adl parsing error", True, 0, True, id="nobody knows better"),
        pytest.param("no more jobs", False, 99, False, id="it passes"),
        pytest.param("never here", False, 0, True, id="configured: for good"),
        pytest.param("unsupported today", True, 2, False, id="configured: once more, while attempts are left"),
        pytest.param("unsupported today", True, 3, True, id="as many as are left have been used up"),
        pytest.param("Failed to allocate job ID", False, 99, False, id="the CE is in trouble, and says that it passes"),
    ],
)
def test_refused_submissions_as_the_rules_see_them(
    attempt: Make, why: str, for_good: bool, tries: int, becomes: bool
) -> None:
    again = {"pattern": "unsupported today", "action": "resubmit"}
    book = rulebook(errors(rules=[{"pattern": "never here", "action": "fail"}, again]))
    job = attempt(S.SUBMITTING, tries=tries, attempts_left=3)
    assert refused(Refused(why, for_good), book, ARC, job)[0] == Refused(why, becomes)


def test_a_hostile_text_is_looked_at_only_so_far(now: datetime) -> None:
    assert first_match(SHIPPED, "x" * 5000 + "Job was lost", ARC) is None

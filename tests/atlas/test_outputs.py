"""What storage's answers mean for a job: each outcome by its rule, and every bad file is named."""

import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

from act_core.atlas.outputs import (
    NO_ADDRESS,
    ROOM,
    UNLISTED,
    Judged,
    action_of,
    expected_of,
    files_of,
    judged,
    listed,
)
from act_core.settings.app_model import Validation
from act_core.states import PandaState
from act_core.storage.base import Outcome, Verdict, Wanted
from tests.atlas.house import BOOKED

DEFAULT = Validation()
ALL_FAIL = Validation(on_missing="fail", on_different="fail", on_unverifiable="fail", on_unreachable="fail")


def job(**fields: object) -> str:
    return json.dumps({"outFiles": "a,b,log", "logFile": "log"} | fields)


def file(name: str, url: str | None = "https://se/x") -> dict[str, object]:
    return {"lfn": name, "url": url and f"{url}/{name}", "size": 1, "adler32": "00000001"}


def said(*outcomes: Outcome, asked: bool = True) -> Judged:
    files = {f"f{n}": Wanted(f"https://se/{n}", 1, None) for n in range(len(outcomes))}
    verdicts = {one: Verdict(outcome, "words", asked) for one, outcome in zip(files.values(), outcomes, strict=True)}
    return judged(files, verdicts, DEFAULT)


@pytest.mark.parametrize(
    ("outcome", "action"),
    [
        (Outcome.MATCH, "accept"),
        (Outcome.ABSENT, "rerun"),
        (Outcome.MISMATCH, "rerun"),
        (Outcome.UNVERIFIABLE, "accept"),
        (Outcome.UNREACHABLE, "retry"),
        (Outcome.FORBIDDEN, "retry"),
    ],
)
def test_the_rules_as_they_are_shipped(outcome: Outcome, action: str) -> None:
    assert action_of(outcome, DEFAULT) == action
    assert (action_of(outcome, ALL_FAIL) == "fail") is (outcome is not Outcome.MATCH)


@pytest.mark.parametrize("key", ["on_missing", "on_different", "on_unreachable"])
def test_what_makes_no_sense_is_no_rule(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        Validation.model_validate({key: "accept"})


def test_a_fence_that_leaves_no_time_is_told_before_anything_starts() -> None:
    with pytest.raises(ValidationError, match="at least two minutes longer"):
        Validation.model_validate({"delete": "on", "fence": "6 min"})
    assert Validation.model_validate({"delete": "on", "fence": "6 min", "timeout": "1 min"}).delete == "on"


@pytest.mark.parametrize(
    ("outcomes", "action"),
    [
        ((Outcome.MATCH, Outcome.MATCH), "accept"),
        ((Outcome.MATCH, Outcome.UNVERIFIABLE), "accept"),
        ((Outcome.MATCH, Outcome.UNREACHABLE), "retry"),
        ((Outcome.UNREACHABLE, Outcome.ABSENT), "rerun"),
        ((Outcome.ABSENT, Outcome.MISMATCH, Outcome.FORBIDDEN), "rerun"),
    ],
)
def test_the_strongest_action_decides(outcomes: tuple[Outcome, ...], action: str) -> None:
    assert said(*outcomes).action == action


def test_every_bad_file_is_named_those_that_decide_first() -> None:
    assert said(Outcome.UNREACHABLE, Outcome.MATCH, Outcome.ABSENT).words == "f2: absent: words; f0: unreachable: words"


def test_what_nobody_asked_is_known_as_such() -> None:
    assert not said(Outcome.UNREACHABLE, Outcome.MATCH, asked=False).asked
    assert said(Outcome.UNREACHABLE).asked
    assert said(Outcome.ABSENT, asked=False).asked  # no question is open


@pytest.mark.parametrize("n", [1, 2, 9, 11, 12, 1000])
def test_the_list_has_its_room_and_counts_the_rest(n: int) -> None:
    told = [f"HITS.{k:06}: absent: no such file" for k in range(n)]
    words = listed(told)
    assert len(words) <= ROOM
    shown = words.count("HITS.")
    assert words.startswith("HITS.000000: absent")
    assert shown == n or words.endswith(f"… and {n - shown} more")


def test_one_long_word_leaves_room_for_the_others() -> None:
    words = listed(["a: " + "x" * 5000, "b: absent"])
    assert "b: absent" in words
    assert len(words) <= ROOM


def test_all_outputs_and_the_log_are_expected_but_for_those_that_may_be_missing() -> None:
    assert expected_of(json.loads(job())) == ["a", "b", "log"]
    assert expected_of({"outFiles": "a", "logFile": "log"}) == ["a", "log"]
    assert expected_of(json.loads(job(allowNoOutput="b"))) == ["a", "log"]
    assert expected_of({"outFiles": "NULL", "logFile": ["odd"]}) == []


def test_what_the_report_does_not_list_is_missing() -> None:
    row = replace(BOOKED, state=PandaState.TOVALIDATE, job=job(), outputs=json.dumps([file("a"), file("b", None)]))
    found = files_of(row)
    assert found == {"a": Wanted("https://se/x/a", 1, "00000001"), "b": NO_ADDRESS, "log": UNLISTED}
    verdict = judged(found, {Wanted("https://se/x/a", 1, "00000001"): Verdict(Outcome.MATCH)}, DEFAULT)
    assert (verdict.action, verdict.words) == ("rerun", "log: absent: the pilot's report does not list it")


@pytest.mark.parametrize("outputs", [None, "[]"])
def test_a_job_without_outputs_is_good(outputs: str | None) -> None:
    row = replace(BOOKED, outputs=outputs, job="{}")
    assert judged(files_of(row), {}, DEFAULT) == Judged("accept")


def test_what_nobody_could_verify_is_counted_for_the_books() -> None:
    assert said(Outcome.MATCH, Outcome.UNVERIFIABLE) == Judged("accept", unverified=1)

"""Submission to an A-REX: what of it is known afterwards, for each job, and that it happens once and in time."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from act_core.ce.arc_http import Answer
from act_core.ce.arc_submission import outcomes
from act_core.ce.base import OutcomeLost, Refused, SubmissionKey
from act_core.db.attempts import new_key
from act_core.errors import CredentialError, ProtocolError, Transient
from act_core.jobspec import JobSpec
from act_core.simulators.pki import TestPki
from tests.ce.arc_house import TOWER, TRUE, Builder, House, submitted

Outcomes = Mapping[SubmissionKey, Any]


def _keys(number: int) -> list[SubmissionKey]:
    return [new_key(TOWER) for _ in range(number)]


async def _submit(house: House, number: int = 3, **site: Any) -> Outcomes:
    return await house.client(**site).submit(dict.fromkeys(_keys(number), TRUE))


def _all(answers: Outcomes, kind: type[Refused] | type[OutcomeLost], words: str) -> bool:
    return all(isinstance(one, kind) and words in one.why for one in answers.values()) and bool(answers)


async def test_answers_belong_to_their_jobs(house: House) -> None:
    keys = _keys(7)
    answers = await house.client(batch=3).submit(dict.fromkeys(keys, TRUE))
    assert {job["name"]: job["id"] for job in await house.jobs()} == {str(key): answers[key] for key in keys}
    assert await house.asked("?action=new") == 3 + 1  # and the delegation


async def test_one_job_alone(house: House) -> None:
    """6.17 answers with a bare element instead of a list."""
    (answer,) = (await _submit(house, 1)).values()
    assert answer == (await house.jobs())[0]["id"]


async def test_a_bad_one_among_good_ones(house: House) -> None:
    first, unwritable, unknown_queue, last = keys = _keys(4)
    specs = dict.fromkeys(keys, TRUE) | {
        unwritable: JobSpec(executable="/bin/echo", arguments=("\x01",)),
        unknown_queue: JobSpec(executable="/bin/true", queue="nonexist"),
    }
    answers = await house.client().submit(specs)
    assert set(answers) == set(keys)
    bad, strange = answers[unwritable], answers[unknown_queue]
    assert isinstance(bad, Refused)
    assert isinstance(strange, Refused)
    assert (bad.for_good, strange.for_good) == (True, True)
    assert "cannot be written in XML" in bad.why
    assert strange.why == "Requested queue nonexist is not allowed for this user"
    assert {job["id"] for job in await house.jobs()} == {answers[first], answers[last]}


async def test_the_queue_of_the_site_is_for_jobs_that_name_none(build: Builder) -> None:
    house = await build(queues=("short", "long"))
    ce = house.client(options={"queue": "long"})
    jobs = await submitted(ce, TRUE, JobSpec(executable="/bin/true", queue="short"))
    facts = await ce.details(jobs)
    assert [facts[job].queue for job in jobs] == ["long", "short"]


async def test_after_the_deadline_nothing_leaves(house: House) -> None:
    ce = house.client()
    answers = await ce.submit(dict.fromkeys(_keys(2), TRUE), datetime.now(UTC) - timedelta(seconds=1))
    assert _all(answers, Refused, "the send deadline has passed")
    assert await house.asked("jobs?action=new") == 0


async def test_the_deadline_holds_between_the_chunks(house: House) -> None:
    """The CE answers the first chunk late: the second one is not sent, and the first one's ids are kept."""
    clock = [datetime.now(UTC)]

    def passing() -> datetime:
        clock[0] += timedelta(seconds=1)
        return clock[0]

    ce = house.client(passing, batch=1)
    await ce.states([])
    keys = _keys(20)
    answers = await ce.submit(dict.fromkeys(keys, TRUE), clock[0] + timedelta(seconds=20))
    sent = [key for key in keys if not isinstance(answers[key], Refused)]
    assert sent == keys[: len(sent)]
    assert 0 < len(sent) < 20
    assert {job["id"] for job in await house.jobs()} == {answers[key] for key in sent}


@pytest.mark.parametrize("kind", ["accept_hangup", "half_answer", "malformed_json", "empty"])
async def test_a_lost_answer_is_told_as_lost_and_the_jobs_are_found(house: House, kind: str) -> None:
    ce, keys = house.client(), _keys(3)
    await house.fault(kind, path=r"jobs\?action=new")
    answers = await ce.submit(dict.fromkeys(keys, TRUE))
    assert _all(answers, OutcomeLost, "")
    assert set((await ce.list_mine(TOWER, set())).mine.values()) == set(keys)
    assert await house.asked("jobs?action=new") == 1


async def test_a_connection_that_was_reset_leaves_the_outcome_open(house: House) -> None:
    await house.fault("reset_before", path=r"jobs\?action=new")
    assert _all(await _submit(house), OutcomeLost, "after the request had left")
    assert await house.jobs() == []


async def test_a_hanging_submission_is_lost_in_time(build: Builder) -> None:
    house = await build()
    ce = house.client(deadline="1 s")
    await ce.submit({})
    await house.fault("hang", path=r"jobs\?action=new")
    assert _all(await ce.submit(dict.fromkeys(_keys(2), TRUE)), OutcomeLost, "no answer in time")


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_request_that_the_ce_refuses_made_nothing(house: House, status: int) -> None:
    await house.fault("error", status=status, reason="No", path=r"jobs\?action=new")
    answers = await _submit(house)
    assert _all(answers, Refused, f"{status} No")
    assert not any(one.for_good for one in answers.values())


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_what_something_in_between_says_leaves_the_outcome_open(house: House, status: int) -> None:
    await house.fault("error", status=status, path=r"jobs\?action=new")
    assert _all(await _submit(house), OutcomeLost, str(status))


async def test_a_full_ce_may_be_asked_again(build: Builder) -> None:
    house = await build(max_jobs=1)
    await _submit(house, 1)
    answers = await _submit(house, 2)
    assert _all(answers, Refused, "No more jobs allowed")
    assert not any(one.for_good for one in answers.values())


async def test_a_ce_that_went_away_got_nothing(house: House) -> None:
    ce = house.client()
    await ce.submit({})
    await house.fault("down")
    assert _all(await ce.submit(dict.fromkeys(_keys(2), TRUE)), Refused, "Connect")


async def test_trouble_before_the_submission_is_everybodys(house: House) -> None:
    await house.fault("down")
    with pytest.raises(Transient):
        await _submit(house)


async def test_an_identity_that_is_refused_half_way_loses_no_ids(house: House) -> None:
    await house.fault("error", status=403, reason="No", path=r"jobs\?action=new", skip=1)
    keys = _keys(3)
    answers = await house.client(batch=1).submit(dict.fromkeys(keys, TRUE))
    assert [job["id"] for job in await house.jobs()] == [answers[keys[0]]]
    assert _all({key: answers[key] for key in keys[1:]}, Refused, "refuses")
    await house.mended()
    await house.fault("error", status=403, reason="No", path=r"jobs\?action=new")
    with pytest.raises(CredentialError):
        await _submit(house)


async def test_two_identities_do_not_share_a_delegation(house: House, pki: TestPki) -> None:
    await _submit(house, 1)
    assert {type(one) for one in (await _submit(house, 1, proxy=pki.proxy("bob"))).values()} == {str}


A, B = SubmissionKey("a"), SubmissionKey("b")
CREATED = {"status-code": "201", "reason": "Created", "state": "ACCEPTING"}


def _read(*entries: object, status: int = 201) -> Outcomes:
    return outcomes([A, B], Answer(status, "Created", json.dumps({"job": entries}).encode(), {}))


def test_results_come_in_the_order_of_the_request() -> None:
    refused = {"status-code": "500", "reason": "emies:adl parsing error"}
    assert _read(refused, CREATED | {"id": "1"}) == {A: Refused("emies:adl parsing error", for_good=True), B: "1"}


def test_a_refusal_without_a_reason() -> None:
    assert _read({"status-code": "500"}, CREATED | {"id": "1"})[A] == Refused("no reason given", for_good=False)


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([CREATED | {"id": "1"}], id="too few"),
        pytest.param([CREATED | {"id": str(n)} for n in range(3)], id="too many"),
        pytest.param([CREATED | {"id": "1"}] * 2, id="an id twice"),
        pytest.param([], id="none"),
    ],
)
def test_results_that_cannot_be_matched_leave_all_open(entries: list[object]) -> None:
    assert _all(_read(*entries), OutcomeLost, "for 2 jobs")


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(CREATED, id="created without an id"),
        pytest.param({"status-code": "500", "reason": "no", "id": "2"}, id="refused with an id"),
        pytest.param({}, id="empty"),
        pytest.param({"status-code": "2O1", "id": "2"}, id="no number"),
    ],
)
def test_a_result_that_contradicts_itself_is_open(entry: dict[str, str]) -> None:
    found = _read(CREATED | {"id": "1"}, entry)
    assert found[A] == "1"
    assert isinstance(found[B], OutcomeLost)


@pytest.mark.parametrize("bad", [{"id": "../1", **CREATED}, "text", 7])
def test_results_that_are_none_are_the_peers_fault(bad: object) -> None:
    with pytest.raises(ProtocolError):
        _read(CREATED | {"id": "1"}, bad)

"""The legacy words: reports that the old server binds and reads as they were meant, answers that never say too much."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from act_core.atlas.panda_legacy_dialect import (
    NAMES,
    code_of,
    lacking,
    must,
    must_pair,
    read,
    read_answer,
    read_attributes,
    read_jobs,
    read_statistics,
    read_statuses,
    report,
)
from act_core.atlas.pilot_word import parse_heartbeat
from act_core.atlas.reports import ActiveJobs, Attributes, Outcome, Update
from act_core.errors import ActError, CredentialError, ProtocolError, Transient
from act_core.simulators.panda_legacy_fields import SIGNATURES, arguments_of, bound
from act_core.simulators.panda_states import REPORTABLE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.sampled_from(
        ["StatusCode", "command", "type", "content", "jobs", "data"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
AMOUNTS = ("cpu_conversion_factor", "max_", "avg_", "tot_", "rate_")
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=30)


def _value(name: str, annotation: str) -> st.SearchStrategy[object]:
    if name.startswith(AMOUNTS):
        return st.integers(0, 10**9) | st.floats(0, 1e9)
    if "int" in annotation:
        return st.integers(-(2**31), 2**31 - 1)
    return st.just("2026-11-21 00:00:00") if name.endswith("_time") else TEXTS


def _updates() -> st.SearchStrategy[Update]:
    fixed = {"job_id", "job_status"}
    optional = {
        name: _value(name, str(field.annotation)) for name, field in Update.model_fields.items() if name not in fixed
    }
    needed: dict[str, st.SearchStrategy[Any]] = {
        "job_id": st.integers(1, 10**12), "job_status": st.sampled_from(REPORTABLE),
    }  # fmt: skip
    return st.fixed_dictionaries(needed, optional=optional).map(Update.model_validate)


def test_every_field_has_a_name_that_the_server_knows() -> None:
    assert set(NAMES) == set(Update.model_fields)
    known = SIGNATURES["updateJob"]
    assert set(NAMES.values()) <= {*known.required, *known.optional}
    assert len(set(NAMES.values())) == len(NAMES)


@given(_updates())
def test_the_server_reads_what_was_meant(update: Update) -> None:
    """The form is all text; bound and converted by the server it is the report of the new API."""
    said = report(update)
    assert all(isinstance(value, str) for value in said.values())
    bound("updateJob", said)
    understood = {
        name: value for name, value in arguments_of(json.loads(json.dumps(said))).items() if value is not None
    }
    for name, value in update.body().items():
        if name.startswith("rate_"):
            assert understood[name] == min(round(float(str(value))), 10**10) * 1024
        elif name.startswith(AMOUNTS[1:]):
            assert understood[name] == round(float(str(value)))
        else:
            assert understood.get(name, "") == value
    assert set(understood) - set(update.body()) == set()


@given(_updates())
def test_the_pilots_spelling_is_the_same(update: Update) -> None:
    said = parse_heartbeat(json.dumps(report(update, {"xml"})), update.job_id).fields
    own = {name: value for name, value in update.body().items() if isinstance(value, int) and name in said}
    assert {name: said[name] for name in own} == own


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_is_never_reported(number: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Update(job_id=1, job_status="running", tot_rchar=number)


def test_what_a_server_is_too_old_for_is_left_out() -> None:
    update = Update(job_id=1, job_status="running", grid="g", node="n")
    assert report(update, {"grid"}) == {"jobId": "1", "state": "running", "node": "n"}


@pytest.mark.parametrize(
    ("name", "found"),
    [("grid", "grid"), ("xml", None), ("zzz", None), ("jobId", None), ("attemptNr", None), ("job_id", None)],
)
def test_only_what_can_be_missed_is_left_out(name: str, found: str | None) -> None:
    words = f"[...] failed with TypeError updateJob() got an unexpected keyword argument '{name}'"
    assert lacking(words) == found


@given(st.dictionaries(st.from_regex(r"[A-Za-z]{1,9}", fullmatch=True), st.text(st.characters(codec="utf-8"))))
def test_all_forms_of_an_answer_say_the_same(answer: Mapping[str, str]) -> None:
    forms = (answer, json.dumps(answer), {"type": "json", "content": json.dumps(answer)})
    if answer.get("type") != "json":
        assert [read(form) for form in forms] == [answer] * 3
    if answer:
        assert read(urlencode(answer)) == answer


@given(JSON)
def test_nothing_but_a_zero_and_a_command_is_accepted(said: object) -> None:
    answer = read(said)
    if read_answer(answer).outcome is Outcome.ACCEPTED:
        assert answer["StatusCode"] in (0, "0", "00", "000", "0000")
        assert "command" in answer
    else:
        code = answer.get("StatusCode")
        assert not (type(code) is int and code == 0 and "command" in answer)


@pytest.mark.parametrize(
    ("said", "outcome", "command"),
    [
        ("StatusCode=0&command=NULL", Outcome.ACCEPTED, ""),
        ("StatusCode=0&command=None", Outcome.ACCEPTED, ""),
        ("StatusCode=0&command=", Outcome.ACCEPTED, ""),
        ({"StatusCode": 0, "command": None}, Outcome.ACCEPTED, ""),
        ({"type": "json", "content": '{"StatusCode": 0, "command": "NULL"}'}, Outcome.ACCEPTED, ""),
        ({"type": "json", "content": {"StatusCode": "0", "command": "tobekilled"}}, Outcome.ACCEPTED, "tobekilled"),
        ("StatusCode=0&command=debug%2Ctobekilled", Outcome.ACCEPTED, "debug,tobekilled"),
        ("command=tobekilled&StatusCode=0&pilotSecrets=x", Outcome.ACCEPTED, "tobekilled"),
        ("StatusCode=0", Outcome.LATER, ""),
        ("command=NULL", Outcome.LATER, ""),
        ("command=tobekilled", Outcome.LATER, ""),
        ("StatusCode=10&command=tobekilled", Outcome.LATER, ""),
        ({"StatusCode": 10**30}, Outcome.LATER, ""),
        ({"StatusCode": 0.0, "command": None}, Outcome.LATER, ""),
        ({"StatusCode": False, "command": None}, Outcome.LATER, ""),
        ("StatusCode=0&command=NULL" + "&" * 2000, Outcome.LATER, ""),
        ("StatusCode=&command=NULL", Outcome.LATER, ""),
        ("StatusCode=0.4&command=NULL", Outcome.LATER, ""),
        ("StatusCode=\u0660&command=NULL", Outcome.LATER, ""),
        ({"StatusCode": False, "command": "NULL"}, Outcome.LATER, ""),
        ({"StatusCode": 0.0, "command": "NULL"}, Outcome.LATER, ""),
        ("StatusCode=10", Outcome.LATER, ""),
        ("StatusCode=20", Outcome.LATER, ""),
        ("StatusCode=30&command=NULL", Outcome.LATER, ""),
        ("StatusCode=50", Outcome.REFUSED, ""),
        ("StatusCode=60", Outcome.LATER, ""),
        ("StatusCode=70", Outcome.LATER, ""),
        ("StatusCode=80", Outcome.LATER, ""),
        ("StatusCode=90", Outcome.LATER, ""),
        ("StatusCode=999", Outcome.LATER, ""),
        ("", Outcome.LATER, ""),
        (None, Outcome.LATER, ""),
        (True, Outcome.LATER, ""),
        ("True", Outcome.LATER, ""),
        ("[0]", Outcome.LATER, ""),
        ("[" * 100_000, Outcome.LATER, ""),
        ({"type": "json", "content": "{"}, Outcome.LATER, ""),
        ({"type": "json"}, Outcome.LATER, ""),
    ],
    ids=lambda value: str(value)[:50],
)
def test_answers_to_a_report(said: object, outcome: Outcome, command: str) -> None:
    answer = read_answer(read(said))
    assert (answer.outcome, answer.command) == (outcome, command)
    assert answer.settled is (outcome is Outcome.ACCEPTED)
    assert len(answer.message) < 100
    assert answer.message or outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("10", Transient), ("30", Transient), ("50", CredentialError), ("60", CredentialError),
        ("70", CredentialError), ("80", CredentialError), ("90", CredentialError), ("999", Transient),
        ("", Transient), ("zero", Transient),
    ],
)  # fmt: skip
def test_codes_of_a_whole_call(code: str, verdict: type[ActError]) -> None:
    with pytest.raises(verdict, match="PanDA refuses getJob: StatusCode") as caught:
        must("getJob", {"StatusCode": code, "errorDialog": "because"})
    assert type(caught.value) is verdict
    assert str(caught.value).endswith("because")


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("", ProtocolError), ("{}", ProtocolError), ("[true]", ProtocolError), ("[0, []]", ProtocolError),
        ("true", ProtocolError), ("[" * 100_000, ProtocolError), ("StatusCode=60", ProtocolError),
        ('[false, "updateJobsInBulk a failed with TypeError x"]', ProtocolError), ("[false, null]", ProtocolError),
        ('[false, "database error in the PanDA server"]', Transient),
        ('[false, "SSL secure connection is required"]', CredentialError),
        ('[false, "production or pilot role required"]', CredentialError),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_pairs_that_are_no_success(said: str, verdict: type[ActError]) -> None:
    with pytest.raises(verdict) as caught:
        must_pair("updateJobsInBulk", said)
    assert type(caught.value) is verdict
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("answer", "jobs"),
    [
        ({"jobs": [{"PandaID": 1}]}, [{"PandaID": 1}]),
        ({"jobs": '[{"PandaID": 1}]'}, [{"PandaID": 1}]),
        ({"StatusCode": "0", "PandaID": "1"}, [{"StatusCode": "0", "PandaID": "1"}]),
        ({"jobs": []}, []),
        ({"jobs": "[{"}, None),
        ({"jobs": "{}"}, None),
        ({"jobs": None}, None),
        ({"StatusCode": 0}, None),
    ],
)
def test_jobs_in_each_form(answer: Mapping[str, object], jobs: list[object] | None) -> None:
    assert read_jobs(answer) == jobs


@pytest.mark.parametrize(
    ("status", "attempts", "found"),
    [
        ("running+notfound", "1+0", [("running", 1), ("notfound", 0)]),
        ("running+sent", "1+", [("running", 1), ("sent", 0)]),
        ("running+sent", "x+99999999999", [("running", 0), ("sent", 0)]),
        ("running", "1+0", None),
        ("running+sent", "1", None),
        ("running+", "1+0", None),
        ("", "", None),
    ],
)
def test_statuses_are_told_by_their_order(status: str, attempts: str, found: object) -> None:
    assert read_statuses({"status": status, "attemptNr": attempts}, 2) == found


def test_statistics_without_what_has_ended() -> None:
    counts = {"running": 3, "activated": 0, "finished": 9, "failed": 1, "closed": 2, "odd": "x"}
    stats = {"managed": {"SCORE": counts, "MCORE": 7}, "user": []}
    assert list(read_statistics(stats)) == [ActiveJobs("SCORE", "managed", "running", 3)]
    assert list(read_statistics(None)) == []


def test_attributes_by_what_the_tls_module_found() -> None:
    said = (
        "GRST_CRED_0 : X509USER 1795000000 1895000000 1 /DC=ch/CN=Ro Bot\n"
        "GRST_CRED_1 : GSIPROXY 1795000000 1795040000 1 /DC=ch/CN=Ro Bot/CN=123\n"
        "GRST_CRED_2 : VOMS 1795000000 1795040000 0 /atlas/Role=production/Capability=NULL\n"
        "GRST_CRED_3 : VOMS\nodd\n"
    )
    production = "/atlas/Role=production/Capability=NULL"
    assert read_attributes(said, production=True) == Attributes("/DC=ch/CN=Ro Bot", (production,), production=True)
    assert read_attributes("", production=False) == Attributes("", (), production=False)


@given(JSON)
def test_no_answer_breaks_a_reader(said: object) -> None:
    answer = read(said)
    code_of(answer)
    read_jobs(answer)
    read_statuses(answer, 1)
    list(read_statistics(said))

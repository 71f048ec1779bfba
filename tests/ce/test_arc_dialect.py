"""What A-REX says, read: states and lists, as 6.17 and 7 write them and as nobody should write them."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from act_core.ce import arc_dialect as dialect
from act_core.errors import ProtocolError
from act_core.states import LIFE, CeState

S = CeState
OLD = b'{"job":{"status-code":"201","reason":"Created","id":"xmj","state":"ACCEPTING"}}'
NEW = b'{"job":[{"status-code":"201","reason":"Created","id":"xmj","state":"ACCEPTING"}]}'


@pytest.mark.parametrize(
    ("word", "state"),
    [
        *((word, S.SUBMITTED) for word in ("ACCEPTING", "ACCEPTED", "PREPARING", "PREPARED", "SUBMITTING", "QUEUING")),
        *((word, S.RUNNING) for word in ("RUNNING", "EXITINGLRMS", "EXECUTED", "running")),
        ("HELD", S.HOLDING),
        ("FINISHING", S.FINISHING),
        ("FINISHED", S.FINISHED),
        ("FAILED", S.FAILED),
        ("KILLED", S.CANCELLED),
        ("WIPED", S.LOST),
        *((word, None) for word in ("KILLING", "OTHER", "None", "", "HIBERNATING")),
    ],
)
def test_states(word: str, state: CeState | None) -> None:
    seen = dialect.seen(word)
    assert (seen.state, seen.native) == (state, word)


def test_a_word_without_end_is_cut() -> None:
    assert len(dialect.seen("x" * 1000).native) == 64


def test_the_ends_are_ends() -> None:
    """What `ended` believes must lead out of the states in which a CE is polled."""
    living = {S.SUBMITTED, S.HOLDING, S.RUNNING, S.FINISHING}
    for word in dialect.ENDED:
        state = dialect.STATES[word]
        assert state is not None
        assert not LIFE[state] & living - {S.SUBMITTED}  # a failed job may be restarted


@pytest.mark.parametrize("body", [OLD, NEW], ids=["6.17", "7"])
def test_a_list_of_one(body: bytes) -> None:
    (entry,) = dialect.entries(body)
    assert dialect.listed(body) == ["xmj"]
    assert dialect.by_id(body) == {"xmj": entry}
    assert (dialect.code(entry), dialect.reason(entry)) == (201, "Created")


@pytest.mark.parametrize(
    "body", [b"", b" \r\n", b"{}", b'{"job":[]}', b'{"job":""}', b'{"job":null}'], ids=lambda body: repr(body)
)
def test_an_empty_list(body: bytes) -> None:
    assert dialect.entries(body) == []
    assert dialect.listed(body) == []


def test_results_are_matched_by_id() -> None:
    body = json.dumps({"job": [{"id": "b"}, {"reason": "no id"}, {"id": "a", "state": "None"}]}).encode()
    assert dialect.by_id(body) == {"b": {"id": "b"}, "a": {"id": "a", "state": "None"}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b'{"job":[{"id":"a"}', 'is not JSON: b\'{"job"', id="half an answer"),
        pytest.param(b"<html>502 Bad Gateway</html>", "is not JSON: b'<html>502", id="a proxy's page"),
        pytest.param(b'{"job":"\xff"}', "is not JSON", id="not UTF-8"),
        pytest.param(b"[" * 100_000, "is not JSON", id="too deep"),
        pytest.param(b'["a"]', "answers list where an object", id="a list"),
        pytest.param(b'"a"', "answers str where an object", id="a text"),
        pytest.param(b"null", "answers NoneType where an object", id="null"),
        pytest.param(b'{"job":["a"]}', "lists 'a' where a job", id="ids alone"),
        pytest.param(b'{"job":[{"id":"a"},null]}', "lists None where a job", id="a null among jobs"),
        pytest.param(b'{"job":0}', "lists 0 where a job", id="a number"),
        pytest.param(b'{"job":[{"id":"a"},{}]}', "a job without id", id="a job without id"),
        pytest.param(b'{"job":{"id":"../../info"}}', "gives a job the id '../../info'", id="an id that is a path"),
        pytest.param(b'{"job":{"id":"a?b"}}', "the id 'a[?]b'", id="an id with a query"),
        pytest.param(b'{"job":{"id":{"a":1}}}', "the id", id="an id that is none"),
        pytest.param(b'{"job":{"id":"' + b"a" * 201 + b'"}}', "the id 'aaa", id="an id without end"),
    ],
)
def test_what_is_no_list_of_jobs(body: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        dialect.listed(body)


@pytest.mark.parametrize(
    ("job", "can_be"),
    [("a1b2", True), ("x" * 54, True), ("", False), ("a/b", False), ("a b", False), ("a\n", False), ("ä", False)],
)
def test_ids_that_a_ce_can_have_given(job: str, can_be: bool) -> None:
    assert dialect.possible(job) is can_be


@pytest.mark.parametrize(
    ("entry", "code"),
    [({"status-code": "404"}, 404), ({"status-code": 200}, 200), ({}, 0), ({"status-code": "2 0"}, 0)],
)
def test_the_status_of_one_element(entry: dict[str, Any], code: int) -> None:
    assert dialect.code(entry) == code


@pytest.mark.parametrize(("said", "reason"), [(" No \n", "No"), ("", "no reason given"), (None, "no reason given")])
def test_reasons(said: str | None, reason: str) -> None:
    assert dialect.reason({"reason": said}) == reason
    assert dialect.reason({}) == "no reason given"


def test_half_a_letter_does_not_get_in() -> None:
    (entry,) = dialect.entries(rb'{"job":{"reason":"a\ud800b"}}')
    assert dialect.reason(entry) == "a?b"


@pytest.mark.parametrize(
    ("body", "versions"),
    [
        pytest.param(b'{"version":"1.0"}', ["1.0"], id="6.17"),
        pytest.param(b'{"version":["1.0","1.1"]}', ["1.0", "1.1"], id="7"),
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"[]", [], id="a list"),
    ],
)
def test_versions(body: bytes, versions: list[str]) -> None:
    assert dialect.versions(body) == versions


@pytest.mark.parametrize(
    ("body", "files", "directories"),
    [
        pytest.param(b'{"file":["err.txt","out.txt"],"dir":["d"]}', ["err.txt", "out.txt"], ["d"], id="7"),
        pytest.param(b'{"file":"out.txt","dir":"d"}', ["out.txt"], ["d"], id="6.17"),
        pytest.param(b"", [], [], id="an empty directory of 6.17"),
        pytest.param(b'{"dir":"d"}', [], ["d"], id="no files"),
    ],
)
def test_listings(body: bytes, files: list[str], directories: list[str]) -> None:
    assert dialect.listing(body) == (files, directories)


@pytest.mark.parametrize("body", [b'{"file": [17]}', b'{"file": {"0": "a"}}', b'{"file": ["a"], "dir": [null]}'])
def test_a_name_that_is_none_is_no_listing(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="names that are none"):
        dialect.listing(body)


def test_a_listing_that_is_none() -> None:
    with pytest.raises(ProtocolError, match="session directory is no object"):
        dialect.listing(b"[]")


_WORDS = st.sampled_from(["job", "id", "State", "Error", "ExitCode", "Domains", "file", "version", "StartTime", "x"])
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | _WORDS
_JSON = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4))


@given(_JSON)
def test_no_answer_leads_to_a_traceback(answer: object) -> None:
    body = json.dumps(answer).encode()
    for read in (dialect.listed, dialect.by_id, dialect.versions, dialect.listing, dialect.capacity):
        with suppress(ProtocolError):
            read(body)
    if isinstance(answer, dict):
        dialect.facts(answer)
        dialect.name_of({"info_document": {"ComputingActivity": answer}})

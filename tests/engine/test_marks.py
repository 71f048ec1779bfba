"""What travels with a job, written and read again."""

import contextlib
from base64 import urlsafe_b64encode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from act_core.engine.marks import LONGEST, Mark, mark_of, marked, read, written
from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec, OutputFile
from act_core.states import CeState
from tests.engine.conftest import _attempt

SECRET = "a text that nobody shall read off a CE"
ATTEMPT = _attempt(CeState.SUBMITTING, share="")
SPEC = JobSpec(
    executable="run.sh",
    arguments=(SECRET,),
    environment={"TOKEN": SECRET},
    stdin="in.txt",
    inputs=(InputFile(name="run.sh", content=SECRET),),
    outputs=(OutputFile(name="home.txt"), OutputFile(name="away.root", target="davs://se/away.root")),
    fetch=("heartbeat.json", "diagnose=gmlog/"),
    log_dir="gmlog",
    memo='{"server": "panda"}',
)


def test_a_mark_names_the_attempt_and_keeps_what_is_needed_later() -> None:
    attempt = replace(ATTEMPT, app="atlas", app_job_id="7.1", attempt=3, share="UIO")
    mark = read(str(marked(attempt, SPEC).mark))
    assert (mark.app, mark.job, mark.attempt, mark.share, mark.bare) == ("atlas", "7.1", 3, "UIO", False)
    assert [out.name for out in mark.spec.outputs] == ["home.txt"]
    assert (mark.spec.fetch, mark.spec.log_dir, mark.spec.memo) == (SPEC.fetch, "gmlog", SPEC.memo)


def test_what_a_job_was_given_stays_out_of_it() -> None:
    text = mark_of(ATTEMPT, SPEC).model_dump_json()
    assert SECRET not in text
    assert "away.root" not in text


def test_a_job_without_files_of_ours_waits_for_nothing_but_the_commit() -> None:
    assert mark_of(ATTEMPT, JobSpec(executable="/bin/true")).bare


def test_the_mark_is_stored_nowhere() -> None:
    assert "mark" not in marked(ATTEMPT, SPEC).model_dump()


@pytest.mark.parametrize(
    "text",
    ["", "act", "====", "ä", "e30=", "A" * (LONGEST + 1), urlsafe_b64encode(b'{"app": "x", "job": 1}').decode()],
    ids=["empty", "a word", "padding", "no ASCII", "no fields", "too long", "wrong types"],
)
def test_what_is_no_mark_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read(text)


@given(st.text(max_size=40))
def test_whatever_a_ce_says_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadInput):
        assert isinstance(read(text), Mark)


@given(st.text(min_size=1, max_size=64), st.text(max_size=100))
def test_any_name_and_memo_survive_the_way(job: str, memo: str) -> None:
    mark = Mark(app="a", job=job, attempt=1, spec=JobSpec(executable="x", memo=memo))
    assert read(written(mark)) == mark

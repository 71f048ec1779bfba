"""What becomes of a job that a CE names and no table knows. Pure."""

from collections.abc import Callable

import pytest

from act_core.ce.base import RemoteId, Seen, SubmissionKey
from act_core.db.attempts import Attempt
from act_core.db.rebuilding import Known
from act_core.db.recovery import OfCe, Stand, Told
from act_core.engine.marks import Found, Mark
from act_core.engine.rebuilding import Fate, fate, planned
from act_core.jobspec import JobSpec
from act_core.states import CeState
from tests.engine.conftest import BEGINNING

S = CeState


def found(attempt: int = 1, state: CeState | None = S.RUNNING, *, job: str = "j1", bare: bool = True) -> Found:
    mark = Mark(app="manual", job=job, attempt=attempt, bare=bare, spec=JobSpec(executable="x"))
    return Found(RemoteId(f"r-{job}-{attempt}"), SubmissionKey(f"k-{job}-{attempt}"), mark, Seen(state, "word"))


def known(attempt: int) -> Known:
    return Known(attempt, SubmissionKey(f"old{attempt}"), None)


@pytest.mark.parametrize(
    ("one", "there", "over", "unread", "what"),
    [
        (found(), [], False, False, Fate.LIVES),
        (found(2), [known(1)], False, False, Fate.LIVES),
        (found(1), [known(2)], False, False, Fate.BEHIND),
        (found(1), [known(2)], True, True, Fate.BEHIND),
        (found(1), [known(1)], False, False, Fate.NOBODYS),
        (found(1), [known(1), known(2)], False, False, Fate.NOBODYS),
        (found(), [], True, False, Fate.UNWANTED),
        (found(state=S.FAILED), [], False, True, Fate.LATER),
        (found(state=S.CANCELLED), [], False, True, Fate.LATER),
        (found(state=S.FINISHED), [], False, True, Fate.LATER),
        (found(state=S.FAILED), [], False, False, Fate.LIVES),
        (found(state=S.RUNNING), [], False, True, Fate.LIVES),
        (found(state=None), [], False, True, Fate.LIVES),
    ],
)
def test_a_fate(one: Found, there: list[Known], over: bool, unread: bool, what: Fate) -> None:
    assert fate(one, there, over, unread) is what


def test_of_two_living_attempts_the_later_one_goes_on() -> None:
    plan = planned([found(1), found(2)], {}, (), others_unread=False, two_phase=True)
    by_attempt = {one.attempt: one for one in plan.new}
    assert by_attempt[2].behind is None
    assert by_attempt[1].behind == found(2).key


def test_an_earlier_attempt_of_an_older_copy_is_passed(attempt: Callable[..., Attempt]) -> None:
    row = attempt(S.TOSUBMIT, attempt=1)
    there = {("manual", "j1"): [Known(1, row.key, row)]}
    plan = planned([found(2)], there, (), others_unread=False, two_phase=True)
    assert plan.passed == {found(2).key: row}


def test_only_what_waits_for_nothing_else_may_get_its_commit() -> None:
    both = [found(job="a"), found(job="b", bare=False)]
    plan = planned(both, {}, (), others_unread=False, two_phase=True)
    assert {one.job: one.commit for one in plan.new} == {"a": True, "b": False}
    assert not planned(both[:1], {}, (), others_unread=False, two_phase=False).new[0].commit


def test_what_its_application_calls_over_is_unwanted() -> None:
    plan = planned([found()], {}, {("manual", "j1")}, others_unread=False, two_phase=True)
    assert plan.new[0].unwanted


def stand(*ces: OfCe) -> Stand:
    return Stand(BEGINNING, "why", "who", ces)


@pytest.mark.parametrize(
    ("ces", "unread", "looked", "to_read"),
    [
        ((OfCe("a"), OfCe("b", Told.READ)), {"a"}, False, {"a"}),
        ((OfCe("a", Told.SILENT), OfCe("b", Told.READ, later=3)), {"a"}, True, {"a"}),
        ((OfCe("a", Told.READ), OfCe("b", Told.READ, later=3)), set(), True, {"b"}),
        ((OfCe("a", Told.WITHOUT), OfCe("b", Told.READ, later=3)), set(), True, {"b"}),
        ((OfCe("a", Told.READ), OfCe("b", Told.READ)), set(), True, set()),
    ],
)
def test_a_stand(ces: tuple[OfCe, ...], unread: set[str], looked: bool, to_read: set[str]) -> None:
    one = stand(*ces)
    assert (set(one.unread), one.looked, set(one.to_read)) == (unread, looked, to_read)

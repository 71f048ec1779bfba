"""What a CE's whole list says of jobs that its other answers do not know."""

from datetime import datetime, timedelta

import pytest

from act_core.ce.base import Listing, RemoteId, SubmissionKey
from act_core.db.brakes import Kind
from act_core.db.evidence import Missing
from act_core.engine import witness
from act_core.engine.reconcile import suspicious
from act_core.engine.witness import Asked, Word, after_word

MINUTE = timedelta(minutes=1)
WINDOW = 10 * MINUTE
GONE, OLD = [RemoteId(f"gone{n}") for n in range(3)], [RemoteId(f"old{n}") for n in range(4)]
KEYS = frozenset(SubmissionKey(f"key-{one}") for one in GONE)


def missing(older: list[RemoteId]) -> Missing:
    return Missing(frozenset(GONE), KEYS, frozenset(older))


def named(*jobs: RemoteId) -> dict[RemoteId, SubmissionKey]:
    return {job: SubmissionKey(f"key-{job}") for job in jobs}


@pytest.mark.parametrize(
    ("older", "listed", "complete", "word"),
    [
        pytest.param(OLD, OLD, True, Word.CONFIRMS, id="older jobs are there, the missing are not"),
        pytest.param(OLD, OLD[:2], True, Word.CONFIRMS, id="half of them"),
        pytest.param(OLD, OLD[:1], True, Word.NOTHING, id="too few"),
        pytest.param(OLD, OLD, False, Word.NOTHING, id="jobs without a name may be the missing"),
        pytest.param([], [], True, Word.NOTHING, id="nothing older that it could name: amnesia, or another account"),
        pytest.param(OLD, [*OLD, GONE[0]], True, Word.DENIES, id="a missing job is there"),
    ],
)
def test_testimony(older: list[RemoteId], listed: list[RemoteId], complete: bool, word: Word) -> None:
    assert witness.testimony(missing(older), named(*listed), complete) is word


@pytest.mark.parametrize(
    ("word", "agreed", "over", "first"),
    [
        pytest.param(Word.CONFIRMS, None, False, 0, id="the first time"),
        pytest.param(Word.CONFIRMS, 9, False, -9, id="too soon after"),
        pytest.param(Word.CONFIRMS, 10, True, -10, id="the window after"),
        pytest.param(Word.NOTHING, 30, False, None, id="no witness between"),
        pytest.param(Word.DENIES, 30, False, None, id="denied"),
    ],
)
def test_two_words(now: datetime, word: Word, agreed: int | None, over: bool, first: int | None) -> None:
    before = None if agreed is None else now - agreed * MINUTE
    after = None if first is None else now + first * MINUTE
    assert after_word(word, before, now, WINDOW) == (over, after)


def test_the_list_is_asked_about_the_missing_and_the_older_ones() -> None:
    asked = Asked((), {Kind.LOSE: missing(OLD)})
    assert asked.without([*GONE, *OLD, RemoteId("else")]) == {"else"}
    assert Asked().without(GONE) == set(GONE)


@pytest.mark.parametrize(("total", "living", "odd"), [(0, 5, True), (0, 0, False), (3, 5, False)])
def test_a_list_of_nothing(total: int, living: int, odd: bool) -> None:
    assert suspicious(Listing({}, total, 0), living) is odd

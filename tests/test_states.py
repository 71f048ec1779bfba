"""The life of an attempt against the table of the specification, written out here a second time."""

import pytest

from act_core.states import (
    ENDED,
    FINAL,
    LIFE,
    LIVING,
    ON_CE,
    PANDA_FINAL,
    PANDA_LIFE,
    PUBLISHED,
    STRENGTH,
    CeState,
    PandaState,
    Request,
    advances,
)

ENDS = "finishing finished failed cancelling cancelled lost abandoned"
TABLE = {
    "tosubmit": "submitting cancelled",
    "submitting": "submitted void tosubmit donefailed",
    "submitted": f"holding running {ENDS}",
    "holding": f"submitted running {ENDS}",
    "running": f"submitted holding {ENDS}",
    "finishing": "finished failed cancelling cancelled lost abandoned",
    "finished": "done donefailed lost",
    "failed": "submitted donefailed lost",
    "cancelling": "cancelled finished failed lost abandoned",
    "done": "",
    "donefailed": "",
    "cancelled": "",
    "lost": "",
    "void": "",
    "abandoned": "",
}


def test_life_is_the_table() -> None:
    assert {state.value: {to.value for to in nexts} for state, nexts in LIFE.items()} == {
        state: set(nexts.split()) for state, nexts in TABLE.items()
    }


def test_final_states() -> None:
    assert {state.value for state in FINAL} == {"done", "donefailed", "cancelled", "lost", "void", "abandoned"}


def _reached(start: CeState) -> set[CeState]:
    reached, fresh = {start}, {start}
    while fresh:
        fresh = {to for state in fresh for to in LIFE[state]} - reached
        reached |= fresh
    return reached


def test_every_state_can_be_reached_from_the_first_one() -> None:
    assert _reached(CeState.TOSUBMIT) == set(CeState)


@pytest.mark.parametrize("state", CeState)
def test_every_state_can_come_to_an_end(state: CeState) -> None:
    assert _reached(state) & FINAL


@pytest.mark.parametrize("state", CeState)
def test_no_state_leads_to_itself(state: CeState) -> None:
    assert state not in LIFE[state]


def test_the_sets_of_states_are_distinct_and_complete() -> None:
    assert not LIVING & ENDED
    assert not (LIVING | ENDED) & FINAL
    assert LIVING | ENDED | FINAL | {CeState.TOSUBMIT, CeState.SUBMITTING} == set(CeState)
    assert set(CeState) - FINAL - {CeState.TOSUBMIT} == ON_CE


SEEN = ("submitted", "holding", "running", "finishing", "finished", "failed", "cancelled", "lost")
FORWARD = {
    "submitted": "holding running finishing finished failed cancelled lost",
    "holding": "submitted running finishing finished failed cancelled lost",
    "running": "holding finishing finished failed cancelled lost",
    "finishing": "finished failed cancelled lost",
    "cancelling": "finished failed cancelled lost",
}


@pytest.mark.parametrize("now", CeState)
@pytest.mark.parametrize("seen", CeState)
def test_a_word_of_the_ce_only_moves_a_living_job_forward(now: CeState, seen: CeState) -> None:
    expected = seen.value in FORWARD.get(now.value, "").split()
    assert advances(now, seen) is expected


def test_only_a_running_job_may_be_queued_again_and_only_where_that_happens() -> None:
    back = {(now, seen) for now in CeState for seen in CeState if advances(now, seen, True) and not advances(now, seen)}
    assert back == {(CeState.RUNNING, CeState.SUBMITTED)}


@pytest.mark.parametrize("now", sorted(LIVING))
@pytest.mark.parametrize("seen", SEEN)
def test_what_advances_is_a_legal_move(now: CeState, seen: str) -> None:
    word = CeState(seen)
    assert not advances(now, word) or word in LIFE[now]


def test_wishes_by_strength() -> None:
    assert sorted(Request, key=lambda request: -STRENGTH[request]) == [
        Request.CLEAN,
        Request.CANCEL,
        Request.RESUBMIT,
        Request.RERUN,
        Request.FETCH,
    ]


def test_published_words_stay_visible() -> None:
    assert set(PUBLISHED.values()) == {"tofetch", "torerun", "toresubmit", "tocancel", "toclean"}


def test_a_panda_job_closes_from_everywhere() -> None:
    assert frozenset({PandaState.CLOSED}) == PANDA_FINAL
    for state, nexts in PANDA_LIFE.items():
        assert state is PandaState.CLOSED or PandaState.CLOSED in nexts

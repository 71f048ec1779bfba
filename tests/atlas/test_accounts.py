"""The arithmetic of the books: pure, without tables."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from act_core.atlas.accounts import (
    PIECE,
    Account,
    Books,
    Counted,
    Finding,
    Spent,
    Tried,
    bounds,
    cause_of,
    changes,
    patience,
    pieces,
    tally,
    total,
    twice_executed,
)
from act_core.atlas.books import HARVESTER
from act_core.atlas.final import for_the_books
from act_core.atlas.hand_back import after_delivery
from act_core.atlas.heartbeat import after_report
from act_core.atlas.reports import Outcome, Update, UpdateAnswer
from act_core.states import CeState, PandaEnd, PandaState, end_of
from tests.atlas.house import BOOKED

DAY = date(2026, 3, 2)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
S, E = CeState, PandaEnd


def later(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("state", "told", "end"),
    [
        pytest.param(PandaState.TOREPORT, "finished", E.FINISHED, id="told finished"),
        pytest.param(PandaState.TOREPORT, "failed", E.FAILED, id="told failed"),
        pytest.param(PandaState.AWAITING, "failed", E.FAILED, id="its pilot told failed"),
        pytest.param(PandaState.AWAITING, "cancelled", E.TAKEN_BACK, id="PanDA cancelled it"),
        pytest.param(PandaState.RUNNING, "failed", E.TAKEN_BACK, id="PanDA failed it while we ran it"),
        pytest.param(PandaState.STARTING, None, E.TAKEN_BACK, id="PanDA was told nothing"),
        pytest.param(PandaState.TOKILL, "running", E.KILLED, id="killed"),
    ],
)
def test_how_a_job_ends_by_where_it_stood_and_what_panda_knows(
    state: PandaState, told: str | None, end: PandaEnd
) -> None:
    assert end_of(state, told) is end


@pytest.mark.parametrize(
    ("report", "before", "end", "cause"),
    [
        ({"job_status": "finished"}, False, E.FINISHED, None),
        ({"job_status": "finished"}, True, E.TAKEN_BACK, None),
        ({"job_status": "failed", "pilot_error_code": 1137}, False, E.FAILED, "pilot 1137"),
        ({"job_status": "failed", "pilot_error_code": 0, "exe_error_code": 65}, False, E.FAILED, "payload 65"),
        ({"job_status": "failed", "trans_exit_code": 40}, False, E.FAILED, "transformation 40"),
        ({"job_status": "failed", "pilot_error_code": 1144}, True, E.KILLED, "pilot 1144"),
    ],
    ids=str,
)
def test_a_final_report_says_how_its_job_ended(
    report: dict[str, object], before: bool, end: PandaEnd, cause: str | None
) -> None:
    assert for_the_books(report, before) == {"ended_as": end.value, "cause": cause}


@pytest.mark.parametrize(
    ("command", "resent", "end"),
    [
        pytest.param("", False, "finished", id="taken"),
        pytest.param("tobekilled", False, "taken back", id="PanDA had closed it"),
        pytest.param("alreadydone", False, "taken back", id="PanDA had failed it"),
        pytest.param("alreadydone", True, "finished", id="an earlier one had arrived"),
        pytest.param("tobekilled", True, "finished", id="an earlier one had arrived, and the job is archived"),
    ],
)
def test_who_ended_a_job_follows_from_pandas_answer(command: str, resent: bool, end: str) -> None:
    row = replace(BOOKED, state=PandaState.TOREPORT, report='{"job_status": "finished"}')
    change = after_report(row, UpdateAnswer(Outcome.ACCEPTED, command), NOON, timedelta(minutes=30), resent=resent)
    assert (change.to, change.columns["ended_as"]) == (PandaState.CLOSED, end)


def test_an_account_balances_or_says_what_is_missing() -> None:
    good = Account("A", opening=3, taken=10, finished=5, failed=2, killed=1, taken_back=1, in_flight=4)
    assert (good.given_back, good.missing) == (2, 0)
    assert replace(good, finished=4).missing == 1
    assert replace(good, in_flight=6).missing == -2
    assert total([good, good], "both") == Account("both", 6, 20, 10, 4, 2, 2, 8)


def test_what_the_day_before_closed_with_is_what_the_rows_are_held_against() -> None:
    rows = [Counted("A", None, True, 2), Counted("A", E.FINISHED, True, 1), Counted("A", E.KILLED, False, 1)]
    believed = Account("A", opening=3, taken=1, finished=1, killed=1, in_flight=2)
    assert tally(rows, None) == (believed,)
    assert tally(rows, {"A": 3}) == (believed,)
    (short,) = tally(rows, {"A": 4})
    assert short.missing == 1
    assert [(one.queue, one.missing) for one in tally([], {"B": 2, "C": 0})] == [("B", 2)]


@given(st.lists(st.tuples(st.sampled_from([None, *E]), st.booleans(), st.integers(0, 9))))
def test_rows_that_are_believed_always_balance(lines: list[tuple[PandaEnd | None, bool, int]]) -> None:
    assert all(one.missing == 0 for one in tally([Counted("A", *line) for line in lines], None))


@given(st.integers(0, 100 * 3600))
def test_pieces_cover_a_span_without_a_gap(seconds: int) -> None:
    start, end = NOON, NOON + timedelta(seconds=seconds)
    found = list(pieces(start, end))
    assert (found[0][0], found[-1][1]) == (start, end)
    assert all(one[1] == next_[0] for one, next_ in pairwise(found))
    assert all(until - since <= PIECE for since, until in found)


def test_a_day_is_one_of_utc() -> None:
    assert bounds(DAY) == (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC))


@pytest.mark.parametrize(
    ("end", "code", "state", "superseded", "rule", "cause"),
    [
        (E.FINISHED, None, S.DONE, False, None, "delivered"),
        (E.FINISHED, None, S.LOST, False, None, "delivered"),
        (E.FINISHED, None, S.DONEFAILED, True, "node", "resubmitted"),
        (E.FINISHED, None, S.VOID, True, None, "void"),
        (E.FAILED, "pilot 1137", S.DONE, False, None, "failed: pilot 1137"),
        (E.FAILED, "pilot 1137", S.DONEFAILED, False, "stage-out", "failed: rule stage-out"),
        (E.FAILED, None, S.DONEFAILED, False, None, "failed: no code"),
        (E.FAILED, "pilot 1008", S.LOST, False, None, "lost"),
        (E.FAILED, "pilot 1008", S.ABANDONED, False, None, "abandoned"),
        (E.KILLED, "pilot 1144", S.CANCELLED, False, None, "killed"),
        (E.TAKEN_BACK, None, S.DONE, False, None, "taken back"),
    ],
    ids=str,
)
def test_what_core_hours_went_to(
    end: PandaEnd, code: str | None, state: CeState, superseded: bool, rule: str | None, cause: str
) -> None:
    assert cause_of(end, code, state, superseded, rule) == cause


def tried(attempt: int, state: CeState, ran: bool = True, start: float = 0, end: float | None = None) -> Tried:
    return Tried("7.1", attempt, state, "ce1", later(start), None if end is None else later(end), ran)


OVER = (S.FINISHED, S.FAILED, S.DONE, S.DONEFAILED, S.CANCELLED)


@pytest.mark.parametrize("state", sorted(set(S) - set(OVER)))
def test_two_that_ran_are_two_executions_unless_the_first_is_known_to_be_over(state: CeState) -> None:
    found = twice_executed([tried(2, S.DONE, start=60), tried(1, state)])
    assert found == Finding("7.1", f"attempts 1 (ce1) and 2 (ce1) have run, and the earlier one is {state.value}")


@pytest.mark.parametrize("state", OVER)
def test_what_was_over_in_time_may_be_followed(state: CeState) -> None:
    assert twice_executed([tried(1, state, end=30), tried(2, S.DONE, start=30)]) is None
    late = twice_executed([tried(1, state, end=31), tried(2, S.DONE, start=30)])
    assert late is not None
    assert late.why.endswith("the later one from 12:30:00, the earlier one until 12:31:00")


def test_what_never_ran_is_no_execution() -> None:
    assert twice_executed([tried(1, S.VOID, ran=False), tried(2, S.DONE)]) is None
    assert twice_executed([tried(1, S.LOST), tried(2, S.VOID, ran=False)]) is None
    assert twice_executed([tried(1, S.LOST)]) is None


def test_only_jobs_at_a_ce_or_in_pandas_hands_may_take_long() -> None:
    bound = patience(timedelta(days=1), timedelta(days=10))
    assert set(bound) == set(PandaState) - {PandaState.CLOSED}
    long = {PandaState.STARTING, PandaState.RUNNING, PandaState.AWAITING}  # PanDA may hold the last for two days
    assert {state for state, time in bound.items() if time.days == 10} == long


def test_what_a_second_closing_changes_is_told_in_words() -> None:
    old = Books(DAY, "s", NOON, (Account("A", taken=2, finished=2),), (Spent("A", "ce1", "lost", 1, 60),))
    new = replace(old, accounts=(Account("A", taken=2, finished=1), Account("B", taken=1)), spent=())
    new = replace(new, doubly=(Finding("7.1", "…"),), unaccounted=(Finding("8.1", "…"),))
    assert changes(old, old) == ()
    assert changes(old, new) == (
        "A: finished 2 → 1",
        "B: taken 0 → 1",
        "core-seconds lost: 60 → 0",
        "unaccounted: 8.1 is new",
        "doubly: 7.1 is new",
    )
    assert "doubly: 7.1 is gone" in changes(new, old)


def test_a_day_is_good_if_nothing_is_unaccounted_twice_or_missing() -> None:
    good = Books(DAY, "s", NOON, (Account("A", taken=1, finished=1),), unverified=(Finding("7.1", "…"),))
    assert good.good
    assert not replace(good, accounts=(Account("A", taken=1),)).good
    assert not replace(good, doubly=good.unverified).good
    assert not replace(good, unaccounted=good.unverified).good


def said(status: str, code: int | None = None) -> Update:
    return Update.model_validate({"job_id": 7, "attempt_nr": 1, "job_status": status, "pilot_error_code": code})


@pytest.mark.parametrize(
    ("report", "told", "ended_as", "cause"),
    [
        (said("finished"), "finished", "finished", None),
        (said("failed", 1008), "finished", "finished", None),  # a true pilot's: we know only that its CE job went well
        (said("failed", 1213), "failed", "failed", "pilot 1213"),
        (said("failed", 1144), "cancelled", "killed", "pilot 1144"),
    ],
)
def test_the_books_know_how_a_harvesters_job_ended(report: Update, told: str, ended_as: str, cause: str | None) -> None:
    row = replace(BOOKED, state=PandaState.TOREPORT, reporter=HARVESTER)
    change = after_delivery(row, report, told, None, NOON)
    assert (change.columns["ended_as"], change.columns["cause"]) == (ended_as, cause)

"""Settle, the only door: checked, guarded by version, recorded; wishes survive it; successors are fenced."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from act_core.db import claims, wishes
from act_core.db.attempts import Attempt
from act_core.decisions import Decision, Move, Stay
from act_core.states import CeState, Request

S = CeState
Statements = Callable[[], list[tuple[str, Any]]]


def _settle(rows: Any, decisions: dict[Attempt, Decision], seconds: int = 1) -> claims.Settled:
    now = rows.now + timedelta(seconds=seconds)
    settled: claims.Settled = rows.db.write(claims.settle, decisions, now, "test")
    return settled


def _states(rows: Any, *names: str) -> dict[str, str]:
    return {name: attempt.state.value for name, attempt in rows.pick(*names).items()}


def test_a_move_is_written_and_recorded(rows: Any) -> None:
    rows.add("a")
    attempt = rows.pick("a")["a"]
    settled = _settle(rows, {attempt: Move(S.SUBMITTING, "to ce1", {"ce": "ce1", "error": "ä" * 5000})})
    row = rows.all("a")[0]
    assert settled.written == {attempt.id}
    assert (row.state, row.ce, row.version, row.news) == ("submitting", "ce1", 1, True)
    assert row.state_since == row.modified == rows.now + timedelta(seconds=1)
    assert len(row.error) == 1024
    assert rows.events() == [("tosubmit", "submitting", "to ce1", "test")]


def test_a_stay_is_silent_unless_it_has_a_reason(rows: Any) -> None:
    rows.add("a", "b")
    a, b = rows.pick("a", "b").values()
    _settle(rows, {a: Stay({"tries": 2}), b: Stay({"tries": 3}, reason="because")})
    assert [(row.tries, row.state, row.news) for row in (*rows.all("a"), *rows.all("b"))] == [
        (2, "tosubmit", False),
        (3, "tosubmit", False),
    ]
    assert rows.events() == [("tosubmit", "tosubmit", "because", "test")]


def test_a_move_clears_due_and_tries_unless_it_says_otherwise(rows: Any) -> None:
    rows.add("a", "b")
    rows.put("a", "b", due_at=rows.now, tries=4)
    a, b = rows.pick("a", "b").values()
    later = rows.now + timedelta(hours=1)
    _settle(rows, {a: Move(S.SUBMITTING, "x"), b: Move(S.SUBMITTING, "x", {"due_at": later, "tries": 5})})
    assert [(row.due_at, row.tries) for row in (*rows.all("a"), *rows.all("b"))] == [(None, 0), (later, 5)]


def test_stale_is_dropped_and_counted(rows: Any) -> None:
    rows.add("a", "b")
    a, b = rows.pick("a", "b").values()
    _settle(rows, {a: Move(S.SUBMITTING, "first")})
    settled = _settle(rows, {a: Move(S.CANCELLED, "second"), b: Move(S.CANCELLED, "third")})
    assert (settled.stale, settled.written) == ({a.id}, {b.id})
    assert _states(rows, "a", "b") == {"a": "submitting", "b": "cancelled"}
    assert [event[2] for event in rows.events()] == ["first", "third"]


def test_a_row_that_has_left_is_stale(rows: Any) -> None:
    rows.add("a")
    a = rows.pick("a")["a"]
    ghost = type(a)(**{name: getattr(a, name) for name in type(a).__slots__} | {"id": a.id + 1000})
    assert _settle(rows, {ghost: Move(S.SUBMITTING, "x")}).stale == {ghost.id}


def test_illegal_is_left_and_reported_and_the_rest_written(rows: Any) -> None:
    rows.add("a", "b")
    a, b = rows.pick("a", "b").values()
    settled = _settle(rows, {a: Move(S.DONE, "by magic"), b: Move(S.SUBMITTING, "fine")})
    assert settled.illegal == {a.id: "tosubmit → done: by magic"}
    assert settled.written == {b.id}
    assert _states(rows, "a", "b") == {"a": "tosubmit", "b": "submitting"}
    assert rows.all("a")[0].version == 0


def test_a_column_that_is_not_for_decisions_is_an_error(rows: Any) -> None:
    rows.add("a")
    with pytest.raises(ValueError, match="may not write app"):
        _settle(rows, {rows.pick("a")["a"]: Stay({"app": "other"})})


def test_the_wish_that_was_picked_is_cleared(rows: Any) -> None:
    rows.add("a")
    rows.db.write(wishes.wish, "manual", ["a"], Request.CANCEL, rows.now)
    _settle(rows, {rows.pick("a")["a"]: Move(S.CANCELLED, "as wished", wish_done=True)})
    assert rows.all("a")[0].request is None


def test_a_wish_that_ended_without_a_move_is_news(rows: Any) -> None:
    rows.add("a")
    rows.db.write(wishes.wish, "manual", ["a"], Request.CANCEL, rows.now)
    rows.db.write(claims.hear, list(rows.pick("a").values()))
    assert not rows.all("a")[0].news
    _settle(rows, {rows.pick("a")["a"]: Stay(reason="nothing to cancel", wish_done=True)})
    assert rows.all("a")[0].news


@pytest.mark.parametrize("seconds", [0, 1], ids=["in the same moment", "a second later"])
def test_a_stronger_wish_that_came_meanwhile_is_kept(rows: Any, seconds: int) -> None:
    rows.add("a")
    rows.db.write(wishes.wish, "manual", ["a"], Request.FETCH, rows.now)
    attempt = rows.pick("a")["a"]
    rows.db.write(wishes.wish, "manual", ["a"], Request.CANCEL, rows.now + timedelta(seconds=seconds))
    assert _settle(rows, {attempt: Stay(reason="fetched", wish_done=True)}).written == {attempt.id}
    assert rows.all("a")[0].request == "cancel"


def test_the_same_wish_said_again_is_kept(rows: Any) -> None:
    rows.add("a")
    rows.db.write(wishes.wish, "manual", ["a"], Request.FETCH, rows.now)
    attempt = rows.pick("a")["a"]
    rows.db.write(wishes.wish, "manual", ["a"], Request.FETCH, rows.now + timedelta(seconds=1))
    _settle(rows, {attempt: Stay(reason="fetched", wish_done=True)})
    assert rows.all("a")[0].request == "fetch"


@pytest.mark.parametrize(
    ("has", "wants", "gets"),
    [
        pytest.param(None, Request.CANCEL, "cancel", id="none"),
        pytest.param(Request.FETCH, Request.CANCEL, "cancel", id="a weaker one"),
        pytest.param(Request.CLEAN, Request.CANCEL, "clean", id="a stronger one"),
    ],
)
def test_a_wish_of_the_engine_against_what_is_there(rows: Any, has: Request | None, wants: Request, gets: str) -> None:
    rows.add("a")
    if has:
        rows.db.write(wishes.wish, "manual", ["a"], has, rows.now)
    _settle(rows, {rows.pick("a")["a"]: Stay(wish=wants)})
    assert rows.all("a")[0].request == gets


def _void(rows: Any, name: str, wish: Request | None = None, **decided: Any) -> claims.Settled:
    rows.add(name)
    rows.put(name, state="submitting", ce="ce1")
    attempt = rows.pick(name)[name]
    if wish:
        rows.db.write(wishes.wish, "manual", [name], wish, rows.now)
    return _settle(rows, {attempt: Move(S.VOID, "never arrived", successor=True, **decided)})


@pytest.mark.parametrize(("costs", "left"), [(True, 2), (False, 3)])
def test_a_successor_is_a_new_row_with_a_new_key(rows: Any, costs: bool, left: int) -> None:
    assert _void(rows, "a", costs_attempt=costs).successors == 1
    old, new = rows.all("a")
    assert (old.state, old.superseded_by, old.released_at) == ("void", new.submission_key, old.modified)
    assert (new.state, new.attempt, new.attempts_left, new.version, new.ce) == ("tosubmit", 2, left, 0, None)
    assert new.submission_key.startswith(f"act-{rows.tower}-")
    assert new.submission_key != old.submission_key
    assert [getattr(new, c) for c in ("placement_id", "priority", "share", "description_id", "submit_before")] == [
        getattr(old, c) for c in ("placement_id", "priority", "share", "description_id", "submit_before")
    ]


@pytest.mark.parametrize("wish", [Request.CANCEL, Request.CLEAN])
def test_nothing_follows_a_job_that_somebody_wants_dead(rows: Any, wish: Request) -> None:
    assert _void(rows, "a", wish).successors == 0
    (old,) = rows.all("a")
    assert (old.state, old.superseded_by, old.request) == ("void", None, wish.value)


@pytest.mark.parametrize("wish", [Request.FETCH, Request.RERUN, Request.RESUBMIT])
def test_weaker_wishes_do_not_hold_the_successor_up(rows: Any, wish: Request) -> None:
    assert _void(rows, "a", wish).successors == 1


def test_nothing_follows_what_its_application_has_released(rows: Any) -> None:
    rows.add("a", "b")
    rows.put("a", "b", state="submitting", ce="ce1")
    rows.put("b", released_at=rows.now)
    a, b = rows.pick("a", "b").values()
    rows.db.write(wishes.release, "manual", ["a"], rows.now)
    settled = _settle(rows, {one: Move(S.VOID, "never arrived", successor=True) for one in (a, b)})
    # released since it was picked: the next round decides anew
    assert (settled.stale, settled.written, settled.successors) == ({a.id}, {b.id}, 0)
    assert _states(rows, "a", "b") == {"a": "submitting", "b": "void"}
    settled = _settle(rows, {rows.pick("a")["a"]: Move(S.VOID, "never arrived", successor=True)})
    assert (settled.written, settled.successors) == ({a.id}, 0)


def test_a_job_is_succeeded_once(rows: Any) -> None:
    _void(rows, "a")
    old, _ = rows.all("a")
    rows.put("a", request="resubmit")
    first = next(a for a in _every_attempt(rows) if a.id == old.id)
    settled = _settle(rows, {first: Stay(reason="again", wish_done=True, successor=True)})
    assert settled.successors == 0
    assert len(rows.all("a")) == 2


def _every_attempt(rows: Any) -> list[Attempt]:
    from act_core.db.attempts import as_attempt, attempts

    found: list[Attempt] = rows.db.read(lambda session: [as_attempt(row) for row in session.execute(attempts())])
    return found


def test_what_a_superseded_attempt_left_on_the_ce_is_cleaned(rows: Any) -> None:
    rows.add("a")
    rows.put("a", state="failed", ce="ce1", remote_id="r1")
    _settle(rows, {rows.pick("a")["a"]: Move(S.DONEFAILED, "resubmitted", successor=True)})
    old, new = rows.all("a")
    assert (old.request, new.request) == ("clean", None)


def test_statements_do_not_grow_with_the_batch(rows: Any, statements: Statements) -> None:
    """Up to a chunk of 500 rows; four kinds of change in each batch."""
    counted = []
    for size in (8, 480):
        names = [f"{size}-{n}" for n in range(size)]
        rows.add(*names)
        rows.put(*names, state="submitting", ce="ce1", remote_id="r")
        decisions: dict[Attempt, Decision] = {}
        for n, attempt in enumerate(rows.pick(*names).values()):
            decisions[attempt] = (
                Move(S.SUBMITTED, "accepted", {"remote_id": f"r{n}"}),
                Move(S.DONEFAILED, "refused", {"error": f"{n}"}),
                Move(S.VOID, "never arrived", successor=True),
                Stay({"absent_since": rows.now}, reason="asked"),
            )[n % 4]
        statements()
        settled = _settle(rows, decisions)
        counted.append(len([text for text, _ in statements() if not text.startswith("BEGIN")]))
        assert (len(settled.written), settled.successors) == (size, size // 4)
    assert counted[0] == counted[1] <= 8


def test_each_row_gets_its_own_values(rows: Any) -> None:
    names = [f"j{n}" for n in range(1100)]  # three chunks
    rows.add(*names)
    rows.put(*names, state="submitting")
    picked = rows.pick(*names)
    settled = _settle(rows, {a: Move(S.SUBMITTED, name, {"remote_id": f"r-{name}"}) for name, a in picked.items()})
    assert len(settled.written) == 1100
    assert all(attempt.remote_id == f"r-{name}" for name, attempt in rows.pick(*names).items())
    assert len(rows.events()) == 1100


def test_news_is_heard_only_of_rows_that_have_not_moved_since(rows: Any) -> None:
    rows.add("a", "b")
    rows.put("a", "b", news=True)
    a, b = rows.pick("a", "b").values()
    _settle(rows, {b: Move(S.SUBMITTING, "meanwhile")})
    rows.db.write(claims.hear, [a, b])
    assert [rows.all(name)[0].news for name in ("a", "b")] == [False, True]

"""`act books`: what an operator sees of the books, and the exit codes that a script may count on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.atlas import closed_days
from act_core.atlas.accounts import Books
from act_core.db.session import Database
from act_core.settings.model import Settings
from tests.atlas.ledgers import FAILED, FINISHED, OWNER, Ledger
from tests.cli.conftest import Act

NOW = datetime.now(UTC)
NOON = datetime.combine(NOW.date(), datetime.min.time(), UTC) - timedelta(hours=12)  # of yesterday
AT = {"created": NOON, "state_since": NOON}
DAY = f"{NOON:%Y-%m-%d}"


@pytest.fixture(autouse=True)
def _the_day_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Midnight may pass between the collection of the tests and one of these."""
    monkeypatch.setattr("act_core.cli.books.now", lambda: NOW)


@pytest.fixture
def ledger(act: Act, place: Path) -> Any:
    """Yesterday: two queues, a job of each kind; all of them good."""
    (place / "aCTConfigAPP.yaml").write_text(f"panda: {{server: 'https://{OWNER.server}'}}\n")
    db = Database(Settings(state_dir=place / "state"))
    made = Ledger(db)
    made.job({"state": "done", "wall_s": 3600, "cores": 8}, **AT, **FINISHED)
    made.job({"state": "donefailed", "wall_s": 1800, "ce": "ce2"}, **AT, **FAILED, cause="pilot 1201", queue="B")
    made.job(**AT)
    yield made
    db.close()


def test_a_day_is_shown_by_queue_and_by_what_it_cost(act: Act, ledger: Ledger) -> None:
    said = act("books", "--day", DAY)
    assert said.code == 0
    assert f"{DAY} {OWNER.server} (not closed, until" in said.out
    wanted = ["A 0 2 1 0 0 1 ok", "B 0 1 0 1 0 0 ok", "all 0 3 1 1 0 1 ok"]
    wanted += ["delivered 1 8.00 0.00", "failed: pilot 1201 1 0.00 0.50", "ce2 1 0.00 0.50", "all 2 8.00 0.50"]
    assert [line for line in wanted if line not in said.lines] == []


def test_a_program_gets_all_of_it(act: Act, ledger: Ledger) -> None:
    said = act("books", "--day", "yesterday", "--queue", "A", "--json")
    (day,) = said.json["days"]
    assert (said.code, said.json["good"], day["day"], day["closed_at"]) == (0, True, DAY, None)
    assert day["queues"] == [{"queue": "A"} | day["all"]]
    assert (day["all"]["taken"], day["all"]["in_flight"], day["all"]["missing"]) == (2, 1, 0)
    (hours,) = day["core_hours"]
    assert hours == {"queue": "A", "ce": "ce1", "cause": "delivered", "attempts": 1, "core_hours": 8.0}


def test_a_queue_that_is_in_no_book_is_named(act: Act, ledger: Ledger) -> None:
    said = act("books", "--day", "yesterday", "--queue", "nope")
    assert (said.code, "nothing of a queue 'nope' is in these books" in said.err) == (0, True)
    assert act("books", "--day", "yesterday", "--queue", "A").err == ""


def test_several_days_are_a_line_each(act: Act, ledger: Ledger) -> None:
    said = act("books", "--from", DAY)
    assert said.code == 0
    days = [line for line in said.lines if "not closed" in line]
    assert [line.rpartition(")")[2].strip() for line in days] == ["0 3 1 1 0 1 ok", "1 0 0 0 0 1 ok"]


def test_what_is_wrong_is_listed_by_id_and_ends_with_one(act: Act, ledger: Ledger) -> None:
    bare = ledger.job(None, state="running", **AT)
    late = {"state": "done", "started_at": NOON}
    twice = ledger.job(late | {"state": "lost", "superseded_by": "k"}, late, **AT, **FINISHED, unverified=1)
    said = act("books", "--day", DAY)
    assert said.code == 1
    assert f"{bare}.1 running, and no attempt stands for it" in said.lines
    assert f"{twice}.1 attempts 1 (ce1) and 2 (ce1) have run, and the earlier one is lost" in said.lines
    assert {"1 unaccounted for", "1 executed twice", "1 not verified"} <= set(said.lines)
    (day,) = act("books", "--day", DAY, "--json").json["days"]
    assert [one["job"] for one in day["doubly_executed"] + day["unverified"]] == [f"{twice}.1"] * 2


def test_a_day_is_closed_once_and_again_tells_what_has_changed(
    act: Act, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = NOW.replace(hour=12)
    monkeypatch.setattr("act_core.cli.books.now", lambda: later)  # just after midnight yesterday cannot be closed
    assert act("books", "close", "--day", DAY).code == 0
    second = act("books", "close", "--day", DAY)
    assert (second.code, "--again closes it anew" in second.err) == (1, True)
    ledger.job(**AT, **FINISHED)
    assert "A 0 2 1 0 0 1 ok" in act("books", "--day", DAY).lines
    again = act("books", "close", "--day", DAY, "--again")
    assert (again.code, "changed: A: taken 2 → 3" in again.lines) == (0, True)
    assert [line["facts"]["again"] for line in act("audit", "--deed", "books.close", "--json").json] == [True, False]
    shown = act("books", "--day", DAY)
    assert "revision 2)" in shown.out
    assert "changed: A: finished 1 → 2" in shown.lines


def test_a_row_that_came_from_nowhere_does_not_balance(
    act: Act, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = NOW.replace(hour=12)
    monkeypatch.setattr("act_core.cli.books.now", lambda: later)
    act("books", "close", "--day", DAY)
    ledger.job(**AT)
    today = act("books")
    assert (today.code, "A 1 0 0 0 0 2 -1 missing" in today.lines) == (1, True)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--day", "monday"), "'monday': a day is wanted"),
        (("--day", "2199-01-01"), "2199-01-01 has not begun"),
        (("--day", DAY, "--from", DAY), "either --day, or --from and --to"),
        (("--from", "2026-01-02", "--to", "2026-01-01"), "--from 2026-01-02 is after --to 2026-01-01"),
        (("--from", "2020-01-02"), "at most 400 days"),
        (("close", "--day", "today"), "is not over"),
    ],
    ids=str,
)
def test_mistakes_are_told_in_a_sentence(act: Act, words: tuple[str, ...], complaint: str) -> None:
    said = act("books", *words)
    assert (said.code, complaint in said.err, "Traceback" in said.err) == (2, True, False)


def test_a_tower_without_panda_jobs_has_empty_books(act: Act, place: Path) -> None:
    (place / "aCTConfigAPP.yaml").write_text("modules: {app: [atlas]}\n")
    said = act("books")
    assert (said.code, "all 0 0 0 0 0 0 ok" in said.lines) == (0, True)


def test_the_stage_runs_by_hand(act: Act, ledger: Ledger, place: Path) -> None:
    (place / "aCTConfigAPP.yaml").write_text(
        f"modules: {{app: [atlas]}}\npanda: {{server: 'https://{OWNER.server}'}}\n"
    )
    ledger.db.write(closed_days.write, Books(NOON.date() - timedelta(days=2), OWNER.server, NOON), NOON)
    said = act("sweep", "close-books", "--json")  # the day after that one is over, even just after midnight
    assert (said.code, said.json["closed"] > 0) == (0, True)


def test_a_stage_that_finds_books_out_of_balance_ends_with_one(act: Act, ledger: Ledger, place: Path) -> None:
    (place / "aCTConfigAPP.yaml").write_text(
        f"modules: {{app: [atlas]}}\npanda: {{server: 'https://{OWNER.server}'}}\n"
    )
    before = NOON.date() - timedelta(days=2)
    ledger.db.write(closed_days.write, Books(before, OWNER.server, NOON), NOON)
    ledger.job(created=NOON - timedelta(days=3), state_since=NOON - timedelta(days=3))
    said = act("sweep", "close-books")
    assert (said.code, "the books of 1 queues do not balance: `act books`" in said.err) == (1, True)


def test_each_panda_server_has_books_of_its_own(act: Act, ledger: Ledger, place: Path) -> None:
    (place / "aCTConfigAPP.yaml").write_text(
        f"panda: {{server: 'https://{OWNER.server}'}}\n"
        "instances: {doma: {panda: {server: 'https://another.example'}}}\n"
    )
    ledger.job(None, server="another.example", **AT, **FINISHED)
    days = act("books", "--day", DAY, "--json").json["days"]
    assert [(day["server"], day["all"]["taken"]) for day in days] == [(OWNER.server, 3), ("another.example", 1)]


def test_a_tower_without_panda_has_no_books(act: Act) -> None:
    act("bootstrap")
    said = act("books")
    assert (said.code, said.out) == (0, "no PanDA, no books: modules.app does not name atlas\n")

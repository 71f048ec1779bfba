"""Large texts: many go in several statements and one transaction, and one that fits into none is named."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from act_core.db import arrivals
from act_core.db.bulk import LARGEST, STATEMENT, insert_rows, inserted_ids, portions, update_rows, weight
from act_core.db.models import CeJob, CeJobEvent, Description
from act_core.db.panda_models import PandaRow
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GIANT = LARGEST + 1_000_000


def _panda_rows(db: Database, n: int) -> list[int]:
    common = {"server": "s", "attempt_nr": 0, "queue": "Q", "label": "x", "state": "running", "job": "{}"}
    times = dict.fromkeys(("state_since", "created", "modified"), NOW)
    db.write(lambda s: s.execute(insert(PandaRow), [common | times | {"panda_id": i} for i in range(n)]) and None)
    return list(db.read(lambda s: s.scalars(select(PandaRow.id).order_by(PandaRow.id)).all()))


def _lengths(db: Database) -> list[int | None]:
    return list(db.read(lambda s: s.scalars(select(func.length(PandaRow.report)).order_by(PandaRow.id)).all()))


def _job(name: str, size: int) -> arrivals.NewJob:
    spec = JobSpec(executable="x", inputs=(InputFile(name="a", content="x" * size),))
    return arrivals.NewJob("manual", name, spec, frozenset({"ce1"}), 3)


def _portions(session: Session, rows: Iterable[tuple[str, dict[str, Any]]]) -> list[list[str]]:
    return [[key for key, _ in batch] for batch in portions(session, rows, str)]


def test_rows_share_a_statement_as_long_as_they_fit(db: Database) -> None:
    sizes = {"a": STATEMENT // 2, "b": STATEMENT // 2, "c": 1, "d": STATEMENT, "e": 3 * STATEMENT, "f": 1, "g": 1}
    rows = [(name, {"text": "x" * size}) for name, size in sizes.items()]
    assert db.read(_portions, rows) == [["a", "b"], ["c"], ["d"], ["e"], ["f", "g"]]
    assert db.read(_portions, []) == []


@pytest.mark.parametrize(
    ("row", "size"),
    [
        pytest.param(["abc", "", None, 5], 3 + 8 + 8, id="numbers are small"),
        pytest.param(["äöü"], 6, id="bytes, not characters"),
        pytest.param(["\ud800"], 3, id="half a character"),
        pytest.param([b"\0" * 7], 7, id="bytes as they are"),
    ],
)
def test_what_values_weigh(row: list[Any], size: int) -> None:
    assert weight(row) == size


def test_many_large_texts_are_written_in_one_transaction(db: Database) -> None:
    ids = _panda_rows(db, 20)
    db.write(update_rows, PandaRow, {one: {"report": "x" * (1_000_000 + n)} for n, one in enumerate(ids)})
    assert _lengths(db) == [1_000_000 + n for n in range(20)]


def test_a_text_that_only_just_fits_is_written(db: Database) -> None:
    (one,) = _panda_rows(db, 1)
    db.write(update_rows, PandaRow, {one: {"report": "x" * (LARGEST - 1000)}})
    assert _lengths(db) == [LARGEST - 1000]


def test_a_row_that_no_statement_takes_is_named_and_nothing_is_written(db: Database) -> None:
    first, second = _panda_rows(db, 2)
    with pytest.raises(BadInput, match=rf"panda_jobs row {second}: \d+ bytes, most of them in report"):
        db.write(update_rows, PandaRow, {first: {"report": "x" * STATEMENT}, second: {"report": "x" * GIANT}})
    assert _lengths(db) == [None, None]


@pytest.mark.parametrize("database", ["mysql"], indirect=True)
def test_what_quoting_makes_of_a_text_counts(db: Database) -> None:
    (one,) = _panda_rows(db, 1)
    with pytest.raises(BadInput, match="panda_jobs row"):
        db.write(update_rows, PandaRow, {one: {"report": '"' * (LARGEST - 1000)}})


def test_many_large_descriptions_are_added(rows: Any, db: Database) -> None:
    jobs = [_job(f"j{n}", 60_000 + n) for n in range(400)]
    db.write(arrivals.add_jobs, rows.tower, jobs, rows.now)
    joined = select(CeJob.app_job_id, Description.spec).join(Description, Description.id == CeJob.description_id)
    found: dict[str, str] = db.read(lambda session: dict(session.execute(joined).tuples().all()))
    assert found == {job.app_job_id: job.spec.model_dump_json(exclude_defaults=True) for job in jobs}


def test_a_description_that_no_statement_takes_names_its_job(rows: Any, db: Database) -> None:
    with pytest.raises(BadInput, match=r"the description of job big: \d+ bytes, most of them in spec"):
        db.write(arrivals.add_jobs, rows.tower, [_job("small", 1), _job("big", GIANT)], rows.now)
    assert db.read(lambda session: session.scalars(select(func.count()).select_from(CeJob)).one()) == 0


@pytest.mark.parametrize("database", ["mysql"], indirect=True)
@pytest.mark.parametrize("size", [17_000_000, 40_000_000])
@pytest.mark.parametrize("n", [1, 2])
def test_a_server_that_hangs_up_on_a_large_row_is_no_reason_to_try_again(db: Database, size: int, n: int) -> None:
    rows = [{"spec": "x" * size, "created": NOW}] * n
    with pytest.raises(BadInput, match="max_allowed_packet in one row: INSERT INTO job_descriptions"):
        db.write(lambda session: session.execute(insert(Description), rows) and None)


def test_a_statement_holds_no_more_than_it_may(
    rows: Any, db: Database, statements: Callable[[], list[tuple[str, Any]]]
) -> None:
    ids = _panda_rows(db, 10)
    statements()
    db.write(update_rows, PandaRow, {one: {"report": "x" * (STATEMENT // 4)} for one in ids})
    sent = [parameters for text, parameters in statements() if text.startswith("UPDATE") or "WITH" in text]
    assert len(sent) == 3
    assert all(weight(one.values() if isinstance(one, dict) else one) <= STATEMENT * 1.01 for one in sent)


def _attempts(n: int) -> list[dict[str, Any]]:
    common = {"app": "manual", "attempt": 1, "attempts_left": 0, "placement_id": 1, "state": "tosubmit"}
    times = dict.fromkeys(("state_since", "created", "modified"), NOW)
    return [
        common | times | {"app_job_id": f"j{i}", "submission_key": f"key{i}", "description_id": i} for i in range(n)
    ]


def test_new_rows_have_the_defaults_of_what_they_leave_out(db: Database) -> None:
    db.write(insert_rows, CeJob, _attempts(1201))  # more than a chunk, and not a multiple of one
    one, *others = db.read(lambda session: list(session.scalars(select(CeJob).order_by(CeJob.id))))
    assert [row.app_job_id for row in (one, *others)] == [f"j{i}" for i in range(1201)]
    assert (one.version, one.tries, one.news, one.priority, one.share, one.cores_asked) == (0, 0, False, 50, "", 1)
    assert (one.ce, one.created) == (None, NOW)


def test_no_rows_are_no_statement(db: Database, statements: Callable[[], list[tuple[str, Any]]]) -> None:
    statements()
    db.write(insert_rows, CeJob, [])
    assert [text for text, _ in statements() if "INSERT" in text] == []


def test_a_new_row_that_no_statement_takes_is_named(db: Database) -> None:
    event = {"job_id": 1, "attempt": 1, "at": NOW, "from_state": "x", "to_state": "y", "actor": "z"}
    with pytest.raises(BadInput, match=r"new row 2 of ce_job_events: \d+ bytes, most of them in reason"):
        db.write(insert_rows, CeJobEvent, [event | {"reason": ""}, event | {"reason": "x" * GIANT}])


def test_a_time_without_a_zone_is_refused(db: Database) -> None:
    (one,) = _panda_rows(db, 1)
    with pytest.raises(ValueError, match="has no time zone"):
        db.write(update_rows, PandaRow, {one: {"told_at": NOW.replace(tzinfo=None)}})


def test_ids_come_back_in_the_order_of_the_rows(db: Database) -> None:
    def insert_some(session: Session, words: list[str]) -> list[int]:
        return inserted_ids(session, Description, [{"spec": word, "sealed": None, "created": NOW} for word in words])

    first = db.write(insert_some, ["b", "a"])
    words = [f"w{n * 7919 % 1201}" for n in range(1201)]
    ids = first + db.write(insert_some, words)
    assert len(set(ids)) == 1203
    told = dict(db.read(lambda s: s.execute(select(Description.id, Description.spec)).tuples().all()))
    assert [told[one] for one in ids] == ["b", "a", *words]


def test_a_value_that_all_rows_share_is_sent_once(
    db: Database, statements: Callable[[], list[tuple[str, Any]]]
) -> None:
    ids = _panda_rows(db, 4)
    alike = {"label", "state", "modified"}
    changes = {
        one: {"label": "même", "state": f"s{n // 3}", "report": f"r{n}", "modified": NOW} for n, one in enumerate(ids)
    }
    statements()
    db.write(update_rows, PandaRow, changes, alike=alike)
    ((_, parameters),) = [one for one in statements() if one[0].startswith("UPDATE")]
    assert parameters.count("même") == 1
    columns = (PandaRow.label, PandaRow.state, PandaRow.report, PandaRow.modified, PandaRow.version, PandaRow.queue)
    found = db.read(lambda s: s.execute(select(*columns).order_by(PandaRow.id)).tuples().all())
    assert found == [("même", f"s{n // 3}", f"r{n}", NOW, 1, "Q") for n in range(4)]


def test_where_all_is_alike_a_row_is_its_key(db: Database) -> None:
    ids = _panda_rows(db, 3)
    db.write(update_rows, PandaRow, {one: {"report": None, "queue": "R"} for one in ids[:2]}, alike={"report", "queue"})
    found = db.read(lambda s: s.execute(select(PandaRow.report, PandaRow.queue).order_by(PandaRow.id)).tuples().all())
    assert found == [(None, "R"), (None, "R"), (None, "Q")]

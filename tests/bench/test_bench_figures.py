"""Results of benchmarks: written, read again, and made into the cost card."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.card import card
from benchmarks.figures import Case, Figure, Unreadable, document, figures_of, read
from benchmarks.machine import described
from benchmarks.plan import ALONE, LINES, PARTS, SERVER

ABOUT: dict[str, Any] = {
    "cpu": "a processor", "cores": 2, "memory": 8_000_000_000, "kernel": "6.1", "python": "3.11.2", "commit": "abc",
    "at": "2026-01-01T00:00:00+00:00", "quick": False, "file_system": "ext4",
    "fsync_ms": 0.5, "file_us": 20.0, "load": 0.1,
    "speeds": [{"step_ns": 60.0, "syscall_ns": 280.0}, {"step_ns": 90.0, "syscall_ns": 290.0}],
    "mariadb": {"version": "10.11", "innodb_flush_log_at_trx_commit": "1"},
}  # fmt: skip


def engine(case: str, cpu: float, seconds: float) -> Case:
    found = [
        ("CPU per job", cpu, "ms"),
        ("CPU of ours per job: fetch", 1.0, "ms"),
        ("CPU of the database per job", cpu - 1.0, "ms"),
        ("seconds", seconds, "s"),
    ]
    return Case("engine", case, 1.0, tuple(figures_of("engine", case, found, {"CPU per job": 2.0})))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    cases = [engine("MariaDB, two phases, 10 jobs", 4.0, 1.0), Case("tower", "x", 2.0, (), ("it broke",), ("--a", "b"))]
    file = tmp_path / "bench.json"
    file.write_text(json.dumps(document(ABOUT, cases)))
    about, found = read(file)
    assert about == ABOUT
    assert [(one.part, one.name, one.figures, one.said) for one in found] == [
        (one.part, one.name, one.figures, one.said) for one in cases
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": 0, "about": {}, "cases": []}', '{"schema": 1, "cases": 3}']
)
def test_what_is_no_results_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(Unreadable, match=r"x\.json"):
        read(file)


@pytest.mark.parametrize(("value", "wanted", "met"), [(2.0, 2.0, True), (2.1, 2.0, False), (9.0, None, None)])
def test_a_figure_is_met_up_to_what_is_wanted(value: float, wanted: float | None, met: bool | None) -> None:
    assert Figure("p", "c", "w", value, "", wanted).met is met


def test_the_card_takes_the_largest_run_and_says_by_how_much_it_misses() -> None:
    cases = [
        engine("MariaDB, two phases, 10 jobs", 9.0, 1.0),
        engine("MariaDB, two phases, 90 jobs", 4.0, 9.0),
        engine("SQLite, two phases, 90 jobs", 3.0, 99.0),
        Case("tower", "10 CEs", 1.0, (), ("it\nbroke",)),
    ]
    page = "\n".join(card(ABOUT, cases))
    assert "| CPU time a job, database included | 10.2 ms | 4 ms | 2.5 times |" in page
    assert "| 10 CEs with 200 jobs each | 311 s | not measured |  |" in page
    assert "0 of 3 figures are as wanted." in page
    assert "| 4 ms | ≤ 2 ms | **no**, 2.0 times as much |" in page
    assert "| the database server, for all of it | 3 | 75% |" in page
    assert "- tower, 10 CEs: it broke" in page
    assert "MariaDB 10.11 with durable commits" in page
    assert "took 60 to 90 ns of CPU between the parts, a system call 280 ns." in page


def test_the_machine_says_what_the_card_tells_of_it() -> None:
    about = described()
    assert ABOUT.keys() - about.keys() == {"quick", "mariadb"}
    assert about["memory"] > 0
    assert min(about["fsync_ms"], about["file_us"], *about["speeds"][0].values()) > 0


def test_commits_that_are_not_durable_are_told() -> None:
    about = ABOUT | {"mariadb": {"version": "10.11", "innodb_flush_log_at_trx_commit": "2"}}
    assert "NOT durable" in "\n".join(card(about, []))


def test_every_part_has_lines_and_quick_ones_are_other_words() -> None:
    assert {line.part for line in LINES} == {*PARTS, *ALONE}
    for line in LINES:
        words, quick = (line.words(small, "mysql://root@127.0.0.1:1") for small in (False, True))
        assert words != quick
        assert SERVER not in words


def test_a_line_that_wants_mariadb_is_left_out_without_one() -> None:
    wants = [line for line in LINES if SERVER in line.options.values()]
    assert wants
    for line in wants:
        with pytest.raises(LookupError):
            line.words(False, None)

"""A table of a report, as people, Prefect and programs get it."""

import pytest

from act_core.tables import Table, natural, summed

TABLE = summed("jobs", ("CE", "host", "running", "lost"), [("ce1", "a.org", 3, 0), ("ce2", "", 4, 0)], "of today")


def test_the_foot_adds_up_what_is_a_number() -> None:
    assert TABLE.totals == ("total", "", 7, 0)
    assert summed("nothing", ("CE", "running"), []).totals == ()


def test_people_see_no_column_of_zeros_and_programs_see_all() -> None:
    assert TABLE.compact().columns == ("CE", "host", "running")
    assert TABLE.compact().lines() == [("ce1", "a.org", "3"), ("ce2", "", "4"), ("total", "", "7")]
    body = TABLE.body()
    assert body["rows"] == [
        {"CE": "ce1", "host": "a.org", "running": 3, "lost": 0},
        {"CE": "ce2", "host": "", "running": 4, "lost": 0},
    ]
    assert (body["totals"]["running"], body["note"]) == (7, "of today")


def test_markdown_for_an_artifact() -> None:
    assert TABLE.compact().markdown().splitlines() == [
        "### jobs",
        "",
        "| CE | host | running |",
        "| --- | ---: | ---: |",
        "| ce1 | a.org | 3 |",
        "| ce2 |  | 4 |",
        "| total |  | 7 |",
        "",
        "of today",
    ]


def test_foreign_words_do_not_break_out_of_their_cell() -> None:
    cells = Table("t", ("CE",), (("a|b\n| <script> \\",),)).markdown().splitlines()[-1]
    assert cells == "| a\\|b \\| &lt;script> \\\\ |"


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["ce10", "ce2", "ce1"], ["ce1", "ce2", "ce10"]),
        (["b", "2", "a1b", "a"], ["2", "a", "a1b", "b"]),
        (["Q_10_x", "Q_9_y", ""], ["", "Q_9_y", "Q_10_x"]),
    ],
)
def test_numbers_in_names_count(names: list[str], ordered: list[str]) -> None:
    assert sorted(names, key=natural) == ordered

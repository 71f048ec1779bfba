"""`act ces on|rest|stop|drain|offline` as an operator uses them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from act_core.cli.ce_modes import moment, named
from act_core.errors import BadInput

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        pytest.param("", None, id="for good"),
        pytest.param("2h", NOW + timedelta(hours=2), id="a while"),
        pytest.param("90", NOW + timedelta(seconds=90), id="seconds"),
        pytest.param("2026-03-02", NOW + timedelta(hours=12), id="a day"),
        pytest.param("2026-03-01T12:30", NOW + timedelta(minutes=30), id="a moment, UTC"),
        pytest.param("2026-03-01T13:30+01:00", NOW + timedelta(minutes=30), id="a moment elsewhere"),
    ],
)
def test_until(text: str, meant: datetime | None) -> None:
    assert moment(text, NOW) == meant


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("tomorrow", "a time is wanted", id="no time"),
        pytest.param("0", "that has passed", id="now"),
        pytest.param("2026-02-28", "that has passed", id="yesterday"),
        pytest.param("99999999d", "nobody waits so long", id="beyond the calendar"),
    ],
)
def test_until_when(text: str, complaint: str) -> None:
    with pytest.raises(BadInput, match=complaint):
        moment(text, NOW)


def test_who_is_meant() -> None:
    assert named(["all"], ["a", "b"]) == ["a", "b"]
    assert named(["b", "b"], ["a", "b"]) == ["b"]
    with pytest.raises(BadInput, match="no CE 'ce1-exmaple'; the nearest: ce1-example"):
        named(["ce1-exmaple"], ["ce1-example", "here"])


def test_a_ce_is_stopped_and_comes_back(act: Any) -> None:
    said = act("ces", "stop", "here", "--reason", "broken disk", "--until", "2h", "--json")
    (row,) = said.json
    assert (row["mode"], row["owner"], row["reason"], row["sends"]) == ("stop", "operator", "broken disk", False)
    assert act("bootstrap").code == 0  # the configuration does not overwrite it
    shown = act("ces", "show", "here", "--json").json
    assert (shown["mode"], shown["mode_owner"], shown["mode_until"]) == ("stop", "operator", row["until"])
    assert act("ces", "on", "all").out == "here: on, by config\nthere: on, by config\n"


def test_mistakes_end_with_2_and_change_nothing(act: Any) -> None:
    for words in ("ces drain here nosuch", "ces rest here --until yesterday"):
        said = act(*words.split())
        assert (said.code, said.out) == (2, "")
    assert {row["mode"] for row in act("ces", "list", "--json").json} == {"on"}

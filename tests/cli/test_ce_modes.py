"""`act ces on|rest|stop|drain|offline` as an operator uses them."""

from typing import Any

import pytest

from act_core.deeds.modes import named
from act_core.errors import BadInput


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

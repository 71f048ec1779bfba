"""Foreign words, however long they are."""

import pytest

from act_core.words import HIDDEN, kept, redact

LONG = "a-" * 40


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param(f"{LONG}token=hunter2;x=1", f"{LONG}token={HIDDEN};x=1", id="a name of eighty characters"),
        pytest.param(f"{LONG}password: hunter2", f"{LONG}password: {HIDDEN}", id="and a sentence"),
        pytest.param(f'"{LONG}secret": "hunter2"', f'"{LONG}secret": {HIDDEN}', id="and JSON"),
    ],
)
def test_a_secret_is_known_by_the_end_of_its_name(text: str, left: str) -> None:
    assert redact(text) == left


def test_what_is_cut_off_is_not_shown_in_part() -> None:
    assert kept("x" * 95 + " token=hunter2", 105) == ("x" * 95 + f" token={HIDDEN}")[:105]
    assert "hunt" not in kept("x" * 90 + ' {"a": "b", "token": "' + "hunter2" * 1000, 120)

"""`act status --watch`: a screen that is drawn again and again, and a sentence where there is none."""

import io
import re
import time
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.text import Text

from act_core.cli import out, tower, watch
from act_core.errors import Transient
from tests.cli.conftest import Act


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of ten lines gets."""
    shown = io.StringIO()
    console = Console(file=shown, width=100, height=10, force_terminal=True, color_system=None, highlight=False)
    for module in (out, tower):
        monkeypatch.setattr(module, "out", console)
    return shown


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[float]]:
    """Ctrl-C after so many looks, instead of the pause: nobody is there who presses the keys, and nobody waits."""

    def after(looks: int) -> list[float]:
        pauses: list[float] = []

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == looks:
                raise KeyboardInterrupt

        monkeypatch.setattr(time, "sleep", pause)
        return pauses

    return after


def test_it_draws_until_somebody_ends_it(
    act: Act, screen: io.StringIO, interrupted: Callable[[int], list[float]]
) -> None:
    pauses = interrupted(3)
    assert act("status", "--watch", 5).code == 0
    assert pauses == [5, 5, 5]
    assert screen.getvalue().count("every 5 s; Ctrl-C ends it") == 3
    assert re.search(r"tower +down", screen.getvalue())


def test_where_nobody_looks_it_says_so(act: Act) -> None:
    said = act("status", "--watch")
    assert (said.code, said.err.startswith("--watch draws on a terminal, and the output is none")) == (2, True)
    said = act("status", "--watch", "--json")
    assert (said.code, said.err.startswith("--watch draws for people")) == (2, True)
    said = act("status", 5)
    assert (said.code, said.err) == (2, "5 says how often --watch draws: `act status --watch 5`\n")


def test_a_database_that_is_away_does_not_end_it(
    screen: io.StringIO, interrupted: Callable[[int], list[float]]
) -> None:
    interrupted(2)

    def show() -> None:
        raise Transient("the database is away")

    watch.watched(show, 1)
    assert screen.getvalue().count("the database is away") == 2


def test_what_does_not_fit_is_counted() -> None:
    lines = watch._fitting(Text("\n".join(str(n) for n in range(30))), 10)
    assert [line.plain for line in lines[-2:]] == ["8", "… 21 more lines: `act status`"]
    assert len(watch._fitting(Text("1\n2"), 10)) == 2

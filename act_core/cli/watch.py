"""A command's words on a screen of their own, drawn again and again until Ctrl-C."""

import time
from collections.abc import Callable

from rich.control import Control
from rich.text import Text

from act_core.cli import out
from act_core.cli.context import now
from act_core.errors import BadInput, Transient
from act_core.monitor.times import at


def watched(show: Callable[[], None], seconds: float, *, json: bool = False) -> None:
    """Draw what `show` prints every so many seconds. Ctrl-C is a good end. Raises BadInput where nobody looks.

    A database that is away for a moment is told on the screen, and does not end it.
    """
    if json:
        raise BadInput("--watch draws for people: take --json without it, and call it again")
    if not out.out.is_terminal:
        raise BadInput(
            "--watch draws on a terminal, and the output is none: leave it away, and call `act status` again"
        )
    try:
        with out.out.screen() as screen:
            while True:
                words = _drawn(show, seconds)
                out.out.control(Control.home())
                screen.update(words)
                time.sleep(seconds)
    except KeyboardInterrupt:
        return


def _drawn(show: Callable[[], None], seconds: float) -> Text:
    with out.out.capture() as said:
        out.out.print(f"{at(now())}, every {seconds:g} s; Ctrl-C ends it", style="dim")
        try:
            show()
        except Transient as err:
            out.out.print(str(err), style="red", markup=False)
    return Text("\n").join(_fitting(Text.from_ansi(said.get()), out.out.height))


def _fitting(words: Text, height: int) -> list[Text]:
    """As many lines as the screen has; the last one says how many are below it."""
    lines = list(words.split("\n"))
    if len(lines) <= height:
        return lines
    shown = lines[: height - 1]
    return [*shown, Text(f"… {len(lines) - len(shown)} more lines: `act status`", style="dim")]

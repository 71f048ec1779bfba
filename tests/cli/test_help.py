"""`act --help` is the map of all commands."""

from rich.text import Text
from typer.main import get_command
from typer.testing import CliRunner

from act_core.cli.main import PANELS, app

LEFT_AT_80 = 62  # columns of a terminal for a sentence, beside frame and names


def test_every_command_stands_in_a_panel_in_the_order_of_the_table() -> None:
    listed = [name for commands in PANELS.values() for name, *_ in commands]
    assert listed == get_command(app).list_commands(None)  # type: ignore[attr-defined]  # a group, without a call
    assert sorted(listed) == sorted(get_command(app).commands)  # type: ignore[attr-defined]  # Typer's own click
    said = Text.from_ansi(CliRunner().invoke(app, ["--help"]).output).plain
    places = [said.index(f"\u2502 {name} ") for name in listed]
    assert places == sorted(places)
    assert all(f" {panel} " in said for panel in PANELS)


def test_a_line_is_enough_for_each() -> None:
    sentences = {name: says for commands in PANELS.values() for name, says, _ in commands}
    assert {name: says for name, says in sentences.items() if len(says) > LEFT_AT_80} == {}

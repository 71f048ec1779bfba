"""The whole tree of commands, each with the shortest line that can be typed of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import typer

from act_core.cli.main import app

UNKNOWN = "nosuch"
OURS = ("help", "install_completion", "show_completion")


@dataclass(frozen=True, slots=True)
class Command:
    """A command as typer made it. `name`: all of its words but `act`."""

    name: str
    made: Any

    @property
    def words(self) -> list[str]:
        return self.name.split()

    @property
    def parameters(self) -> list[Any]:
        return [one for one in self.made.params if one.name not in OURS]

    @property
    def options(self) -> list[Any]:
        return [one for one in self.parameters if one.param_type_name == "option"]

    @property
    def arguments(self) -> list[Any]:
        return [one for one in self.parameters if one.param_type_name == "argument"]

    def has(self, option: str) -> bool:
        return any(option in one.opts for one in self.options)

    def shortest(self, unknown: str = UNKNOWN, *, every: bool = True) -> list[str]:
        """With its arguments (not `every`: that it must have), and such options; they name what is not there."""
        options = [one for one in self.options if one.required]
        needed = [word for one in options for word in (one.opts[0], self._said(one, unknown))]
        arguments = [self._said(one, unknown) for one in self.arguments if every or one.required]
        return [*self.words, *filter(None, arguments), *needed]

    def _said(self, parameter: Any, unknown: str) -> str:
        return SAID.get((self.name, parameter.name), unknown)


# What stands where a name that nobody knows would be no name: numbers, words that are checked first, or nothing.
SAID = {
    ("status", "seconds"): "",
    ("report", "conf"): "",
    ("sweep", "stage"): "all",
    ("jobs try", "panda_id"): "4711",
    ("brake release", "brake"): "4711",
    ("harvester status", "ids"): "4711",
    ("harvester kill", "ids"): "4711",
    ("harvester logs", "ids"): "4711",
    ("books close", "day"): "2026-01-01",
    ("ces add", "url"): "nosuch:9619",
}


def _walk(command: Any, words: Sequence[str] = ()) -> Iterator[Command]:
    inner = getattr(command, "commands", None)
    if words and (inner is None or command.invoke_without_command) and not command.hidden:
        yield Command(" ".join(words), command)
    for name, one in (inner or {}).items():
        yield from _walk(one, (*words, name))


COMMANDS = {one.name: one for one in _walk(typer.main.get_command(app))}

"""Commands that are imported when they are asked for: `act status` does not wait for what `act demo` needs."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


@dataclass(frozen=True, slots=True)
class Place:
    """`where`: `module of this room:name in it`; the rest is how lists of commands show it."""

    where: str
    says: str | None = None
    panel: str | None = None


class Later(Mapping[str, Any]):
    """The commands of a group, by name: those that are there, then those that are made when somebody wants them."""

    def __init__(self, there: Mapping[str, Any], places: Mapping[str, Place]) -> None:
        self._made, self._places = dict(there), places
        self._names = tuple(dict.fromkeys((*there, *places)))

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _command(name, self._places[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def later(places: Mapping[str, Place]) -> type[TyperGroup]:
    """A group that also has these commands."""

    class Group(TyperGroup):
        def __init__(self, **known: Any) -> None:
            super().__init__(**known)
            self.commands = Later(self.commands, places)  # type: ignore[assignment]  # nobody adds to it

        def list_commands(self, ctx: Any) -> list[str]:
            return list(self.commands)

    return Group


def _command(name: str, place: Place) -> Any:
    """As typer makes it of a function, or of a group."""
    module, _, attribute = place.where.partition(":")
    with _uncollected():
        found = getattr(import_module(f"act_core.cli.{module}"), attribute)
    holder = typer.Typer(add_completion=False, rich_markup_mode="rich")
    holder.callback()(_nothing)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name, short_help=place.says, rich_help_panel=place.panel)
    else:
        holder.command(name, short_help=place.says, rich_help_panel=place.panel)(found)
    return typer.main.get_group(holder).commands[name]


@contextmanager
def _uncollected() -> Iterator[None]:
    """What is imported stays; the collector would look at all of it again and again, a fifth of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _nothing() -> None:
    """A group that has one command is a group nevertheless."""

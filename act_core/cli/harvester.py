"""`act harvester`: the door for a Harvester on the command line; its Python form is `act_core.atlas.harvester`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from act_core.atlas.harvester import HarvesterDoor, read_specs
from act_core.cli.context import settings, text_of
from act_core.cli.out import print_json
from act_core.cli.sweep import observing_too
from act_core.errors import BadInput

app = typer.Typer(help="Jobs that a Harvester took and hands over. All answers are JSON.", no_args_is_help=True)
Ids = Annotated[list[int], typer.Argument(help="as `act harvester submit` answered", metavar="ID…")]
Instance = Annotated[str | None, typer.Option(help="of several: whose PanDA server the Harvester serves")]


@contextmanager
def _door(instance: str | None) -> Iterator[HarvesterDoor]:
    held = observing_too(settings())
    if instance is not None and instance not in held.app.instances:
        raise BadInput(f"no instance {instance!r}; there are {', '.join(held.app.instances) or 'none'}")
    with HarvesterDoor(held.seen_by(instance) if instance else held) as door:
        yield door


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="a JSON list of workers; - is stdin")], instance: Instance = None
) -> None:
    """Hand workers over. Exit 1: some were refused, and the answer says why."""
    specs = read_specs(sys.stdin.read() if str(file) == "-" else text_of(file))
    with _door(instance) as door:
        answers = door.submit(specs)
    print_json([asdict(one) for one in answers])
    if any(one.refused for one in answers):
        raise typer.Exit(1)


@app.command()
def status(ids: Ids, instance: Instance = None) -> None:
    """Tell how workers are. Exit 1: some id is not known."""
    with _door(instance) as door:
        found = door.status(ids)
    _tell({one: asdict(state) for one, state in found.items()}, ids)


@app.command()
def kill(ids: Ids, instance: Instance = None) -> None:
    """Want workers dead: `kill`, `over` or `unknown` for each. Exit 1: some id is not known."""
    with _door(instance) as door:
        found = door.kill(ids)
    print_json(found)
    if "unknown" in found.values():
        raise typer.Exit(1)


@app.command()
def logs(ids: Ids, instance: Instance = None) -> None:
    """Tell where the logs of workers are. Exit 1: of some there are none."""
    with _door(instance) as door:
        found = door.logs(ids)
    _tell({one: asdict(place) for one, place in found.items()}, ids)


def _tell(found: dict[int, dict[str, Any]], ids: list[int]) -> None:
    print_json([found[one] for one in ids if one in found])
    if set(ids) - set(found):
        raise typer.Exit(1)

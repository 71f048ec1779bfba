"""The options that name jobs, alike for `act jobs list` and for each bulk action."""

import inspect
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from act_core.atlas.books import NAME as ATLAS
from act_core.cli.context import now, text_of
from act_core.cli.job_words import meant_by
from act_core.db import ces as ce_rows
from act_core.db import listing
from act_core.db import rules as counters
from act_core.db.listing import Filter
from act_core.db.session import Database
from act_core.deeds.jobs import MOST
from act_core.deeds.modes import known_shares, named, queues_known_by_name
from act_core.engine.rules import rulebook
from act_core.errors import BadInput
from act_core.manual import NAME as MANUAL
from act_core.monitor.moments import ago
from act_core.settings import Settings
from act_core.states import CeState

_DURATION = "DURATION"
_KEYWORD = inspect.Parameter.KEYWORD_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options say, as it was typed."""

    state: Annotated[list[CeState] | None, typer.Option(help="only in this state; can be repeated")] = None
    ce: Annotated[list[str] | None, typer.Option(help="only at this CE; can be repeated")] = None
    queue: Annotated[list[str] | None, typer.Option(help="only of this PanDA queue; can be repeated")] = None
    share: Annotated[list[str] | None, typer.Option(help="only of this share; can be repeated")] = None
    older: Annotated[str, typer.Option(help="only those in their state for longer: 30m, 2h, 3d", metavar=_DURATION)] = (
        ""
    )
    newer: Annotated[str, typer.Option(help="only those in their state for less time", metavar=_DURATION)] = ""
    age: Annotated[str, typer.Option(help="only those whose attempt was made so long ago", metavar=_DURATION)] = ""
    error: Annotated[str, typer.Option(help="only with this text in their error, in whatever case")] = ""
    rule: Annotated[
        list[str] | None, typer.Option(help="only where this error rule was applied last (`act errors`); repeatable")
    ] = None
    app: Annotated[str | None, typer.Option("--app", help="only of this application: manual, atlas, an instance")] = (
        None
    )
    ids_file: Annotated[
        Path | None,
        typer.Option(
            "--ids", help="only the jobs whose ids stand in this file, one a line; - is stdin", metavar="FILE|-"
        ),
    ] = None

    @property
    def narrows(self) -> bool:
        """Whether it says anything but the application."""
        return any(getattr(self, one.name) for one in fields(self) if one.name != "app")


def filtered(command: Callable[..., None], without: Collection[str] = ()) -> Callable[..., None]:
    """The command with the options of a filter, which it gets as `asked`, and all of its own but those named."""
    hints = get_type_hints(Asked, include_extras=True)
    own = [one for one in inspect.signature(command).parameters.values() if one.name not in ("asked", *without)]
    own = [one.replace(kind=_KEYWORD) for one in own]
    options = [
        inspect.Parameter(one.name, _KEYWORD, default=one.default, annotation=hints[one.name]) for one in fields(Asked)
    ]

    @wraps(command)
    def run(**words: Any) -> None:
        asked = Asked(**{one.name: words.pop(one.name) for one in fields(Asked)})
        command(asked=asked, **words)

    run.__signature__ = inspect.Signature([*own[:1], *options, *own[1:]])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in (*own, *options)}
    return run


def filter_of(db: Database, held: Settings, asked: Asked, ids: Collection[str] = (), *, newest: bool = True) -> Filter:
    """What the options mean. Raises BadInput, naming the culprit, for a name that nobody knows."""
    _check_names(db, held, asked)
    lines = [*ids, *(_ids_of(asked.ids_file) if asked.ids_file else ())]
    if asked.ids_file and not lines:
        raise BadInput(f"--ids {asked.ids_file}: no ids stand there")
    return Filter(
        ids=tuple(meant_by(db, held, lines)) if lines else (),
        app=asked.app,
        ces=tuple(asked.ce or ()),
        states=tuple(asked.state or ()),
        newest=newest,
        apps=_apps(held, asked, bool(lines)),
        shares=_shares(asked),
        error=asked.error,
        rules=tuple(asked.rule or ()),
        since_before=ago(asked.older, now(), "--older"),
        since_after=ago(asked.newer, now(), "--newer"),
        made_before=ago(asked.age, now(), "--age"),
    )


def _shares(asked: Asked) -> tuple[str, ...]:
    """A PanDA queue is the share of its jobs. Raises BadInput where none is of both."""
    if not (asked.queue and asked.share):
        return tuple(asked.queue or asked.share or ())
    if both := tuple(one for one in asked.queue if one in asked.share):
        return both
    raise BadInput(f"--share {asked.share[0]!r}: jobs of PanDA queue {asked.queue[0]!r} have that queue as their share")


def _check_names(db: Database, held: Settings, asked: Asked) -> None:
    if asked.ce:
        named(asked.ce, {*held.arc.sites, *(row.name for row in db.read(ce_rows.all_ces))})
    if asked.queue:
        named(asked.queue, db.read(queues_known_by_name), "PanDA queue")
    if asked.share:
        named(asked.share, {*held.arc.fill.shares, *db.read(known_shares)}, "share")
    if asked.rule:
        rules = {rule.name for rule in rulebook(held.arc.errors)} | {hit.rule for hit in db.read(counters.hits)}
        named(asked.rule, rules, "error rule")
    if asked.app:
        named([asked.app], {*applications_of(held), *db.read(listing.apps)}, "application")


def applications_of(held: Settings) -> tuple[str, ...]:
    """All whose jobs the tables may have."""
    return tuple(dict.fromkeys((MANUAL, ATLAS, *held.app.modules.app, *held.app.instances)))


def _apps(held: Settings, asked: Asked, by_id: bool) -> tuple[str, ...]:
    """Whose jobs are meant where no application is named; none: everybody's."""
    if asked.app:
        return ()
    if asked.queue:
        return (ATLAS, *held.app.instances)
    return applications_of(held) if by_id else ()


def _ids_of(file: Path) -> list[str]:
    """A line an id; empty ones and comments are no ids. Raises BadInput."""
    text = sys.stdin.read() if str(file) == "-" else text_of(file)
    found = [words for line in text.splitlines() if (words := line.partition("#")[0].strip())]
    if len(found) > MOST:
        raise BadInput(f"--ids {file}: {len(found)} ids, and at most {MOST} are taken at once")
    return list(dict.fromkeys(found))

"""How an application plugs in (architecture section 7)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import entry_points

from sqlalchemy.orm import Session

from act_core.db.attempts import Attempt
from act_core.errors import ConfigError
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings

GROUP = "act.apps"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a stage: which keys (CEs, PanDA queues, storage hosts) have work, and one round of work for a key."""

    stage: str
    verb: str  # names the task: "poll ce1"
    due: Callable[[Runtime], Awaitable[Sequence[str]]]
    run: Callable[[Runtime, str], Awaitable[Counts]]
    breaker: bool = False  # the key is a CE whose breaker hears how it went
    turn: int = 0  # in one pass the parts of an earlier turn come first, with all of their keys
    reads: bool = False  # changes nothing outside the tower: a tower that only observes does this, too


@dataclass(frozen=True, slots=True)
class Application:
    """All but the name is optional.

    `on_news` gets rows that moved; in one transaction it writes its own rows and calls `claims.hear`.
    """

    name: str
    on_news: Callable[[Runtime, Sequence[Attempt]], Awaitable[Counts]] | None = None
    parts: tuple[Part, ...] = ()
    archive: Callable[[Runtime], Awaitable[Counts]] | None = None  # of all its instances
    report: Callable[[Runtime], Awaitable[str]] | None = None
    restored: Callable[[Session, datetime], int] | None = None  # an older copy of the database; of all its instances
    several: bool = False  # it also runs once for each of `instances`, as an application of that name


def instance_of(app: Application, name: str) -> Application:
    """The application with the settings of an instance; its keys carry the name, so that no lease is shared."""
    hear, report = app.on_news, app.report
    return Application(
        name,
        on_news=(lambda rt, rows: hear(rt.seen_by(name), rows)) if hear else None,
        parts=tuple(_part_of(part, name) for part in app.parts),
        report=(lambda rt: report(rt.seen_by(name))) if report else None,
    )


def _part_of(part: Part, name: str) -> Part:
    mark = f"@{name}"

    async def due(rt: Runtime) -> Sequence[str]:
        return [f"{key}{mark}" for key in await part.due(rt.seen_by(name))]

    async def run(rt: Runtime, key: str) -> Counts:
        return await part.run(rt.seen_by(name), key.removesuffix(mark))

    return replace(part, due=due, run=run)


def applications(settings: Settings) -> tuple[Application, ...]:
    """What the configuration names, with their instances. Raises ConfigError for one that is not installed."""
    found = []
    known = {point.name: point for point in entry_points(group=GROUP)}
    for name in settings.app.modules.app:
        if name not in known:
            where = settings.where("modules.app")
            raise ConfigError(f"{where}: modules.app: no application {name!r}; installed: {', '.join(sorted(known))}")
        app: Application = known[name].load()
        found.append(app)
        if app.several:
            found += (instance_of(app, instance) for instance in settings.app.instances)
    return tuple(found)

"""How an application plugs in (architecture section 7): what it may have. How it is found: `installed`."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from prometheus_client.core import Metric
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from act_core.db.attempts import Attempt
from act_core.engine.marks import Found
from act_core.runtime import Counts, Runtime
from act_core.settings.complaints import sentences
from act_core.settings.load import BadSettings
from act_core.settings.model import Settings
from act_core.tables import Table
from act_core.timetable import Stage

Options = TypeVar("Options", bound=BaseModel)
Report = Callable[[Session, Settings, datetime], Sequence[Table]]  # read from counts, for the settings of an instance
Recover = Callable[[Runtime, Sequence[Found]], Awaitable[Collection[str]]]  # returns the ids of those that are over
Needs = Callable[[Session, Settings, datetime], datetime | None]


class Waits(StrEnum):
    """What a part waits for while the tower finds its jobs again (docs/recovery.md)."""

    NOTHING = ""
    LOOKED = "looked"  # until each CE was asked once: it takes new jobs, which no CE can have
    READ = "read"  # the same, and until the CE that is its key has been read: it sends
    END = "end"  # until all of it is over: it judges by what is missing


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
    waits: Waits = Waits.NOTHING


@dataclass(frozen=True, slots=True)
class Purge:
    """Rows of an application that go when they are old enough: at most a chunk of them in one call."""

    key: str  # of `retention`: how long they are kept
    what: str  # as the counts call them
    remove: Callable[[Session, datetime], int]  # those older than that; how many went


@dataclass(frozen=True, slots=True)
class Application:
    """All but the name is optional.

    `on_news` gets rows that moved; in one transaction it writes its own rows and calls `claims.hear`.
    """

    name: str
    on_news: Callable[[Runtime, Sequence[Attempt]], Awaitable[Counts]] | None = None
    parts: tuple[Part, ...] = ()
    stages: tuple[Stage, ...] = ()  # its own, made of its parts; deployed and run by hand as ours are
    options: type[BaseModel] | None = None  # the model of its section `apps: <name>:` (`options_of`)
    bootstrap: Callable[[Session], object] | None = None  # makes its tables; can be repeated
    reconcile: Callable[[Runtime], Awaitable[Counts]] | None = None  # compares what it holds with what there is
    archive: Callable[[Runtime], Awaitable[Counts]] | None = None  # of all its instances
    needs: Needs | None = None  # since when its open accounts need the rows of jobs that ended
    purges: tuple[Purge, ...] = ()  # of all its instances
    report: Report | None = None
    count: Callable[[Session], object] | None = None  # brings its counts up to date; of all its instances
    collect: Callable[[Session, Settings, datetime], Iterable[Metric]] | None = None  # metrics; of all its instances
    restored: Callable[[Session, datetime], int] | None = None  # an older copy of the database; of all its instances
    recover: Recover | None = None  # writes its own rows of jobs that CEs name, before their attempts are rebuilt
    ready: Callable[[Runtime], Awaitable[bool]] | None = None  # whether all CEs that it knows of are in the tables
    several: bool = False  # it also runs once for each of `instances`, as an application of that name


def instance_of(app: Application, name: str) -> Application:
    """The application with the settings of an instance; its keys carry the name, so that no lease is shared."""
    hear, report, reconcile, needs = app.on_news, app.report, app.reconcile, app.needs
    recover, ready = app.recover, app.ready
    return Application(
        name,
        on_news=(lambda rt, rows: hear(rt.seen_by(name), rows)) if hear else None,
        parts=tuple(_part_of(part, name) for part in app.parts),
        report=(lambda session, held, now: report(session, held.seen_by(name), now)) if report else None,
        needs=(lambda session, held, now: needs(session, held.seen_by(name), now)) if needs else None,
        reconcile=(lambda rt: reconcile(rt.seen_by(name))) if reconcile else None,
        recover=(lambda rt, found: recover(rt.seen_by(name), found)) if recover else None,
        ready=(lambda rt: ready(rt.seen_by(name))) if ready else None,
    )


def _part_of(part: Part, name: str) -> Part:
    mark = f"@{name}"

    async def due(rt: Runtime) -> Sequence[str]:
        return [f"{key}{mark}" for key in await part.due(rt.seen_by(name))]

    async def run(rt: Runtime, key: str) -> Counts:
        return await part.run(rt.seen_by(name), key.removesuffix(mark))

    return replace(part, due=due, run=run)


def options_of(settings: Settings, name: str, model: type[Options]) -> Options:
    """An application's own section, validated by its own model. Raises BadSettings with every problem."""
    above = f"apps.{name}."
    try:
        return model.model_validate(settings.app.apps.get(name, {}))
    except ValidationError as err:
        told = sentences(model, err, above)
        raise BadSettings([f"{settings.where(f'{above}{key}')}: {words}" for key, words in told]) from err

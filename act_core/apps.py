"""How an application plugs in (architecture section 7)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

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
    archive: Callable[[Runtime], Awaitable[Counts]] | None = None
    report: Callable[[Runtime], Awaitable[str]] | None = None


def applications(settings: Settings) -> tuple[Application, ...]:
    """The applications that the configuration names. Raises ConfigError for one that is not installed."""
    found = []
    known = {point.name: point for point in entry_points(group=GROUP)}
    for name in settings.app.modules.app:
        if name not in known:
            where = settings.where("modules.app")
            raise ConfigError(f"{where}: modules.app: no application {name!r}; installed: {', '.join(sorted(known))}")
        app: Application = known[name].load()
        found.append(app)
    return tuple(found)

"""What the applications are asked beside their parts; what one of them raises stays its own."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from act_core.apps import Application, Needs, Part, Purge
from act_core.db import queries
from act_core.db.session import Database
from act_core.db.verdicts import translated
from act_core.engine.marks import Found
from act_core.errors import VERDICTS, ActError, AppBroken, DatabaseAway, Transient
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings

logger = log(__name__)
NEWS_BATCH, NEWS_ROUNDS = 500, 40
LOOK = "its look for work"  # the key of a part that could not say what is due: its round tells why
BROKEN = "broken"  # calls of applications that failed: counted, and the run turns red


def broken(app: str, what: str, err: Exception) -> AppBroken:
    """The error of an application's code, told with its traceback, as one that names the application."""
    said = f"application {app}: {what}: {type(err).__name__}: {err}"
    logger.error("%s", said, exc_info=err)
    return AppBroken(said)


async def contained(app: str, what: str, call: Callable[[], Awaitable[Counts]]) -> Counts:
    """What the call counts; an error is told and counted, and the others are asked all the same."""
    try:
        return await call()
    except DatabaseAway:  # from all of them
        raise
    except VERDICTS as err:
        logger.warning("application %s: %s: %s", app, what, err)
        return Counts(errors=1)
    except Exception as err:  # noqa: BLE001 - foreign code: whatever it raises is its own
        broken(app, what, err)
        return Counts({BROKEN: 1})


class Hooks:
    """The applications of a tower, asked one after the other."""

    def __init__(self, rt: Runtime, apps: Sequence[Application]) -> None:
        self._rt, self._apps = rt, apps
        self._owner = {part: app.name for app in apps for part in app.parts}
        self._blind: dict[Part, Exception] = {}  # what their last look for work raised

    async def due(self, part: Part) -> Sequence[str]:
        """What has work; of an application's part that cannot say so, LOOK."""
        try:
            return await part.due(self._rt)
        except Transient:
            raise
        except Exception as err:
            if part not in self._owner:
                raise
            self._blind[part] = err
            return [LOOK]

    async def run(self, part: Part, key: str) -> Counts:
        """One round. Raises AppBroken for what is no verdict, where the part is an application's."""
        if key == LOOK and (blind := self._blind.pop(part, None)):
            if isinstance(blind, VERDICTS):
                raise blind
            raise broken(self._owner[part], f"{part.stage}: what is due to {part.verb}", blind) from blind
        try:
            return await part.run(self._rt, key)
        except VERDICTS:
            raise
        except Exception as err:
            if part not in self._owner:
                raise
            raise broken(self._owner[part], f"{part.stage}: {part.verb} {key}", err) from err

    async def news(self) -> Counts:
        """Let the applications hear of rows that moved."""
        counts = Counts()
        for app in self._apps:
            if app.on_news is not None:
                counts += await contained(app.name, "on_news", lambda app=app: self._news(app))  # type: ignore[misc]
        return counts

    async def _news(self, app: Application) -> Counts:
        counts = Counts()
        for _ in range(NEWS_ROUNDS):
            rows = await self._rt.read(queries.with_news, app.name, NEWS_BATCH)
            if not rows:
                break
            assert app.on_news is not None
            counts += Counts(news=len(rows)) + await app.on_news(self._rt, rows)
        return counts

    async def archive(self) -> Counts:
        return await self._each("archive", [(app.name, app.archive) for app in self._apps])

    async def reconcile(self) -> Counts:
        """Let the applications compare what they hold with what there is."""
        return await self._each("reconcile", [(app.name, app.reconcile) for app in self._apps])

    async def over(self, found: Sequence[Found]) -> set[tuple[str, str]]:
        """Let the applications write their rows of these jobs; those (application, job) that are over for them."""
        over: set[tuple[str, str]] = set()
        for app in self._apps:
            mine = [one for one in found if one.mark.app == app.name]
            if not mine or app.recover is None:
                continue
            try:
                over |= {(app.name, job) for job in await app.recover(self._rt, mine)}
            except VERDICTS:
                raise
            except Exception as err:
                raise broken(app.name, "recover", err) from err
        return over

    async def ready(self) -> bool:
        """Whether the applications know of all CEs that may have jobs."""
        return all([await app.ready(self._rt) for app in self._apps if app.ready is not None])

    async def _each(
        self, what: str, hooks: Sequence[tuple[str, Callable[[Runtime], Awaitable[Counts]] | None]]
    ) -> Counts:
        counts = Counts()
        for name, hook in hooks:
            if hook is not None:
                counts += await contained(name, what, lambda hook=hook: hook(self._rt))  # type: ignore[misc]
        return counts

    async def needed(self) -> datetime | None:
        """Since when open accounts of applications need rows. Raises AppBroken for one that cannot say it."""
        held, now = self._rt.settings, self._rt.now()
        asked = [await self._needs(app.name, app.needs, held, now) for app in self._apps if app.needs]
        return min(filter(None, asked), default=None)

    async def _needs(self, name: str, needs: Needs, held: Settings, now: datetime) -> datetime | None:
        try:
            return await self._rt.read(needs, held, now)
        except VERDICTS:
            raise
        except Exception as err:
            raise broken(name, "needs", err) from err

    async def purge(self, before: Callable[[str], datetime]) -> Counts:
        """A chunk of what is old of each kind; `before`: what is older goes, by the key of `retention`."""
        counts = Counts()
        for name, one in [(app.name, one) for app in self._apps for one in app.purges]:
            remove = partial(self._purge, one, before(one.key))
            counts += await contained(name, f"purge of {one.what}", remove)
        return counts

    async def _purge(self, one: Purge, before: datetime) -> Counts:
        gone = await self._rt.write(one.remove, before)
        return Counts({f"old {one.what}": gone} if gone else {})

    def counters(self) -> list[Callable[[Session], object]]:
        return [_counter(app.name, app.count) for app in self._apps if app.count]


def _counter(name: str, count: Callable[[Session], object]) -> Callable[[Session], object]:
    """In the engine's own transaction: what fails there takes nothing else back."""

    def run(session: Session) -> None:
        try:
            with session.begin_nested():
                count(session)
        except Exception as err:
            if isinstance(err, SQLAlchemyError) and isinstance(translated(err), DatabaseAway):
                raise
            broken(name, "count", err)

    return run


def bootstrap_apps(db: Database, apps: Sequence[Application]) -> list[str]:
    """Let the applications make their tables, each in a transaction of its own; returns what went wrong, in words."""
    said = []
    for app in apps:
        if app.bootstrap is None:
            continue
        try:
            db.write(app.bootstrap)
        except DatabaseAway:
            raise
        except ActError as err:
            said.append(str(err) if app.name in str(err) else f"application {app.name}: {err}")
        except Exception as err:  # noqa: BLE001 - foreign code: the others get their tables
            said.append(str(broken(app.name, "bootstrap", err)))
    return said


def restored_apps(db: Database, apps: Sequence[Application], now: datetime) -> int:
    """Tell the applications that the database is an older copy; returns how many of their jobs are in doubt."""
    return sum(db.write(app.restored, now) for app in apps if app.restored)

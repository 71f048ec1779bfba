"""The books of a day are read, and closed once the day is over; a stage closes what is open each night."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from act_core.atlas import asks, closed_days, suspects
from act_core.atlas.accounting import Owner, counted, spent
from act_core.atlas.accounts import Books, bounds, changes, patience, tally, total
from act_core.atlas.books import app_of
from act_core.atlas.instance import server_key, server_of
from act_core.errors import BadInput
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings import app_model
from act_core.settings.model import Settings

logger = log(__name__)
SETTLED_AFTER = timedelta(minutes=15)  # after midnight: whoever wrote at its last moment is through
NAMED = 20  # jobs in a line of the log


def owner_of(settings: Settings) -> Owner:
    """Whose books these settings are about."""
    return Owner(server_key(settings), app_of(settings))


def books_of(session: Session, owner: Owner, day: date, now: datetime, settings: app_model.Books) -> Books:
    """A day's books: as they were closed, else as the rows say. Raises BadInput for a day that has not begun."""
    if known := closed_days.read(session, owner.server, day):
        return known
    return computed(session, owner, day, now, settings)


def computed(session: Session, owner: Owner, day: date, now: datetime, settings: app_model.Books) -> Books:
    """What the rows say of a day, up to now. What is unaccounted for at this moment belongs to the last day."""
    start, end = bounds(day)
    if start > now:
        raise BadInput(f"{day} has not begun (days are UTC)")
    until = min(end, now)
    bound = patience(settings.stuck, settings.longest)
    now_wrong = suspects.unaccounted(session, owner, bound, now) if now < end + (end - start) else ()
    return Books(
        day,
        owner.server,
        until,
        accounts=tally(counted(session, owner.server, start, until), closed_days.carried(session, owner.server, day)),
        spent=tuple(spent(session, owner, start, until)),
        unaccounted=(*now_wrong, *suspects.reserved_in_vain(session, owner, start, until)),
        doubly=suspects.doubly(session, owner, start, until),
        unverified=suspects.unverified(session, owner.server, start, until),
    )


def may_close(day: date, now: datetime) -> bool:
    """Whether a day is over, and everybody who wrote in it is through."""
    return now >= bounds(day)[1] + SETTLED_AFTER


def differences(session: Session, fresh: Books) -> tuple[str, ...]:
    """What a day's fresh books say otherwise than the closed ones, in words."""
    known = closed_days.read(session, fresh.server, fresh.day)
    return changes(known, fresh) if known else ()


def needs(session: Session, settings: Settings, now: datetime) -> datetime | None:
    """The books of a day that is not closed need the rows of what ended since it began; None: all days are closed."""
    first = next(iter(closed_days.open_days(session, server_key(settings), now.date())), None)
    return bounds(first)[0] if first else None


async def due(rt: Runtime) -> Sequence[str]:
    return [server_of(rt)] if await _open(rt) else []


async def _open(rt: Runtime) -> list[date]:
    return await rt.read(closed_days.open_days, server_of(rt), (rt.now() - SETTLED_AFTER).date())


async def close_books(rt: Runtime, _server: str) -> Counts:
    """Close every day that is over, the oldest first; each in a transaction of its own."""
    owner, counts = owner_of(rt.settings), Counts()
    for day in await _open(rt):
        books = await rt.read(computed, owner, day, rt.now(), rt.settings.app.books)
        if await rt.write(closed_days.write, books, rt.now()):
            told(books)
            counts += _counts(books)
    await rt.write(asks.forget, owner.server, rt.now() - rt.settings.app.books.longest)
    return counts


def _counts(books: Books) -> Counts:
    found = {"closed": 1, "unbalanced": len(books.unbalanced)}
    return Counts({**found, **{kind: len(getattr(books, kind)) for kind in ("unaccounted", "doubly", "unverified")}})


def told(books: Books) -> None:
    """One line of a closed day; as an error if something is wrong with it."""
    say = logger.info if books.good else logger.error
    sum_ = total(books.accounts)
    words = (
        f"books of {books.day}: {sum_.opening} open + {sum_.taken} taken = {sum_.finished} finished + "
        f"{sum_.failed} failed + {sum_.given_back} given back + {sum_.in_flight} in flight"
    )
    say("%s%s", words, trouble(books))


def trouble(books: Books) -> str:
    """What is wrong with a day, and with which jobs; nothing where all is well."""
    words = [f"; {one.queue} does not balance: {one.missing:+d}" for one in books.unbalanced]
    suspected = [*books.unaccounted, *books.doubly]
    words += [f"; {one.job}: {one.why}" for one in suspected[:NAMED]]
    more = len(suspected) - NAMED
    return "".join(words) + (f"; {more} more (`act books --day {books.day}`)" if more > 0 else "")

"""`act books`: what came in, what became of it, and what it cost, by day."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from typing import Annotated, Any

import typer

from act_core.atlas import closed_days, closing
from act_core.atlas.accounts import DAY, DELIVERED, Account, Books, Finding, Spent, total
from act_core.cli.actor import noted
from act_core.cli.context import database, now, settings
from act_core.cli.out import fail, out, plain, print_json, table, warn
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.monitor.times import at
from act_core.settings import Settings

HELP = (
    "What was taken from PanDA, and what became of it: taken = finished + failed + given back + in flight.\n\n"
    "Jobs by day (UTC) and queue; core-hours by cause, CE and queue; and by id, jobs that are unaccounted for, that "
    "were executed twice, or whose outputs nobody could check. Without options: today so far. A day that is closed is "
    "told as it was closed.\n\n"
    "Exit 1: something is unaccounted for, was executed twice, or does not balance."
)
app = typer.Typer(help=HELP, invoke_without_command=True)
Json = Annotated[bool, typer.Option("--json", help="for programs")]
LONGEST = 400  # days at once
ATLAS = "atlas"  # the application that keeps books
SHOWN = 50  # findings of a kind
COLUMNS = ("open", "taken", "finished", "failed", "given back", "in flight", "balance")


@app.callback()
def books(
    context: typer.Context,
    day: Annotated[str | None, typer.Option(help="YYYY-MM-DD, `today` or `yesterday`")] = None,
    since: Annotated[str | None, typer.Option("--from", help="the first of several days")] = None,
    until: Annotated[str | None, typer.Option("--to", help="the last of several days; default: today")] = None,
    queue: Annotated[str | None, typer.Option(help="only this PanDA queue; jobs listed by id are of all")] = None,
    json: Json = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    moment, held = now(), settings()
    days = _days(day, since, until, moment.date())
    owners = [closing.owner_of(seen) for seen in held.everybody()]
    with database(held) as db:
        found = [db.read(closing.books_of, owner, one, moment, held.app.books) for one in days for owner in owners]
    shown = [_only(one, queue) for one in found] if queue else found
    if queue and not any(one.accounts for one in shown):
        warn(f"nothing of a queue {queue!r} is in these books; `act queues list --all` lists the queues")
    if json:
        print_json({"good": all(one.good for one in shown), "days": [as_json(one) for one in shown]})
    elif ATLAS not in held.app.modules.app and not any(one.accounts for one in found):
        out.print("no PanDA, no books: modules.app does not name atlas")
    else:
        _print(shown)
    if not all(one.good for one in shown):
        raise typer.Exit(1)


@app.command()
def close(
    day: Annotated[str, typer.Option(help="YYYY-MM-DD or `yesterday`")],
    again: Annotated[
        bool, typer.Option("--again", help="although it is closed: tells and keeps what has changed")
    ] = False,
    json: Json = False,
) -> None:
    """Close a day's books by hand; the stage `close-books` does it each night. Exit 1: closed already, or not good."""
    moment, held = now(), settings()
    (one,) = _days(day, None, None, moment.date())
    if not closing.may_close(one, moment):
        raise BadInput(f"{one} is not over: books are closed from 00:15 UTC of the next day on")
    with database(held) as db:
        found = [_closed(db, seen, one, moment, again) for seen in held.everybody()]
    if json:
        print_json({"good": all(fresh.good for fresh in found), "days": [as_json(fresh) for fresh in found]})
    else:
        _print(found)
    if not all(fresh.good for fresh in found):
        raise typer.Exit(1)


def _closed(db: Database, held: Settings, day: date, moment: datetime, again: bool) -> Books:
    """The books as they were written."""
    fresh = db.read(closing.computed, closing.owner_of(held), day, moment, held.app.books)
    changed = db.read(closing.differences, fresh) if again else None
    if not db.write(closed_days.write, fresh, moment, changed):
        fail(
            f"{day} of {fresh.server} is closed (`act books --day {day}`); --again closes it anew",
            1,
        )
    noted(db, "books.close", f"{day} of {fresh.server}", {"again": again, "changed": list(changed or ())})
    return replace(fresh, closed_at=moment, changed=changed or ())


def _days(day: str | None, since: str | None, until: str | None, today: date) -> list[date]:
    """Raises BadInput for what is no day, and for days that are none or too many."""
    if day is not None and (since is not None or until is not None):
        raise BadInput("either --day, or --from and --to")
    last = _day(until or day, today)
    first = _day(since, today) if since else last
    if first > last:
        raise BadInput(f"--from {first} is after --to {last}")
    if (last - first).days >= LONGEST:
        raise BadInput(f"at most {LONGEST} days at once")
    return [first + n * DAY for n in range((last - first).days + 1)]


def _day(word: str | None, today: date) -> date:
    named = {None: today, "today": today, "yesterday": today - timedelta(days=1)}
    if word in named:
        return named[word]
    with suppress(ValueError):
        return date.fromisoformat(str(word))
    raise BadInput(f"{word!r}: a day is wanted, such as {today}, `today` or `yesterday`")


def _only(one: Books, queue: str) -> Books:
    accounts = tuple(account for account in one.accounts if account.queue == queue)
    return replace(one, accounts=accounts, spent=tuple(spent for spent in one.spent if spent.queue == queue))


def as_json(one: Books) -> dict[str, Any]:
    """A day for programs; core-hours as decimal numbers."""
    return {
        "day": str(one.day),
        "server": one.server,
        "until": at(one.until),
        "closed_at": at(one.closed_at),
        "changed": list(one.changed),
        "good": one.good,
        "all": _account(total(one.accounts)),
        "queues": [{"queue": account.queue} | _account(account) for account in one.accounts],
        "core_hours": [
            {name: getattr(spent, name) for name in ("queue", "ce", "cause", "attempts")}
            | {"core_hours": _h(spent.core_s)}
            for spent in one.spent
        ],
        "unaccounted": [asdict(finding) for finding in one.unaccounted],
        "doubly_executed": [asdict(finding) for finding in one.doubly],
        "unverified": [asdict(finding) for finding in one.unverified],
    }


def _account(one: Account) -> dict[str, int]:
    amounts = {name: value for name, value in asdict(one).items() if name != "queue"}
    return amounts | {"given_back": one.given_back, "missing": one.missing}


def _h(core_s: int) -> float:
    return round(core_s / 3600, 2)


def _print(days: Sequence[Books]) -> None:
    if len({one.day for one in days}) == 1:
        for n, one in enumerate(days):
            out.print("\n" * bool(n), end="")
            lines = [_line(account.queue, account) for account in one.accounts]
            table(("queue", *COLUMNS), [*lines, _line("all", total(one.accounts))], title=_title(one))
    else:
        table(("day", *COLUMNS), [_line(_title(one), total(one.accounts), one.unbalanced) for one in days])
    _print_spent([spent for one in days for spent in one.spent])
    for name, words in (
        ("unaccounted", "unaccounted for"),
        ("doubly", "executed twice"),
        ("unverified", "not verified"),
    ):
        _print_findings(words, {(one.server, finding.job): finding for one in days for finding in getattr(one, name)})
    for change in (change for one in days for change in one.changed):
        out.print(plain(f"changed: {change}"), markup=False)


def _title(one: Books) -> str:
    name = f"{one.day} {one.server}"
    if one.closed_at is None:
        return f"{name} (not closed, until {_minute(one.until)})"
    return f"{name} (closed {_minute(one.closed_at)}{f', revision {one.revision}' if one.revision > 1 else ''})"


def _minute(moment: datetime) -> str:
    return f"{moment:%m-%d %H:%MZ}"


def _line(name: str, one: Account, unbalanced: Sequence[Account] = ()) -> Sequence[str]:
    amounts = (one.opening, one.taken, one.finished, one.failed, one.given_back, one.in_flight)
    wrong = [account.missing for account in unbalanced] or [one.missing] * bool(one.missing)
    return name, *map(str, amounts), f"{' '.join(f'{n:+d}' for n in wrong)} missing" if wrong else "ok"


def _print_spent(spent: Sequence[Spent]) -> None:
    """Core-hours by cause, by CE and by queue."""
    if not spent:
        return
    for what in ("cause", "ce", "queue"):
        names = sorted({getattr(one, what) for one in spent}, key=lambda name: (name != DELIVERED, name))
        parts = {name: [one for one in spent if getattr(one, what) == name] for name in names}
        rows = [(name or "-", *_hours(part)) for name, part in parts.items()]
        out.print(f"\ncore-hours by {'CE' if what == 'ce' else what}", style="bold")
        table(("CE" if what == "ce" else what, "attempts", "delivered h", "wasted h"), [*rows, ("all", *_hours(spent))])


def _hours(spent: Iterable[Spent]) -> tuple[str, str, str]:
    every = list(spent)
    good = sum(one.core_s for one in every if one.cause == DELIVERED)
    bad = sum(one.core_s for one in every) - good
    return str(sum(one.attempts for one in every)), f"{good / 3600:.2f}", f"{bad / 3600:.2f}"


def _print_findings(words: str, found: dict[tuple[str, str], Finding]) -> None:
    if not found:
        return
    rows = [(one.job, one.why) for one in list(found.values())[:SHOWN]]
    out.print()
    table(("job", "why"), rows, title=f"{len(found)} {words}")
    if len(found) > SHOWN:
        out.print(f"and {len(found) - SHOWN} more: --json")

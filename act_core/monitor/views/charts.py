"""Stacked series by CE from what the tables count: the biggest, and the others as one. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from act_core.db.pages import Ended, Slots
from act_core.monitor.views.figures import OTHERS, Chart, EndedChart, Series

BIGGEST, HOURS, DAYS = 10, 48, 60


def hours(now: datetime, n: int = HOURS) -> tuple[str, ...]:
    """The last hours, this one included."""
    return tuple(f"{now - timedelta(hours=back):%Y-%m-%dT%H}" for back in reversed(range(n)))


def days(now: datetime, n: int = DAYS) -> tuple[str, ...]:
    """The last days, today included."""
    return tuple(str(date(now.year, now.month, now.day) - timedelta(days=back)) for back in reversed(range(n)))


def midnight(now: datetime, back: int = 0) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=back)


def stacked(points: Sequence[str], values: Mapping[tuple[str, str], float], unit: str, biggest: int = BIGGEST) -> Chart:
    """`values` by (point, name); those of `others` stay theirs. What was nothing all the time has no series."""
    sums: dict[str, float] = defaultdict(float)
    place = {point: n for n, point in enumerate(points)}
    for (point, name), value in values.items():
        if point in place:
            sums[name] += value
    order = sorted((name for name in sums if sums[name] and name != OTHERS), key=lambda name: (-sums[name], name))
    whole = len(order) <= biggest + (OTHERS not in sums)  # nobody is the only one of the others
    shown = order if whole else order[:biggest]
    rows: dict[str, list[float]] = {name: [0.0] * len(points) for name in shown}
    rest = [0.0] * len(points)
    for (point, name), value in values.items():
        if point in place:
            rows.get(name, rest)[place[point]] += value
    series = [Series(name or "no CE", _rounded(rows[name])) for name in shown]
    if any(rest):
        series.append(Series(OTHERS, _rounded(rest)))
    return Chart(tuple(points), tuple(series), unit)


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(value, 1) for value in values)


def means(points: Sequence[str], rows: Sequence[Slots]) -> Chart:
    """Mean slots by CE over the time that was looked at; a CE that held nothing then has no sample of it."""
    seen: dict[str, int] = {}
    for row in rows:
        seen[row.time] = max(seen.get(row.time, 1), row.samples)
    return stacked(points, {(row.time, row.ce or OTHERS): row.slots / seen[row.time] for row in rows}, "slots")


def of_one(points: Sequence[str], rows: Sequence[Slots]) -> Chart:
    """What one CE held: queued and running jobs, and slots; they are not to be stacked."""
    held = {row.time: row for row in rows}
    found = []
    for name in ("slots", "running", "queued"):
        means = [getattr(held[p], name) / max(1, held[p].samples) if p in held else 0.0 for p in points]
        found.append(Series(name, _rounded(means)))
    return Chart(tuple(points), tuple(found), "jobs and slots")


def ended(points: Sequence[str], found: Iterable[Ended]) -> EndedChart:
    well: dict[tuple[str, str], float] = defaultdict(float)
    badly: dict[tuple[str, str], float] = defaultdict(float)
    for day, name, good, bad in found:
        well[day, name] += good
        badly[day, name] += bad
    return EndedChart(stacked(points, well, "jobs"), stacked(points, badly, "jobs"))


def of_today(found: Iterable[Ended], today: str) -> tuple[dict[str, int], dict[str, int]]:
    """How many ended well and badly, by CE or share."""
    well: dict[str, int] = defaultdict(int)
    badly: dict[str, int] = defaultdict(int)
    for day, name, good, bad in found:
        if day == today:
            well[name] += good
            badly[name] += bad
    return dict(well), dict(badly)

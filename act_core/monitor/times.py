"""Moments, spans and numbers as people read them."""

from datetime import datetime, timedelta

UNKNOWN = "…"
_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def at(time: datetime | None) -> str | None:
    return None if time is None else f"{time:%Y-%m-%dT%H:%M:%SZ}"


def brief(told: str | None, now: datetime) -> str:
    """What `at` told, as short as a table wants it: of today only the time."""
    day, _, time = (told or "").partition("T")
    return time if day == f"{now:%Y-%m-%d}" else f"{day} {time[:5]}Z" if time else ""


def span(time: timedelta) -> str:
    """A length in its largest unit: `45 s`, `5 min`, `2 h`, `3 d`."""
    seconds = abs(int(time.total_seconds()))
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds == size or seconds >= 2 * size), _UNITS[-1])
    return f"{seconds // size} {unit}"


def some(n: int, what: str = "job") -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def moment(time: datetime | None, now: datetime) -> str:
    """A time and how far it is: `09:08:07Z (2 h ago)`."""
    if time is None:
        return UNKNOWN
    far = f"{span(now - time)} ago" if time <= now else f"in {span(time - now)}"
    return f"{brief(at(time), now)} ({far})"

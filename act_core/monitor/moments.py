"""Moments as people write them: a date, a time of day, `yesterday 14:00`, or so long before or after now. All UTC."""

import re
from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter, ValidationError

from act_core.errors import BadInput
from act_core.monitor.times import at as told
from act_core.settings.quantities import Seconds

_DAYS = {"": 0, "today": 0, "yesterday": 1}
_OF_DAY = re.compile(r"(|today|yesterday)\s*(?:(\d{1,2}):(\d\d)(?::(\d\d))?)?", re.IGNORECASE)
_AGO = re.compile(r"\s*ago$", re.IGNORECASE)
_IN = re.compile(r"^in\s+", re.IGNORECASE)
_LENGTH: TypeAdapter[timedelta] = TypeAdapter(Seconds)


def past(text: str, now: datetime, name: str = "--at") -> datetime:
    """A moment that is over; a length of time is one ago. Raises BadInput, with `name` as the culprit."""
    words = text.strip()
    length = _length(_AGO.sub("", words))
    try:
        found = _moment(words, now) if length is None else now - length
    except OverflowError:
        raise BadInput(f"{name} {text!r}: that is before all calendars") from None
    if found is None:
        wanted = "2026-03-01T12:00 (UTC), 09:30, `yesterday 14:00` or `2h ago`"
        raise BadInput(f"{name} {text!r}: a time is wanted, such as {wanted}")
    if found > now:
        raise BadInput(f"{name} {text!r}: that is {told(found)}, and has not come yet (it is {told(now)})")
    return found


def future(text: str, now: datetime, name: str = "--until") -> datetime | None:
    """A moment to come, or none; a length of time is one from now. Raises BadInput, with `name` as the culprit."""
    words = text.strip()
    if not words:
        return None
    length = _length(_IN.sub("", words))
    try:
        found = _moment(words, now) if length is None else now + length
    except OverflowError:
        raise BadInput(f"{name} {text!r}: nobody waits so long") from None
    if found is None:
        raise BadInput(f"{name} {text!r}: a time is wanted, such as 2026-03-01T12:00 or 2h")
    if found <= now:
        raise BadInput(f"{name} {text!r}: that has passed")
    return found


def day(text: str, now: datetime, name: str = "--day") -> datetime:
    """The beginning of a day that has begun. Raises BadInput, with `name` as the culprit."""
    found = past(text, now, name)
    return found.replace(hour=0, minute=0, second=0, microsecond=0)


def length(text: str, name: str, example: str = "30m, 2h or 3d") -> timedelta:
    """A length of time. Raises BadInput, with `name` as the culprit."""
    found = _length(text.strip())
    if found is None:
        raise BadInput(f"{name} {text!r}: a time is wanted, such as {example}")
    return found


def ago(text: str, now: datetime, name: str) -> datetime | None:
    """The moment so long ago; None: nothing was said. Raises BadInput, with `name` as the culprit."""
    if not text:
        return None
    try:
        return now - length(text, name)
    except OverflowError:
        raise BadInput(f"{name} {text!r}: nothing is so old") from None


def _length(words: str) -> timedelta | None:
    try:
        return _LENGTH.validate_python(words)
    except ValidationError:
        return None


def _moment(words: str, now: datetime) -> datetime | None:
    if words.lower() == "now":
        return now
    if words and (match := _OF_DAY.fullmatch(words)):
        hour, minute, second = (int(part or 0) for part in match.groups()[1:])
        midnight = now.astimezone(UTC) - timedelta(days=_DAYS[match[1].lower()])
        try:
            return midnight.replace(hour=hour, minute=minute, second=second, microsecond=0)
        except ValueError:
            return None
    try:
        found = datetime.fromisoformat(words)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)

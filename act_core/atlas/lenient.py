"""Values as PanDA and CRIC write them: numbers as text, and nothing in many spellings."""

from contextlib import suppress
from typing import Annotated

from pydantic import BeforeValidator

from act_core.words import clean

_NOTHING = frozenset({"", "NULL", "None", "null"})
_YES = frozenset({"true", "1", "yes"})
_NO = frozenset({"false", "0", "no"})
LARGEST_WHOLE = 2**53  # beyond it, floating point counts wrong


def present(value: object) -> object:
    """None for every spelling of nothing."""
    if isinstance(value, str):
        value = value.strip()
    return None if isinstance(value, str) and value in _NOTHING else value


def whole(value: object) -> int | None:
    """A whole number out of 8, 8.0, "8", "8.0"; None for nothing. Raises ValueError, also for an absurd one."""
    value = present(value)
    if value is None:
        return None
    number = _integer(value)
    if number is None:
        raise ValueError(f"{_short(value)} is no number")
    if abs(number) > LARGEST_WHOLE:
        raise ValueError(f"{_short(value)} is too large a number")
    return number


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    with suppress(ValueError, OverflowError):
        return int(value)
    with suppress(ValueError, OverflowError):
        return int(float(value))
    return None


def text(value: object) -> str | None:
    """Raises ValueError for lists, objects and truth values."""
    value = present(value)
    if value is None:
        return None
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{_short(value)} is no text")


def flag(value: object) -> bool:
    """Nothing is False. Raises ValueError."""
    value = present(value)
    word = str(value).lower()
    if value is None or word in _NO:
        return False
    if word in _YES:
        return True
    raise ValueError(f"{_short(value)} is neither true nor false")


def csv(value: object) -> list[str | None]:
    """The items of a comma-joined list; an item that is nothing is None."""
    joined = text(value)
    return [] if joined is None else [text(item) for item in joined.split(",")]


def _short(value: object) -> str:
    return repr(value)[:60]


Whole = Annotated[int | None, BeforeValidator(whole)]
Text = Annotated[str | None, BeforeValidator(text)]
Flag = Annotated[bool, BeforeValidator(flag)]

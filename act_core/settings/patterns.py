"""Regular expressions of the operator that meet texts of others: one that could take for ever is refused."""

import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any

_parser: Any = import_module("re._parser")  # of the standard library; it has no public name
_MANY = 10  # repetitions: few of them cannot multiply to much
_LONG, _GAPS = 100, 2
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}
_ALONE = {"POSSESSIVE_REPEAT", "ATOMIC_GROUP"}  # what they have matched they do not try anew


def endless(pattern: str, flags: int = re.IGNORECASE | re.DOTALL) -> bool:
    """Whether a repetition or an alternative stands inside a repetition: on a text that was made for it, the ways to
    match it double with each character. More than two `.*` are as bad: a minute for a kilobyte. Raises re.error.
    """
    parsed = _parser.parse(pattern, flags)
    return _endless(parsed, inside=False) or _gaps(parsed) > _GAPS


def _gaps(parsed: Iterable[tuple[Any, Any]]) -> int:
    """How many repetitions there are of any character, or of any but some."""
    found = 0
    for op, argument in parsed:
        if (
            str(op) in _REPEATS
            and argument[1] > _LONG
            and re.match(r"\[\((ANY|NOT_LITERAL|IN, \[\(NEGATE)", str(argument[2]))
        ):
            found += 1
        found += sum(_gaps(part) for part in _parts(argument))
    return found


def _endless(parsed: Iterable[tuple[Any, Any]], inside: bool) -> bool:
    for op, argument in parsed:
        name, again = str(op), inside
        if name in _REPEATS and argument[1] > _MANY:
            if inside:
                return True
            again = True
        if name == "BRANCH" and inside:
            return True
        if any(_endless(part, again and name not in _ALONE) for part in _parts(argument)):
            return True
    return False


def _parts(argument: Any) -> Iterable[Iterable[tuple[Any, Any]]]:
    """The expressions inside an expression, however its kind keeps them."""
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for one in argument:
            yield from _parts(one)

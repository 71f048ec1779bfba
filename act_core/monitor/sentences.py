"""The sentences of a reason, filled with its facts. Total: what is missing or odd is shown, and never raises."""

import re
import string
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from act_core.monitor.times import UNKNOWN, moment
from act_core.reasons import Reason
from act_core.tells import TELLS, Tell

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:?00)")
_LONGEST = 400  # characters of one fact
_NOT_SAID = {"until": "somebody ends it", "reason": "no reason was given", "owner": "somebody"}  # of a mode


class _Total(string.Formatter):
    """Like `str.format`, but for what cannot be filled or formatted."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        try:
            return super().get_field(field_name, args, kwargs)
        except (LookupError, AttributeError, TypeError, ValueError):
            return UNKNOWN, field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None or value == "":
            return UNKNOWN
        try:
            return format(value, format_spec)[:_LONGEST]
        except (TypeError, ValueError):
            return str(value)[:_LONGEST]

    def convert_field(self, value: Any, conversion: Any) -> Any:
        try:
            return super().convert_field(value, conversion)
        except ValueError:
            return value


_FILLER = _Total()
_REASONS: Mapping[str, Reason] = {reason.value: reason for reason in Reason}


def filled(template: str, facts: Mapping[str, Any], now: datetime) -> str:
    """One sentence. Facts that are times are told as moments."""
    known = _NOT_SAID | {name: _readable(value, now) for name, value in facts.items() if value or name not in _NOT_SAID}
    try:
        return _FILLER.vformat(template, (), known)
    except ValueError:  # no template at all
        return template


def told(code: str, facts: Mapping[str, Any], now: datetime) -> Tell:
    """Why, what happens next, what you can do. A code of another version of this program is shown as it is."""
    tell = TELLS.get(_REASONS[code]) if code in _REASONS else None
    if tell is None:
        return Tell(f"{code}: this version has no words for it ({_listed(facts)}).", UNKNOWN, UNKNOWN)
    return Tell(*(filled(words, facts, now) for words in (tell.why, tell.next, tell.do)))


def _readable(value: Any, now: datetime) -> Any:
    if isinstance(value, str) and _TIME.fullmatch(value):
        read = datetime.fromisoformat(value)
        return moment(read.astimezone(UTC), now)
    if isinstance(value, datetime):
        return moment(value, now)
    if isinstance(value, list | tuple | set):
        return ", ".join(map(str, value))
    return value


def _listed(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in facts.items())[:_LONGEST] or "no facts"

"""How values look on the page: filters of the templates. Every text goes through Jinja's escaping afterwards."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from act_core.monitor.views.figures import Chart

LONGEST = 400
NONE = "\u2013"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
GOOD = frozenset({"done", "finished", "closed", "online", "on", "good", "well", "up"})
BUSY = frozenset({"running", "finishing", "transferring", "validating", "wrapping"})
BAD = frozenset({"failed", "donefailed", "lost", "offline", "abandoned", "expired", "troubled", "stop"})
HELD = frozenset({"holding", "cancelling", "cancelled", "rest", "drain", "resting", "ending", "unseen", "brokeroff"})


def cut(text: object, most: int = LONGEST) -> str:
    """At most so many characters of a foreign text, without what steers a terminal or turns a line around."""
    words = _CONTROL.sub("\ufffd", str(text).replace("\r\n", "\n"))
    return words if len(words) <= most else words[: most - 1] + "…"


def when(moment: datetime | None, form: str = "ago") -> Markup:
    """A time; the browser writes how long ago it was, and keeps that current. `form`: ago, in, at, age."""
    if moment is None:
        return Markup('<span class="none">\u2013</span>')
    aware = moment.astimezone(UTC)
    said = aware.strftime("%Y-%m-%d %H:%M:%S")
    iso = aware.strftime("%Y-%m-%dT%H:%M:%SZ")
    return Markup('<time datetime="{}" data-form="{}" title="{} UTC">{}</time>').format(iso, form, said, said)


def span(seconds: float | None) -> str:
    """3 d 4 h, 5 min, 12 s."""
    if seconds is None:
        return NONE
    left = int(abs(seconds))
    for name, unit, smaller, below in (("d", 86400, "h", 3600), ("h", 3600, "min", 60)):
        if left >= unit:
            rest = left % unit // below
            return f"{left // unit} {name} {rest} {smaller}" if rest else f"{left // unit} {name}"
    return f"{left // 60} min" if left >= 60 else f"{left} s"


def number(n: float | None) -> str:
    """With thin spaces between thousands."""
    return NONE if n is None else f"{n:,.0f}".replace(",", "\u202f")


def size(n: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000 or unit == "GB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    raise AssertionError("unreachable")


def tone(word: object) -> str:
    """The class of a word's badge; beside the colour there is always the word."""
    text = str(word).lower()
    tones = (("good", GOOD), ("busy", BUSY), ("bad", BAD), ("held", HELD))
    return next((name for name, words in tones if text in words), "calm")


def part(text: object) -> str:
    """A segment of a path."""
    return quote(str(text), safe="")


def heat(n: int, most: int) -> str:
    """Five steps of a cell's ground, by its share of the largest."""
    return f"h{min(5, 1 + int(4 * n / most))}" if n and most else "h0"


def pairs(value: object, above: str = "") -> list[tuple[str, str]]:
    """The leaves of nested values, with dotted names."""
    if isinstance(value, Mapping):
        return [leaf for key, one in value.items() for leaf in pairs(one, f"{above}.{key}" if above else str(key))]
    if isinstance(value, list | tuple):
        if all(isinstance(one, str | int | float) for one in value):
            return [(above, ", ".join(map(str, value)))]
        return [leaf for n, one in enumerate(value) for leaf in pairs(one, f"{above}[{n}]")]
    return [(above, NONE if value is None else str(value))]


def coded(text: object, most: int = LONGEST) -> Markup:
    """A sentence of ours, in which commands stand between backticks. What it quotes of others is escaped."""
    parts = re.split(r"`([^`\n]{1,200})`", cut(text, most))
    return Markup("").join(
        Markup("<code>{}</code>").format(one) if n % 2 else Markup("{}").format(one) for n, one in enumerate(parts)
    )


def badge(word: object, more: str = "") -> Markup:
    return Markup('<span class="badge {}">{}</span>').format(tone(word), cut(f"{word}{more}", 60))


def charted(chart: Chart, kind: str) -> dict[str, Any]:
    """What the script draws. `kind`: areas (hours) or bars (days)."""
    series = [{"name": cut(one.name, 60), "values": one.values} for one in chart.series]
    return {"kind": kind, "unit": chart.unit, "points": chart.points, "series": series}


FILTERS: dict[str, Callable[..., Any]] = {
    "cut": cut,
    "when": when,
    "span": span,
    "number": number,
    "size": size,
    "tone": tone,
    "part": part,
    "heat": heat,
    "pairs": pairs,
    "badge": badge,
    "charted": charted,
    "coded": coded,
}

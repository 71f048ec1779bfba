"""As much of PromQL as tells which metrics and labels an expression names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:\\.|[^"\\])*")|(?P<time>\[[0-9]+[smhdw]\])|(?P<number>[0-9]+(?:\.[0-9]+)?)"""
    r"""|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)|(?P<mark>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},]))"""
)
_WORDS = {"and", "or", "unless", "bool", "offset", "group_left", "group_right"}
_LISTS = {"by", "without", "on", "ignoring"}


@dataclass(frozen=True, slots=True)
class Named:
    """`labels`: of matchers, by metric; `grouped`: of by(…) and on(…)."""

    metrics: dict[str, set[str]]
    grouped: set[str]


def tokens(text: str) -> list[tuple[str, str]]:
    """Raises ValueError for what is no PromQL."""
    found, at, text = [], 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"at {at}: {text[at : at + 20]!r}")
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def _places(found: list[tuple[str, str]], text: str) -> Iterator[str]:
    """Where each token stands: in a list of labels, among matchers, or elsewhere. Raises ValueError for brackets."""
    opened: list[str] = []
    inside = ""
    for n, (_, word) in enumerate(found):
        if word in ("(", "{"):
            opened.append(word)
            inside = "matchers" if word == "{" else "labels" if found[n - 1][1] in _LISTS else ""
        elif word in (")", "}"):
            if not opened or opened.pop() + word not in ("()", "{}"):
                raise ValueError(f"{word} closes nothing: {text}")
            inside = ""
        yield inside
    if opened:
        raise ValueError(f"{opened[-1]} is not closed: {text}")


def named(text: str) -> Named:
    """What an expression names. Raises ValueError for brackets that do not match, and for a matcher without a value."""
    found, made, last = tokens(text), Named({}, set()), ""
    after = [*found, ("end", ""), ("end", "")]
    for n, ((kind, word), inside) in enumerate(zip(found, _places(found, text), strict=True)):
        following = after[n + 1][1]
        if kind != "name":
            continue
        if inside == "labels":
            made.grouped.add(word)
        elif inside == "matchers":
            if following not in ("=", "!=", "=~", "!~") or after[n + 2][0] != "text":
                raise ValueError(f"{word} is compared to nothing: {text}")
            made.metrics[last].add(word)
        elif word not in _WORDS | _LISTS and following not in {"(", *_LISTS}:
            last = word
            made.metrics.setdefault(word, set())
    return made

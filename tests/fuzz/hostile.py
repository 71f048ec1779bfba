"""What strangers may write: values, documents that were good once, and texts that were."""

import copy
import dataclasses
import json
import os
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

GOOD: dict[str, Any] = json.loads((Path(__file__).parent / "good.json").read_text(encoding="utf-8"))
EXAMPLES = int(os.environ.get("ACT_FUZZ", "40"))  # of a door
MOST = 2**63  # what no column holds is let in nowhere
BRACKETS = 900  # Python's own stack has a thousand


class Raw(str):
    """JSON that stands as it is: what `json.dumps` would not write."""

    __slots__ = ()


def deep(n: int, sign: str = "[]") -> Raw:
    return Raw(sign[0] * n + sign[1] * n)


WORDS = (
    *("", " ", "NULL", "None", "null", "0", "-1", "1e999", "nan", "-inf", "9" * 25, "9" * 5000, "²", "٣", "true"),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "a\x00b",
        "\x00",
        "\ud800",
        "a\udfffb",
        "\ufeff",
        "\r\n",
        "\x1b[2J",
    ),
    *("%s%n", "%2e%2e%2f", "{}", "[]", "https://[", "https://a:99999999/", "//", "a" * 5_000, "\u202eabc", "&a;"),
    *("'; DROP TABLE ce_jobs; --", "<!DOCTYPE a>", "$(reboot)"),
)
TEXTS = st.one_of(
    st.sampled_from(WORDS), st.text(max_size=30), st.text("\x00\x7f\n\r\t\ud800'\"$(){}[]<>&;:/\\ab", max_size=15)
)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([Raw("1e400"), Raw("9" * 4000), Raw("9" * 5000), Raw("-0")]),
)
NESTED = st.sampled_from([deep(5), deep(70), deep(BRACKETS), Raw('{"a":' * 300 + "1" + "}" * 300)])
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, NESTED),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=5,
)
SNIPPETS = st.one_of(
    TEXTS,
    st.sampled_from(
        ["(", ")", "((((", '"', "'", "<", ">", "<a>" * 300, "(" * 3000, "=", "&", "+", "]]>", "- " * 500, "*a", "&a "]
    ),
)


def fuzzed(part: int = 1, **what: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """So many examples of a door; more of them with ACT_FUZZ. `part`: only one of so many, of a door that is slow."""

    def of(test: Callable[..., None]) -> Callable[..., None]:
        quiet = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
        return settings(max_examples=max(1, EXAMPLES // part), deadline=None, suppress_health_check=quiet)(
            given(**what)(test)
        )

    return of


def written(value: object) -> str:
    """JSON, with what no writer of JSON would write: repeated keys are left to the texts."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(str(key))}:{written(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    return json.dumps(value)


@st.composite
def spoiled(draw: st.DrawFn, good: Any) -> str:
    """A good document with up to three places replaced, repeated or gone; as JSON."""
    made = {"": copy.deepcopy(good)}
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(_places(made)))
        deed = draw(st.sampled_from(["replace", "replace", "replace", "drop", "wrap", "many"]))
        if deed == "drop" and key != "":
            del holder[key]
        elif deed == "wrap":
            holder[key] = [holder[key]]
        elif deed == "many":
            holder[key] = [holder[key]] * draw(st.sampled_from([2, 30]))
        else:
            holder[key] = draw(VALUES)
    return written(made[""])


def _places(value: Any) -> list[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, one in [*pairs] for place in ((value, key), *_places(one))]


@st.composite
def cut_up(draw: st.DrawFn, good: str) -> str:
    """A good text with pieces put in, taken out, said again, or its end gone."""
    text = good
    for _ in range(draw(st.integers(1, 4))):
        here, there = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        deed = draw(st.sampled_from(["insert", "insert", "drop", "again", "end"]))
        if deed == "insert":
            text = text[:here] + draw(SNIPPETS) + text[here:]
        elif deed == "drop":
            text = text[:here] + text[min(there, here + 20) :]
        elif deed == "again":
            text = text[:there] + text[here:there] * draw(st.sampled_from([1, 20])) + text[there:]
        else:
            text = text[:there]
    return text[:200_000]


def storable(value: object, numbers: int = MOST) -> bool:
    """Whether all of a typed value can be written into a table: characters that exist, numbers that fit."""
    if value is None or isinstance(value, Enum | bool | bytes):
        return True
    if isinstance(value, str):
        return value.encode("utf-8", "replace") == value.encode("utf-8", "surrogatepass")
    if isinstance(value, int):
        return abs(value) < numbers
    if isinstance(value, SecretStr):
        return storable(value.get_secret_value())
    return all(storable(one, numbers) for one in _inside(value))


def _inside(value: object) -> Collection[object]:
    if isinstance(value, BaseModel):
        return [getattr(value, name) for name in type(value).model_fields]
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list | tuple | set | frozenset) else ()

"""What the models know of a key, and what is said of one that they refuse."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from act_core.settings.app_model import AppSettings
from act_core.settings.document import shown
from act_core.settings.model import ArcSettings
from act_core.settings.section import Section

NAMES = {"arc": "aCTConfigARC.yaml", "app": "aCTConfigAPP.yaml"}
MODELS: Mapping[str, type[Section]] = {"arc": ArcSettings, "app": AppSettings}
_NAME = "[key]"  # how pydantic says that the key itself is refused, and not what stands there
_SECTIONS = {"model_type", "model_attributes_type", "dict_type", "mapping_type"}
_WORDS = (
    (r"^Value error, ", ""),
    (r"^Input should be a valid (\w+).*", r"a \1 is wanted"),
    (r"^Input should be (.*)", r"wanted: \1"),
    (r"^a (integer)", r"an \1"),
    (r"^a boolean is wanted", "true or false is wanted"),
    (r"^String should have (.*)", r"wanted: \1"),
    (r"^Its name should match pattern (.*)", r"a name that matches \1 is wanted"),
    (r"^String should match pattern (.*)", r"a text that matches \1 is wanted"),
    (r"^Input is not a valid (\w+).*", r"a \1 is wanted"),
    (r"^Field required$", "it is missing"),
)


def complaints(kind: str, err: ValidationError, lines: Mapping[str, str]) -> list[str]:
    """One sentence for each thing that a model refused, with its place and without its value."""
    return [_complaint(kind, one, lines) for one in err.errors(include_url=False, include_input=False)]


def _complaint(kind: str, one: ErrorDetails, lines: Mapping[str, str]) -> str:
    keys = [str(part) for part in one["loc"]]
    if keys[-1:] == [_NAME]:
        keys, one = keys[:-1], {**one, "msg": one["msg"].replace("String", "Its name", 1)}
    dotted = ".".join(keys)
    above = (".".join(keys[:n]) for n in range(len(keys), 0, -1))
    where = next((lines[key] for key in above if key in lines), NAMES[kind])
    return f"{where}: {_sentence(one, dotted, _hint(kind, keys))}"


def sentences(model: type[BaseModel], err: ValidationError, above: str = "") -> Iterator[tuple[str, str]]:
    """The same of any model: dotted keys and sentences, which name the key with `above` before it."""
    for one in err.errors(include_url=False, include_input=False):
        keys = [str(part) for part in one["loc"]]
        dotted = ".".join(keys)
        hint = nearest(keys[-1], known_keys(model, keys[:-1])) if keys else ""
        yield dotted, _sentence(one, f"{above}{dotted}", hint)


def _sentence(one: ErrorDetails, dotted: str, hint: str) -> str:
    if one["type"] == "extra_forbidden":
        return f"unknown key {shown(dotted)}{hint}"
    return f"{shown(dotted)}: {_wanted(one)}" if dotted else _wanted(one)


def _wanted(one: ErrorDetails) -> str:
    if one["type"] in _SECTIONS:
        return "a section with keys is wanted"
    if one["type"] == "tuple_type":
        return "a list is wanted, such as [a, b]"
    words = one["msg"]
    for pattern, ours in _WORDS:
        words = re.sub(pattern, ours, words)
    return words


def _hint(kind: str, keys: Sequence[str]) -> str:
    """The nearest known key, or the file in which a section belongs."""
    other = "app" if kind == "arc" else "arc"
    if len(keys) == 1 and keys[0] in MODELS[other].model_fields:
        return f"; it belongs in {NAMES[other]}"
    return nearest(keys[-1], known_keys(MODELS[kind], keys[:-1]))


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing."""
    near = difflib.get_close_matches(word.lower()[:80], list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""


def known_keys(model: type[BaseModel], keys: Iterable[str]) -> tuple[str, ...]:
    """The keys that are known below these."""
    found = annotation_at(model, keys)
    return tuple(found.model_fields) if _is_section(found) else ()


def annotation_at(model: type[BaseModel], keys: Iterable[str]) -> Any:
    """What is wanted at these keys: a section's class, a type, or None if the models don't know them."""
    found: Any = model
    for key in keys:
        if _is_section(found):
            field = found.model_fields.get(key)
            found = field.annotation if field else None
        else:
            found = _inner(found)
    return found


def _inner(found: Any) -> Any:
    """What stands at each key of a `Mapping[str, X]`, and at each place of a `tuple[X, ...]`: X."""
    match get_args(found):
        case (inner, places) if places is ...:
            return inner
        case (keys, inner) if keys is str or get_origin(keys) is Annotated:
            return inner
    return None


def _is_section(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel)

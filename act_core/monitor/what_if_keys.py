"""What `act what-if` may change: each key, and the typed setting that says what is good for it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from pydantic import ValidationError

from act_core.errors import BadInput
from act_core.settings.complaints import sentences
from act_core.settings.model import Jobs, Site
from act_core.settings.policy import Fill
from act_core.settings.section import Section

# Short and long names; what stands in a file under `jobs` is set for the one site.
_SITE: Mapping[str, str] = {
    "a": "queuefraction",
    "b": "queueoffset",
    "maxjobs": "maxjobs",
    "batch": "batch",
    "jobs.queuefraction": "queuefraction",
    "jobs.queueoffset": "queueoffset",
}
_FILL: Mapping[str, str] = {
    name: key.removeprefix("fill.")
    for key in ("fill.unit", "fill.rate", "fill.stalled", "fill.capacityage")
    for name in (key, key.removeprefix("fill."))
}
_SHARES = "fill.shares.", "shares."
KEYS = ("a", "b", "maxjobs", "batch", "rate", "unit", "stalled", "capacityage", "shares.NAME")
_NO_LIMIT = "none"
S = TypeVar("S", bound=Section)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds of a CE's filling."""

    site: Site
    jobs: Jobs
    fill: Fill


def changed(terms: Terms, words: Iterable[str]) -> Terms:
    """With what stands in `key=value`. Raises BadInput that names the culprit."""
    for word in words:
        terms = _changed(terms, word)
    return terms


def _changed(terms: Terms, word: str) -> Terms:
    key, found, value = (part.strip() for part in word.partition("="))
    if not found or not key:
        raise BadInput(f"--set {word!r}: key=value is wanted, such as b=300")
    if key in _SITE:
        return Terms(_with(terms.site, _SITE[key], value, word), terms.jobs, terms.fill)
    if key in _FILL:
        return Terms(terms.site, terms.jobs, _with(terms.fill, _FILL[key], value, word))
    share = next((key.removeprefix(one) for one in _SHARES if key.startswith(one) and key != one), None)
    if share is None:
        near = get_close_matches(key, [*_SITE, *_FILL], n=1)
        raise BadInput(
            f"--set {word!r}: no key {key!r}{f', did you mean {near[0]!r}?' if near else ''}; "
            f"there are {', '.join(KEYS)}"
        )
    return Terms(terms.site, terms.jobs, _with(terms.fill, "shares", {**terms.fill.shares, share: value}, word))


def _with(section: S, name: str, value: object, word: str) -> S:
    given = None if value == _NO_LIMIT else value
    try:
        return type(section).model_validate(section.model_dump() | {name: given})
    except ValidationError as err:
        _, said = next(sentences(type(section), err))
        raise BadInput(f"--set {word!r}: {said}") from None

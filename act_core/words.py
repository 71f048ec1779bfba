"""Foreign words, made fit to be kept and to be shown."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

HIDDEN = "***"
# Where these end a longer name, its beginning is not looked for: that took a minute for a text of a megabyte.
_PHRASE = r"(?:password|passwd|passphrase)"
_ENDING = rf"(?:secrets?|{_PHRASE}|token|authz|signature|api_?key)"
_NAME = rf"[\w-]{{0,40}}{_ENDING}"
_VALUE = r"""(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|\{.*\}|\{.*|[^\s&,;]+)"""
_SECRETS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S), HIDDEN),
    (re.compile(r"\b(bearer(?:\s+|%20))[\w.~+/=%-]{8,}", re.I), rf"\1{HIDDEN}"),
    (re.compile(r"""\b(authorization["']?\s*[:=]\s*["']?(?!bearer)\w+\s+)[^\s"',;]+""", re.I), rf"\1{HIDDEN}"),
    (re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*"), HIDDEN),
    (re.compile(r"(://[^/@\s:]*:)[^/@\s]+@"), rf"\1{HIDDEN}@"),
    (re.compile(rf"""({_ENDING}(?:["']?\s*(?:=|%3D)\s*|["']\s*:\s*)){_VALUE}""", re.I | re.S), rf"\1{HIDDEN}"),
    (re.compile(rf"((?<![\w-])-{_NAME}(?:\s+|%20|\+))(?!-){_VALUE}", re.I | re.S), rf"\1{HIDDEN}"),
    (re.compile(rf"({_PHRASE}:\s+|{_ENDING}:\s+(?=[^\s,;]{{16}})){_VALUE}", re.I | re.S), rf"\1{HIDDEN}"),
)
_AHEAD = 4096  # characters beyond what is kept that may tell what a secret is
_SECRET_KEY = re.compile(r"(^|[_-])(password|passwd|passphrase|secret|secrets|token|apikey|key)$", re.IGNORECASE)
_OPTION = re.compile(rf"-{_NAME}", re.IGNORECASE)


def redact(text: str) -> str:
    """The text without bearer tokens, private keys, passwords and PanDA's secrets."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def tells_a_secret(name: str) -> bool:
    """Whether what bears this name is one: a key of options, an environment variable."""
    return _SECRET_KEY.search(name) is not None


def redacted_arguments(arguments: Iterable[str]) -> tuple[str, ...]:
    """A command line without what follows `--token` and the like."""
    said: list[str] = []
    follows = False
    for one in arguments:
        said.append(HIDDEN if follows and not one.startswith("-") else redact(one))
        follows = _OPTION.fullmatch(one) is not None
    return tuple(said)


def redacted(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The same, without what looks like a secret by its words or by its name."""
    return {name: HIDDEN if one and tells_a_secret(name) else _redacted(one) for name, one in facts.items()}


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case dict():
            return redacted(value)
        case list() | tuple():
            return [_redacted(one) for one in value]
        case _:
            return value


def kept(text: str, most: int) -> str:
    """What others said, as the tables may hold it: no secret, no broken character, no longer than its column."""
    return clean(redact(text[: most + _AHEAD]))[:most]


def clean(text: str) -> str:
    """The text without halves of surrogate pairs, which no database, file or JSON takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def host_of(endpoint: str) -> str:
    """The host of an endpoint with or without scheme; of what has none, its last part."""
    found = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}").hostname
    return found or PurePosixPath(endpoint).name

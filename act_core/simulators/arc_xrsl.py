"""As much of xRSL as people submit by hand."""

import re
from collections.abc import Iterator

from act_core.simulators.arc_adl import MOST_RERUNS
from act_core.simulators.arc_description import BadDescription, Description, Input, Output

PARSING_ERROR = "nordugrid:xrsl parsing error"
_TOKEN = re.compile(
    r"\s*(?:\(\*.*?\*\)\s*)*(?:(?P<mark>[&+()=])|\"(?P<quoted>(?:[^\"]|\"\")*)\"|(?P<word>[^\s&+()=\"]+))"
)
_DEEPEST = 20

Value = str | list["Value"]
Attributes = dict[str, list[Value]]


def split(text: str) -> list[str | BadDescription]:
    """`+` and several descriptions in brackets, or a single one. Brackets of an unfinished text are a parsing error."""
    text = text.strip()
    if not text.startswith("+"):
        return [text]
    parts, depth, start, quoted = [], 0, 0, False
    for place, letter in enumerate(text[1:], 1):
        quoted ^= letter == '"'
        if letter in "()" and not quoted:
            depth += 1 if letter == "(" else -1
            if letter == "(" and depth == 1:
                start = place + 1
            elif letter == ")" and depth == 0:
                parts.append(text[start:place].strip())
    return [*parts] if parts and depth == 0 else [BadDescription(PARSING_ERROR)]


def parse(text: str) -> Description:
    """One description `&(attribute=value …)…`. Raises BadDescription."""
    given = _attributes(text)
    executable = _word(given, "executable")
    if not executable:
        raise BadDescription(PARSING_ERROR)
    log = _word(given, "join").lower() == "yes"
    stdout = _word(given, "stdout")
    reruns, cores = _word(given, "rerun") or "0", _word(given, "count") or "1"
    if not (reruns.isdigit() and cores.isdigit()):
        raise BadDescription(PARSING_ERROR)
    return Description(
        executable=executable,
        name=_word(given, "jobname"),
        arguments=tuple(str(value) for value in given.get("arguments", [])),
        environment=dict(_pairs(given, "environment")),
        stdin=_word(given, "stdin"),
        stdout=stdout,
        stderr=stdout if log else _word(given, "stderr"),
        inputs=tuple(Input(name, (source,) if source else ()) for name, source in _pairs(given, "inputfiles")),
        outputs=tuple(_outputs(given)),
        delegations=tuple(str(value) for value in given.get("delegationid", [])),
        queue=_word(given, "queue"),
        cores=int(cores),
        reruns=min(MOST_RERUNS, int(reruns)),
        language="nordugrid:xrsl",
    )


def _outputs(given: Attributes) -> Iterator[Output]:
    """stdout and stderr are kept without being asked for, other than in ADL."""
    for name, target in _pairs(given, "outputfiles"):
        yield Output(name, target or None)
    for attribute in ("stdout", "stderr"):
        if name := _word(given, attribute):
            yield Output(name)


def _word(given: Attributes, attribute: str) -> str:
    values = given.get(attribute, [""])
    if len(values) != 1 or not isinstance(values[0], str):
        raise BadDescription(PARSING_ERROR)
    return values[0]


def _pairs(given: Attributes, attribute: str) -> Iterator[tuple[str, str]]:
    for value in given.get(attribute, []):
        if isinstance(value, str) or not value or not all(isinstance(part, str) for part in value):
            raise BadDescription(PARSING_ERROR)
        yield str(value[0]).lstrip("/"), str(value[1]) if len(value) > 1 else ""


def _attributes(text: str) -> Attributes:
    tokens = _tokens(text)
    if next(tokens, None) != ("mark", "&"):
        raise BadDescription(PARSING_ERROR)
    found: Attributes = {}
    for kind, word in tokens:
        if (kind, word) != ("mark", "("):
            raise BadDescription(PARSING_ERROR)
        name, equals = next(tokens, None), next(tokens, None)
        if name is None or name[0] == "mark" or equals != ("mark", "="):
            raise BadDescription(PARSING_ERROR)
        found[name[1].lower()] = _values(tokens)
    return found


def _values(tokens: Iterator[tuple[str, str]], depth: int = 0) -> list[Value]:
    values: list[Value] = []
    for kind, word in tokens:
        if kind != "mark":
            values.append(word)
        elif word == ")":
            return values
        elif word == "(" and depth < _DEEPEST:
            values.append(_values(tokens, depth + 1))
        else:
            break
    raise BadDescription(PARSING_ERROR)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    text, place = text.strip(), 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise BadDescription(PARSING_ERROR)
        place = match.end()
        kind = match.lastgroup or ""
        yield kind, match[kind].replace('""', '"') if kind == "quoted" else match[kind]

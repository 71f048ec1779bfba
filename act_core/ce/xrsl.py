"""xRSL, read: the job language of the original, for `act jobs add`. It is never sent (shown: xrsl_writer.py)."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from act_core.ce.described import Home, brought_along, complaint, everything, plain
from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec, OutputFile, RuntimeEnvironment

DEEPEST = 6
_QUOTED, _WORD = r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'', r"[^\s()&+|=\"'#^]+"  # no joining with # and no ^quotes^
_TOKEN = re.compile(rf"\s+|[()&+|=]|(?:{_QUOTED}|{_WORD})(?![^\s()&+|=])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AMOUNT = re.compile(r"([0-9]{1,9})\s*(s|sec|second|m|min|minute|h|hour|d|day|w|week)s?(?![a-z])[\s,]*")


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    at: str  # "line 3, column 7"
    literal: bool = False


@dataclass(frozen=True, slots=True)
class _Relation:
    name: str
    values: list[Any]  # words, and lists of words in brackets
    at: str

    def one(self) -> str:
        """The single word of a relation."""
        if len(self.values) != 1 or not isinstance(self.values[0], str):
            raise BadInput(f"{self.at}: {self.name} takes one value")
        return self.values[0]

    def number(self) -> int:
        try:
            return int(self.one())
        except ValueError:
            raise BadInput(f"{self.at}: {self.name}: {self.one()[:40]!r} is no number") from None

    def flag(self) -> bool:
        if (word := self.one().lower()) not in ("yes", "true", "no", "false"):
            raise BadInput(f"{self.at}: {self.name} is yes or no, not {word[:40]!r}")
        return word in ("yes", "true")

    def words(self) -> list[str]:
        if not all(isinstance(value, str) for value in self.values):
            raise BadInput(f"{self.at}: {self.name} takes words, not lists")
        return list(self.values)

    def lists(self) -> list[list[str]]:
        for value in self.values:
            if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
                raise BadInput(f"{self.at}: {self.name} takes bracketed lists of words")
        return list(self.values)


def read_xrsl(text: str, home: Home) -> list[JobSpec]:
    """Every job of an xRSL text (`&(…)(…)`, or many behind `+`). `home`: where a source lies, for a relative path.

    Raises BadInput with line and culprit.
    """
    tokens = list(_tokens(text))
    if not tokens:
        raise BadInput("the xRSL is empty")
    parser = _Parser(tokens)
    jobs = [_spec(relations, home) for relations in parser.jobs()]
    if not jobs:
        raise BadInput("the xRSL describes no job")
    return jobs


def _tokens(text: str) -> Iterator[_Token]:
    place, line, begin = 0, 1, 0  # begin: of the line
    while place < len(text):
        at = f"line {line}, column {place - begin + 1}"
        word = _comment(text, place, at) or _word(text, place, at)
        if not word.isspace() and not word.startswith("(*"):
            quoted = word[0] in "\"'"
            yield _Token(word[1:-1].replace(word[0] * 2, word[0]) if quoted else word, at, quoted)
        if "\n" in word:
            line += word.count("\n")
            begin = place + word.rindex("\n") + 1
        place += len(word)


def _comment(text: str, place: int, at: str) -> str:
    if not text.startswith("(*", place):
        return ""
    end = text.find("*)", place + 2)
    if end < 0:
        raise BadInput(f"{at}: a comment that does not end")
    return text[place : end + 2]


def _word(text: str, place: int, at: str) -> str:
    found = _TOKEN.match(text, place)
    if found is None:
        raise BadInput(f"{at}: neither a word nor a quotation that ends: {text[place : place + 30]!r}")
    return found.group()


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens, self._place = tokens, 0

    def _peek(self) -> _Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _is(self, sign: str) -> bool:
        token = self._peek()
        return token is not None and not token.literal and token.text == sign

    def _next(self, wanted: str | None = None) -> _Token:
        token = self._peek()
        if token is None:
            raise BadInput(f"{self._tokens[-1].at}: the xRSL ends where {wanted or 'something'} is wanted")
        if wanted is not None and (token.literal or token.text != wanted):
            raise BadInput(f"{token.at}: {wanted} is wanted before {token.text[:40]!r}")
        self._place += 1
        return token

    def jobs(self) -> Iterator[list[_Relation]]:
        many = self._is("+")
        if many:
            self._next()
        while self._peek() is not None:
            if many:
                self._next("(")
            yield self._job()
            if many:
                self._next(")")
            elif (rest := self._peek()) is not None:
                raise BadInput(f"{rest.at}: {rest.text[:40]!r} stands behind the job")

    def _job(self) -> list[_Relation]:
        self._next("&")
        relations = []
        while self._is("("):
            self._next()
            name = self._next()
            self._next("=")
            relations.append(_Relation(name.text.lower().replace("_", ""), self._values(0), name.at))
            self._next(")")
        return relations

    def _values(self, depth: int) -> list[Any]:
        values: list[Any] = []
        while (token := self._peek()) is not None:
            if token.literal or token.text not in "()&+|=":
                values.append(self._next().text)
            elif token.text == "(" and depth < DEEPEST:
                self._next()
                values.append(self._values(depth + 1))
                self._next(")")
            elif token.text == ")":
                return values
            else:
                raise BadInput(f"{token.at}: {token.text!r} is not understood here")
        return values


def _time(relation: _Relation) -> timedelta:
    """A number of minutes, or `1 day 2 hours`."""
    words = " ".join(relation.words()).lower()
    if re.fullmatch("[0-9]{1,9}", words):
        return timedelta(minutes=int(words))
    found = _AMOUNT.findall(words)
    if not found or _AMOUNT.sub("", words):
        raise BadInput(f"{relation.at}: {relation.name}: {words[:40]!r} is no time")
    try:
        return timedelta(seconds=sum(int(n) * _UNITS[unit[0]] for n, unit in found))
    except OverflowError:
        raise BadInput(f"{relation.at}: {relation.name}: {words[:40]!r} is too long a time") from None


def _options(words: list[str], at: str) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    if any(not sign for _, sign, _ in pairs):
        raise BadInput(f"{at}: an option is name=value")
    return {name: value for name, _, value in pairs}


def _inputs(relation: _Relation, home: Home) -> tuple[InputFile, ...]:
    made = []
    for name, *rest in (one for one in relation.lists() if one):
        source = rest[0] if rest and rest[0] else name
        made.append(InputFile(name=plain(name), source=home(source), options=_options(rest[1:], relation.at)))
    return tuple(made)


def _outputs(relation: _Relation) -> dict[str, Any]:
    made: list[OutputFile] = []
    everything = False
    for name, *rest in (one for one in relation.lists() if one):
        target = rest[0] if rest and rest[0] else None
        if name == "/" and not target:
            everything = True
            continue
        made.append(OutputFile(name=name, target=target, options=_options(rest[1:], relation.at)))
    return {"outputs": tuple(made), "everything": everything}


def _pairs(relation: _Relation) -> dict[str, str]:
    if any(len(one) != 2 for one in relation.lists()):
        raise BadInput(f"{relation.at}: {relation.name} takes pairs: (name value)")
    return {name: value for name, value in relation.lists()}


def _environment(relation: _Relation) -> RuntimeEnvironment:
    name, *options = relation.words() or [""]
    return RuntimeEnvironment(name=name, options=tuple(options))


_REPEATED = {"runtimeenvironment", "notify"}
_ADDED = {"runtime_environments"}
_IGNORED = {"cluster", "clientxrsl", "hostname", "savestate", "notify", "acl"}  # they mean nothing to a CE that is
_IGNORED |= {"lifetime", "action", "clientsoftware", "countpernode"}  # asked by a tower, or nothing any more
_READ: dict[str, Any] = {
    "executable": lambda r: {"executable": plain(r.one())},
    "executables": lambda r: {"executables": tuple(map(plain, r.words()))},
    "arguments": lambda r: {"arguments": tuple(r.words())},
    "join": lambda r: {"join": r.flag()},
    "runtimeenvironment": lambda r: {"runtime_environments": (_environment(r),)},
    "jobname": lambda r: {"name": r.one()},
    "stdin": lambda r: {"stdin": plain(r.one())},
    "stdout": lambda r: {"stdout": r.one()},
    "stderr": lambda r: {"stderr": r.one()},
    "outputfiles": _outputs,
    "environment": lambda r: {"environment": _pairs(r)},
    "count": lambda r: {"cores": r.number()},
    "memory": lambda r: {"memory_mb": r.number()},
    "disk": lambda r: {"disk_mb": r.number()},
    "walltime": lambda r: {"walltime": _time(r)},
    "cputime": lambda r: {"cputime": _time(r)},
    "queue": lambda r: {"queue": r.one()},
    "priority": lambda r: {"priority": r.number()},
    "rerun": lambda r: {"reruns": r.number()},
    "gmlog": lambda r: {"log_dir": r.one()},
}


def _spec(relations: list[_Relation], home: Home) -> JobSpec:
    fields: dict[str, Any] = {"stdout": None, "stderr": None, "inputs": (), "runtime_environments": ()}
    seen: set[str] = set()
    for relation in relations:
        if relation.name in seen and relation.name not in _REPEATED:
            raise BadInput(f"{relation.at}: {relation.name} is given twice")
        seen.add(relation.name)
        found = {} if relation.name in _IGNORED else _read(relation, home)
        fields |= {key: fields[key] + value if key in _ADDED else value for key, value in found.items()}
    where = relations[0].at if relations else "line 1, column 1"
    try:
        return JobSpec(**_finished(fields, home))
    except (ValidationError, BadInput) as err:
        words = complaint(err) if isinstance(err, ValidationError) else err
        raise BadInput(f"the job of {where}: {words}") from err


def _finished(fields: dict[str, Any], home: Home) -> dict[str, Any]:
    """What follows from several attributes together. Raises BadInput, ValidationError."""
    joined, programs = fields.pop("join", False), fields.pop("executables", ())
    if fields.pop("everything", False):
        fields["fetch"] = everything(fields["outputs"], fields.get("log_dir"))
    if joined and (not fields["stdout"] or fields["stderr"] not in (None, fields["stdout"])):
        raise BadInput("join wants a stdout, and no stderr but the same")
    inputs: tuple[InputFile, ...] = fields["inputs"]
    inputs += tuple(brought_along(fields.get("executable"), fields.get("stdin"), inputs, home))
    if strange := set(programs) - {file.name for file in inputs}:
        raise BadInput(f"executables: {min(strange)[:60]!r} is not among the inputfiles")
    runs = {"executable": True}
    fields["inputs"] = tuple(file.model_copy(update=runs) if file.name in programs else file for file in inputs)
    return fields | ({"stderr": fields["stdout"]} if joined else {})


def _read(relation: _Relation, home: Home) -> dict[str, Any]:
    readers = _READ | {"inputfiles": lambda r: {"inputs": _inputs(r, home)}}
    reader = readers.get(relation.name)
    if reader is None:
        near = difflib.get_close_matches(relation.name[:60], readers, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise BadInput(f"{relation.at}: attribute {relation.name[:40]!r} is not known{hint}")
    try:
        return dict(reader(relation))
    except ValidationError as err:
        raise BadInput(f"{relation.at}: {relation.name}: {complaint(err)}") from err

"""EMI-ES ADL, read: for `act jobs add`."""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from pydantic import ValidationError

from act_core.ce.arc_adl import ADL, MB, NORDUGRID
from act_core.ce.described import Home, brought_along, complaint, each, everything, plain
from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec, OutputFile, RuntimeEnvironment

_NAMES = {"a": ADL, "n": NORDUGRID}


def read_adl(text: str, home: Home) -> list[JobSpec]:
    """Every ActivityDescription of a text. `home`: where a source lies, for a relative path.

    Raises BadInput; document types and entities are refused.
    """
    if re.search(r"<!(?!--|\[CDATA\[)", text):
        raise BadInput("an ADL with a document type or entities is not read")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no entities are left
    except (ElementTree.ParseError, ValueError, RecursionError) as err:
        raise BadInput(f"not XML: {err}") from err
    found = [root] if root.tag == f"{{{ADL}}}ActivityDescription" else list(root.iter(f"{{{ADL}}}ActivityDescription"))
    if not found:
        raise BadInput(f"no ActivityDescription of {ADL}")
    return each(found, partial(_spec, home=home))


def _text(node: Element | None, path: str) -> str | None:
    found = node.find(path, _NAMES) if node is not None else None
    return (found.text or "").strip() or None if found is not None else None


def _verbatim(node: Element | None) -> str:
    """A-REX takes arguments and values as they stand, blanks included."""
    return (node.text or "") if node is not None else ""


def _number(node: Element | None, path: str) -> int | None:
    text = _text(node, path)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"{path.rpartition(':')[2]}: {text[:40]!r} is no number") from None


def _seconds(node: Element | None, path: str) -> timedelta | None:
    seconds = _number(node, path)
    try:
        return None if seconds is None else timedelta(seconds=seconds)
    except OverflowError:
        raise BadInput(f"{path.rpartition(':')[2]}: {seconds} is no time") from None


def _all(node: Element | None, path: str) -> Iterator[Element]:
    return iter(node.findall(path, _NAMES)) if node is not None else iter(())


def _spec(node: Element, home: Home) -> JobSpec:
    app, needs, staging = (node.find(f"a:{name}", _NAMES) for name in ("Application", "Resources", "DataStaging"))
    memory, disk = _number(needs, "a:IndividualPhysicalMemory"), _number(needs, "a:DiskSpaceRequirement")
    executable, stdin = (plain(_text(app, path) or "") for path in ("a:Executable/a:Path", "a:Input"))
    try:
        inputs = tuple(_inputs(staging, home))
        fields: dict[str, Any] = {
            "name": _text(node, "a:ActivityIdentification/a:Name"),
            "executable": executable,
            "arguments": tuple(_verbatim(one) for one in _all(app, "a:Executable/a:Argument")),
            "environment": dict(_environment(app)),
            "stdin": stdin or None,
            "inputs": (*inputs, *brought_along(executable, stdin, inputs, home)),
            "outputs": tuple(_outputs(staging)),
            "log_dir": _text(app, "n:LoggingDirectory") or _text(app, "a:LoggingDirectory"),
            "cores": _number(needs, "a:SlotRequirement/a:NumberOfSlots"),
            "memory_mb": memory and -(-memory // MB),
            "disk_mb": disk and -(-disk // MB),
            "walltime": _seconds(needs, "a:WallTime"),
            "cputime": _seconds(needs, "a:TotalCPUTime") or _seconds(needs, "a:IndividualCPUTime"),
            "queue": _text(needs, "a:QueueName"),
            "priority": _number(app, "n:Priority"),
            "reruns": _number(app, "n:Rerun"),
            "runtime_environments": tuple(_environments(needs)),
        }
        if _keeps_all(staging):
            fields["fetch"] = everything(fields["outputs"], fields["log_dir"])
        streams = {"stdout": _text(app, "a:Output"), "stderr": _text(app, "a:Error")}
        return JobSpec(**{key: value for key, value in fields.items() if value is not None}, **streams)
    except ValidationError as err:
        part = "" if err.title == JobSpec.__name__ else f"{err.title}: "  # the others are named like the elements
        raise BadInput(f"{part}{complaint(err)}") from err


def _environment(app: Element | None) -> Iterator[tuple[str, str]]:
    for one in _all(app, "a:Environment"):
        yield _text(one, "a:Name") or "", _verbatim(one.find("a:Value", _NAMES))


def _environments(needs: Element | None) -> Iterator[RuntimeEnvironment]:
    for one in _all(needs, "a:RuntimeEnvironment"):
        options = tuple(_verbatim(option) for option in _all(one, "a:Option"))
        name, version = _text(one, "a:Name") or "", _text(one, "a:Version")
        yield RuntimeEnvironment(name=f"{name}-{version}" if version else name, options=options)


def _options(node: Element | None) -> dict[str, str]:
    return {_text(one, "a:Name") or "": _text(one, "a:Value") or "" for one in _all(node, "a:Option")}


def _inputs(staging: Element | None, home: Home) -> Iterator[InputFile]:
    for one in _all(staging, "a:InputFile"):
        name, source = _text(one, "a:Name") or "", one.find("a:Source", _NAMES)
        runs = _text(one, "a:IsExecutable") in ("true", "1")
        where = home(_text(source, "a:URI") or name)
        yield InputFile(name=plain(name), source=where, executable=runs, options=_options(source))


def _keeps_all(staging: Element | None) -> bool:
    return any(_is_all(one) for one in _all(staging, "a:OutputFile"))


def _is_all(one: Element) -> bool:
    return _text(one, "a:Name") == "/" and one.find("a:Target", _NAMES) is None


def _outputs(staging: Element | None) -> Iterator[OutputFile]:
    for one in _all(staging, "a:OutputFile"):
        if _is_all(one):
            continue
        target = one.find("a:Target", _NAMES)
        name, url = _text(one, "a:Name") or "", _text(target, "a:URI")
        optional = _text(target, "a:Mandatory") in ("false", "0")
        yield OutputFile(name=name, target=url, options=_options(target), optional=optional)

"""The activity description language of A-REX: parsed from hostile text, one description at a time."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from act_core.jobspec import PROXY_ENVIRONMENT
from act_core.simulators.arc_description import BadDescription, Description, Input, Output

PARSING_ERROR = "emies:adl parsing error"
MOST_RERUNS = 5  # of the CE's configuration
ADL = "{http://www.eu-emi.eu/es/2010/12/adl}"
NORDUGRID = "{http://www.nordugrid.org/es/2011/12/nordugrid-adl}"
_DOCTYPE = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


def split(text: str) -> list[str | BadDescription]:
    """The single descriptions of a submission, as text; what is no description in their place, in order."""
    try:
        root = parse_xml(text)
    except BadDescription as bad:
        return [bad]
    if root.tag.rpartition("}")[2] != "ActivityDescriptions":
        return [text]
    return [ET.tostring(child, encoding="unicode") for child in root]


def parse_xml(text: str) -> ET.Element:
    """Raises BadDescription; document types and entities are refused unread."""
    if _DOCTYPE.search(text):
        raise BadDescription(PARSING_ERROR)
    try:
        return ET.fromstring(text)  # noqa: S314 (no document type, so no entities)
    except ET.ParseError as err:
        raise BadDescription(PARSING_ERROR) from err


def parse(text: str) -> Description:
    """One `ActivityDescription`. Raises BadDescription."""
    root = parse_xml(text)
    executable = root.findtext(f"{ADL}Application/{ADL}Executable/{ADL}Path", "").strip()
    if root.tag != f"{ADL}ActivityDescription" or not executable:
        raise BadDescription(PARSING_ERROR)
    application = root.find(f"{ADL}Application")
    assert application is not None
    return Description(
        executable=executable,
        name=root.findtext(f"{ADL}ActivityIdentification/{ADL}Name", "").strip(),
        arguments=tuple(argument.text or "" for argument in application.findall(f"{ADL}Executable/{ADL}Argument")),
        environment={_text(one, "Name"): _text(one, "Value") for one in application.findall(f"{ADL}Environment")},
        stdin=_text(application, "Input"),
        stdout=_text(application, "Output"),
        stderr=_text(application, "Error"),
        inputs=tuple(_inputs(root)),
        outputs=tuple(_outputs(root)),
        delegations=tuple(dict.fromkeys(one.text or "" for one in root.iter() if one.tag.endswith("}DelegationID"))),
        queue=root.findtext(f"{ADL}Resources/{ADL}QueueName", "").strip(),
        cores=_number(root.findtext(f"{ADL}Resources/{ADL}SlotRequirement/{ADL}NumberOfSlots"), 1),
        walltime_s=_number(root.findtext(f"{ADL}Resources/{ADL}WallTime"), 0),
        proxy=PROXY_ENVIRONMENT in (_text(one, "Name") for one in root.iter(f"{ADL}RuntimeEnvironment")),
        reruns=min(MOST_RERUNS, _number(application.findtext(f"{NORDUGRID}Rerun"), 0)),
    )


def _inputs(root: ET.Element) -> Iterator[Input]:
    for one in root.findall(f"{ADL}DataStaging/{ADL}InputFile"):
        yield Input(_name(one), tuple((uri.text or "").strip() for uri in one.findall(f"{ADL}Source/{ADL}URI")))


def _outputs(root: ET.Element) -> Iterator[Output]:
    for one in root.findall(f"{ADL}DataStaging/{ADL}OutputFile"):
        targets = one.findall(f"{ADL}Target")
        if not targets:
            yield Output(_name(one))
        for target in targets:
            on_failure = _text(target, "UseIfFailure").lower() in ("true", "1")
            yield Output(_name(one), _text(target, "URI"), on_failure)


def _name(one: ET.Element) -> str:
    name = _text(one, "Name")
    if not name or ".." in name.split("/"):
        raise BadDescription(PARSING_ERROR)
    return name if name == "/" else name.lstrip("/")


def _text(parent: ET.Element, tag: str) -> str:
    return parent.findtext(f"{ADL}{tag}", "").strip()


def _number(text: str | None, otherwise: int) -> int:
    if text is None or not text.strip():
        return otherwise
    if not text.strip().isdigit():
        raise BadDescription(PARSING_ERROR)
    return int(text)

"""A job's description for people: without the contents of its inputs, and the text that its CE gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.dom import minidom

from act_core.ce.arc_adl import activity
from act_core.ce.xrsl_writer import written
from act_core.db.models import AttemptColumns
from act_core.errors import BadInput
from act_core.ids import SubmissionKey
from act_core.jobspec import JobSpec
from act_core.settings.model import Site
from act_core.words import HIDDEN, redact, redacted, redacted_arguments

ARC = ("arc-rest", "arc-internal")
LONGEST = 200_000  # characters


@dataclass(frozen=True, slots=True)
class Sent:
    """`form`: ADL, as the CE gets it; xRSL: for people, of a job whose CE is told otherwise."""

    form: str
    text: str


def shown(spec: JobSpec) -> Mapping[str, Any]:
    """All that is said of it, but for what its inputs hold; what looks like a secret is masked."""
    return redacted(
        masked(spec).model_dump(mode="json", exclude_defaults=True, exclude={"inputs": {"__all__": {"content"}}})
    )


def masked(spec: JobSpec) -> JobSpec:
    """The description without the texts of sealed inputs, and without what arguments and variables tell in secret."""
    inputs = tuple(
        one.model_copy(update={"content": redact(one.content)}) if one.content else one
        for one in spec.opened(dict.fromkeys(spec.sealed, HIDDEN)).inputs
    )
    hidden = {"arguments": redacted_arguments(spec.arguments), "environment": redacted(spec.environment)}
    return spec.model_copy(update={**hidden, "inputs": inputs})


def sent_text(spec: JobSpec, row: AttemptColumns, site: Site) -> Sent | None:
    """None: it cannot be written, and so was not sent either."""
    try:
        if row.ce and site.kind in ARC:
            text = activity(masked(spec), SubmissionKey(row.submission_key), None, site.two_phase is not False)
            return Sent("ADL", redact(minidom.parseString(text).toprettyxml(indent="  "))[:LONGEST])  # noqa: S318
        return Sent("xRSL", redact(written(masked(spec)))[:LONGEST])
    except BadInput:
        return None

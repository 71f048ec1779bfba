"""A job as EMI-ES ADL, as A-REX reads it (reference: arc-rest.md; element names of ARC's ADL parser)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from xml.sax.saxutils import escape

from act_core.ce.base import SubmissionKey
from act_core.ce.patterns import DIAGNOSE
from act_core.errors import BadInput
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec, OutputFile

ADL = "http://www.eu-emi.eu/es/2010/12/adl"
NORDUGRID = "http://www.nordugrid.org/es/2011/12/nordugrid-adl"
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_WHOLE = re.compile(r"ActivityDescription\s*>$")
_NAME = re.compile(
    r"<(?:[\w.-]+:)?ActivityIdentification\b[^>]*>.*?<(?:[\w.-]+:)?Name\b[^>]*>\s*([^<]*?)\s*</", re.DOTALL
)
_MARK = re.compile(r"<(?:[\w.-]+:)?Description\b[^>]*>\s*act:([\w=-]+)\s*</")  # `info` leaves it out
MB = 1024 * 1024


def _text(value: object, what: str) -> str:
    """Escaped text. Raises BadInput for characters that XML cannot carry."""
    text = str(value)
    if _ILLEGAL.search(text):
        raise BadInput(f"{what} has a character that cannot be written in XML: {text[:60]!r}")
    return escape(text, {"\r": "&#13;"})  # a bare one would be read as a line feed


def _element(name: str, value: object) -> str:
    return f"<{name}>{_text(value, name)}</{name}>"


def activity(
    spec: JobSpec, key: SubmissionKey, delegation: str | None, two_phase: bool, queue: str | None = None
) -> str:
    """One ActivityDescription. `queue`: the CE's own, where the job names none.

    Raises BadInput for what cannot be written.
    """
    parts = (
        f'<ActivityDescription xmlns="{ADL}" xmlns:nordugrid-adl="{NORDUGRID}">',
        f"<ActivityIdentification>{_element('Name', key)}{_mark(spec)}</ActivityIdentification>",
        f"<Application>{''.join(_application(spec))}</Application>",
        f"<Resources>{''.join(_resources(spec, queue))}</Resources>",
        f"<DataStaging>{''.join(_staging(spec, delegation, two_phase))}</DataStaging>",
        "</ActivityDescription>",
    )
    return "".join(parts)


def bulk(activities: Iterable[str]) -> str:
    """Many descriptions in one submission."""
    return f"<ActivityDescriptions>{''.join(activities)}</ActivityDescriptions>"


def _mark(spec: JobSpec) -> str:
    return _element("Description", f"act:{spec.mark}") if spec.mark else ""


def _application(spec: JobSpec) -> Iterator[str]:
    words = "".join(_element("Argument", argument) for argument in spec.arguments)
    yield f"<Executable>{_element('Path', spec.executable)}{words}</Executable>"
    for name, value in (("Input", spec.stdin), ("Output", spec.stdout), ("Error", spec.stderr)):
        if value:
            yield _element(name, value)
    if spec.reruns:
        yield _element("nordugrid-adl:Rerun", spec.reruns)
    yield _element("nordugrid-adl:Priority", spec.priority)
    for name, value in spec.environment.items():
        yield f"<Environment>{_element('Name', name)}{_element('Value', value)}</Environment>"
    if spec.log_dir:
        yield _element("nordugrid-adl:LoggingDirectory", spec.log_dir)


def _resources(spec: JobSpec, queue: str | None) -> Iterator[str]:
    for rte in spec.runtime_environments:
        options = "".join(_element("Option", option) for option in rte.options)
        yield f"<RuntimeEnvironment>{_element('Name', rte.name)}{options}</RuntimeEnvironment>"
    if spec.memory_mb:
        yield _element("IndividualPhysicalMemory", spec.memory_mb * MB)
    if spec.disk_mb:
        yield _element("DiskSpaceRequirement", spec.disk_mb * MB)
    if spec.cores > 1:
        per_host = _element("SlotsPerHost", spec.cores)
        yield f"<SlotRequirement>{_element('NumberOfSlots', spec.cores)}{per_host}</SlotRequirement>"
    if spec.queue or queue:
        yield _element("QueueName", spec.queue or queue)
    if spec.cputime:
        yield _element("TotalCPUTime", int(spec.cputime.total_seconds()))
    if spec.walltime:
        yield _element("WallTime", int(spec.walltime.total_seconds()))


def _options(options: Mapping[str, str]) -> str:
    return "".join(f"<Option>{_element('Name', k)}{_element('Value', v)}</Option>" for k, v in options.items())


def _staging(spec: JobSpec, delegation: str | None, two_phase: bool) -> Iterator[str]:
    if two_phase and not spec.uploads:
        yield f"<InputFile>{_element('Name', COMMIT_FILE)}</InputFile>"
    for file in spec.inputs:
        yield f"<InputFile>{_input(file, spec.executable, delegation)}</InputFile>"
    for name in _kept(spec):
        yield f"<OutputFile>{_element('Name', name)}</OutputFile>"
    for out in spec.outputs:
        if out.target:
            yield f"<OutputFile>{_element('Name', out.name)}{_target(out, delegation)}</OutputFile>"
    if delegation:
        yield _element("nordugrid-adl:DelegationID", delegation)


def _input(file: InputFile, executable: str, delegation: str | None) -> str:
    runs = _element("IsExecutable", "true") if file.executable or file.name == executable else ""
    if not file.by_ce:
        return _element("Name", file.name) + runs
    held = _element("DelegationID", delegation) if delegation else ""
    source = f"<Source>{_element('URI', file.source)}{held}{_options(file.options)}</Source>"
    return _element("Name", file.name) + source + runs


def _target(out: OutputFile, delegation: str | None) -> str:
    held = _element("DelegationID", delegation) if delegation else ""
    optional = _element("Mandatory", "false") if out.optional else ""
    return f"<Target>{_element('URI', out.target)}{held}{_options(out.options)}{optional}</Target>"


def _kept(spec: JobSpec) -> list[str]:
    """Files that wait on the CE for us: all others are deleted when the job ends.

    Outputs without a target, the streams, the CE's log of the job, and whatever is to be fetched.
    """
    named = [out.name for out in spec.outputs if not out.target]
    named += [pattern for pattern in spec.fetch if not pattern.startswith(DIAGNOSE)]
    streams = [name for name in (spec.stdout, spec.stderr) if name]
    targets = {out.name for out in spec.outputs if out.target}
    log = [f"{spec.log_dir.rstrip('/')}/"] if spec.log_dir else []
    return [name for name in dict.fromkeys([*named, *streams, *log]) if name not in targets]


def name_in(text: str) -> str | None:
    """The job's name in a description as A-REX keeps it. Empty: it has none; None: the text is not whole yet."""
    text = text.strip()
    if text[:1] in ("&", "+", "("):
        return ""  # xRSL: never ours
    if not _WHOLE.search(text):
        return None
    found = _NAME.search(text)
    return found.group(1) if found else ""


def mark_in(text: str) -> str:
    """The job's mark in a description as A-REX keeps it. Empty: it has none."""
    found = _MARK.search(text)
    return found.group(1) if found else ""

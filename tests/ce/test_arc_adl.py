"""A job as ADL: every element of a JobSpec, and what readers of the text say of it."""

from datetime import timedelta
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from hypothesis import given
from hypothesis import strategies as st

from act_core.ce.adl_reader import read_adl
from act_core.ce.arc_adl import ADL, NORDUGRID, activity, bulk, name_in
from act_core.ce.base import SubmissionKey
from act_core.errors import BadInput
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec, OutputFile, RuntimeEnvironment
from act_core.simulators import arc_adl as simulated
from act_core.simulators.arc_description import Description, Input, Output

KEY = SubmissionKey("act-tower001-0123456789abcdefghjkmnpqrs")
NAMES = {"a": ADL, "n": NORDUGRID}
URL = "root://host:1094//a;cache=no?x=1&y=<2>"
FULL = JobSpec(
    name="not sent: the key is the name",
    executable="run.sh",
    arguments=("-c", "a b", "", " <&>\"' "),
    environment={"GTAG": "https://host?x=1&y=2", "EMPTY": ""},
    stdin="in",
    stdout="log",
    stderr="log",
    inputs=(
        InputFile(name="run.sh", source="/data/run.sh"),
        InputFile(name="d/tool", content="x", executable=True),
        InputFile(name="far", source=URL, options={"cache": "no", "a&b": "<c>"}),
    ),
    outputs=(
        OutputFile(name="here"),
        OutputFile(name="d/"),
        OutputFile(name="@list"),
        OutputFile(name="sent", target="https://host/sent", options={"checksum": "adler32"}, optional=True),
    ),
    log_dir="gmlog",
    cores=8,
    memory_mb=2000,
    disk_mb=100,
    walltime=timedelta(hours=1.5),
    cputime=timedelta(hours=12),
    queue="grid",
    priority=7,
    runtime_environments=(RuntimeEnvironment(name="APPS/A-1.0", options=("a b", "<c>")), RuntimeEnvironment(name="B")),
    reruns=2,
    fetch=("log", "extra", "sent", "diagnose=gmlog/errors"),
)
TRUE = JobSpec(executable="/bin/true")


def _written(
    spec: JobSpec, delegation: str | None = None, two_phase: bool = False, queue: str | None = None
) -> Element:
    return ElementTree.fromstring(activity(spec, KEY, delegation, two_phase, queue))


def _texts(root: Element, path: str) -> list[str]:
    return [one.text or "" for one in root.findall(path, NAMES)]


def _kept(spec: JobSpec) -> list[str]:
    files = _written(spec).findall("a:DataStaging/a:OutputFile", NAMES)
    return [one.findtext("a:Name", "", NAMES) for one in files if one.find("a:Target", NAMES) is None]


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        ("a:ActivityIdentification/a:Name", [KEY]),
        ("a:Application/a:Executable/a:Path", ["run.sh"]),
        ("a:Application/a:Executable/a:Argument", ["-c", "a b", "", " <&>\"' "]),
        ("a:Application/a:Input", ["in"]),
        ("a:Application/a:Output", ["log"]),
        ("a:Application/a:Error", ["log"]),
        ("a:Application/n:Rerun", ["2"]),
        ("a:Application/n:Priority", ["7"]),
        ("a:Application/n:LoggingDirectory", ["gmlog"]),
        ("a:Application/a:Environment/a:Name", ["GTAG", "EMPTY"]),
        ("a:Application/a:Environment/a:Value", ["https://host?x=1&y=2", ""]),
        ("a:Resources/a:RuntimeEnvironment/a:Name", ["APPS/A-1.0", "B"]),
        ("a:Resources/a:RuntimeEnvironment/a:Option", ["a b", "<c>"]),
        ("a:Resources/a:IndividualPhysicalMemory", [str(2000 * 2**20)]),
        ("a:Resources/a:DiskSpaceRequirement", [str(100 * 2**20)]),
        ("a:Resources/a:SlotRequirement/a:NumberOfSlots", ["8"]),
        ("a:Resources/a:SlotRequirement/a:SlotsPerHost", ["8"]),
        ("a:Resources/a:QueueName", ["grid"]),
        ("a:Resources/a:TotalCPUTime", ["43200"]),
        ("a:Resources/a:WallTime", ["5400"]),
        ("a:DataStaging/a:InputFile/a:Name", ["run.sh", "d/tool", "far"]),
        ("a:DataStaging/a:InputFile/a:IsExecutable", ["true", "true"]),
        ("a:DataStaging/a:InputFile/a:Source/a:URI", [URL]),
        ("a:DataStaging/a:InputFile/a:Source/a:DelegationID", ["df5f"]),
        ("a:DataStaging/a:InputFile/a:Source/a:Option/a:Name", ["cache", "a&b"]),
        ("a:DataStaging/a:InputFile/a:Source/a:Option/a:Value", ["no", "<c>"]),
        ("a:DataStaging/a:OutputFile/a:Name", ["here", "d/", "@list", "log", "extra", "gmlog/", "sent"]),
        ("a:DataStaging/a:OutputFile/a:Target/a:URI", ["https://host/sent"]),
        ("a:DataStaging/a:OutputFile/a:Target/a:DelegationID", ["df5f"]),
        ("a:DataStaging/a:OutputFile/a:Target/a:Option/a:Value", ["adler32"]),
        ("a:DataStaging/a:OutputFile/a:Target/a:Mandatory", ["false"]),
        ("a:DataStaging/n:DelegationID", ["df5f"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_element(path: str, texts: list[str]) -> None:
    assert _texts(_written(FULL, "df5f", two_phase=True, queue="other"), path) == texts


def test_what_a_job_does_not_say_is_not_written() -> None:
    root = _written(TRUE.model_copy(update={"stdout": None, "stderr": None}))
    tags = [one.tag.rpartition("}")[2] for one in root.iter()]
    assert tags == [
        *("ActivityDescription", "ActivityIdentification", "Name", "Application", "Executable", "Path", "Priority"),
        *("Resources", "DataStaging"),
    ]


@pytest.mark.parametrize(
    ("more", "absent"),
    [
        pytest.param({"disk_mb": 0}, "DiskSpaceRequirement", id="no disk space: A-REX refuses a zero"),
        pytest.param({"cores": 1}, "SlotRequirement", id="one core"),
        pytest.param({"reruns": 0}, "Rerun", id="no reruns"),
    ],
)
def test_what_goes_without_saying(more: dict[str, Any], absent: str) -> None:
    text = activity(TRUE.model_copy(update=more), KEY, "df5f", two_phase=True)
    assert absent not in text


@pytest.mark.parametrize(
    ("job", "site", "asked"),
    [(None, None, []), (None, "site", ["site"]), ("job", "site", ["job"]), ("job", None, ["job"])],
)
def test_the_queue(job: str | None, site: str | None, asked: list[str]) -> None:
    root = _written(TRUE.model_copy(update={"queue": job}), queue=site)
    assert _texts(root, "a:Resources/a:QueueName") == asked


@pytest.mark.parametrize(
    ("inputs", "two_phase", "awaited"),
    [
        pytest.param((), True, [COMMIT_FILE], id="nothing else to wait for"),
        pytest.param((), False, [], id="switched off"),
        pytest.param((InputFile(name="a", source="https://h/a"),), True, [COMMIT_FILE], id="the CE's own input"),
        pytest.param((InputFile(name="a", source="/a"),), True, ["a"], id="an upload is the commit"),
        pytest.param((InputFile(name="a", content=""),), False, ["a"], id="an upload, switched off"),
    ],
)
def test_which_files_the_job_waits_for(inputs: tuple[InputFile, ...], two_phase: bool, awaited: list[str]) -> None:
    text = activity(TRUE.model_copy(update={"inputs": inputs}), KEY, None, two_phase)
    assert [one.name for one in simulated.parse(text).inputs if not one.sources] == awaited


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        pytest.param({}, ["stdout.txt", "stderr.txt"], id="the streams"),
        pytest.param({"stdout": "a", "stderr": "a"}, ["a"], id="joined streams once"),
        pytest.param({"stdout": None, "stderr": None}, [], id="nothing"),
        pytest.param({"fetch": ("/",)}, ["/", "stdout.txt", "stderr.txt"], id="everything"),
        pytest.param({"fetch": ("a", "diagnose=b/c")}, ["a", "stdout.txt", "stderr.txt"], id="what is fetched"),
        pytest.param({"log_dir": "d/"}, ["stdout.txt", "stderr.txt", "d/"], id="the log's directory"),
        pytest.param(
            {"outputs": (OutputFile(name="stdout.txt", target="https://h/o"),)}, ["stderr.txt"], id="a stream sent away"
        ),
    ],
)
def test_what_stays_for_us(more: dict[str, Any], kept: list[str]) -> None:
    assert _kept(TRUE.model_copy(update=more)) == kept


def test_what_the_simulated_ce_reads() -> None:
    assert simulated.parse(activity(FULL, KEY, "df5f", two_phase=True)) == Description(
        executable="run.sh",
        name=KEY,
        arguments=FULL.arguments,
        environment=FULL.environment,
        stdin="in",
        stdout="log",
        stderr="log",
        inputs=(Input("run.sh"), Input("d/tool"), Input("far", (URL,))),
        outputs=(
            *(Output(name) for name in ("here", "d/", "@list", "log", "extra", "gmlog/")),
            Output("sent", "https://host/sent"),
        ),
        delegations=("df5f",),
        queue="grid",
        cores=8,
        reruns=2,
        walltime_s=5400,
    )


def test_many_in_one_text() -> None:
    single = [activity(spec, KEY, None, two_phase=True) for spec in (TRUE, FULL)]
    parts = simulated.split(bulk(single))
    assert [simulated.parse(str(part)) for part in parts] == [simulated.parse(one) for one in single]


@pytest.mark.parametrize("letter", ["\x00", "\x01", "\x1b", "\x0b", "\ud800", "\ufffe", "\uffff"], ids=ascii)
@pytest.mark.parametrize(
    ("spec", "what"),
    [
        pytest.param(lambda bad: {"arguments": ("good", f"a{bad}")}, "Argument", id="argument"),
        pytest.param(lambda bad: {"environment": {"A": bad}}, "Value", id="environment"),
        pytest.param(lambda bad: {"executable": f"/bin/{bad}"}, "Path", id="executable"),
        pytest.param(lambda bad: {"queue": bad}, "QueueName", id="queue"),
    ],
)
def test_what_xml_cannot_carry_is_refused_by_name(spec: Any, what: str, letter: str) -> None:
    with pytest.raises(BadInput, match=f"^{what} has a character that cannot be written in XML"):
        activity(TRUE.model_copy(update=spec(letter)), KEY, None, two_phase=True)


_LETTERS = st.characters(exclude_categories=["Cs", "Cc", "Cn"]) | st.sampled_from("\t\n\r\x7f\x85<>&\"'")
_VALUES = st.text(_LETTERS, max_size=20)


@given(st.lists(_VALUES, max_size=4), st.dictionaries(st.sampled_from(["A", "B_1", "c"]), _VALUES))
def test_values_arrive_as_they_are(arguments: list[str], environment: dict[str, str]) -> None:
    """Blanks, quotes, brackets, line ends of all kinds: in both readers."""
    spec = JobSpec(executable="/bin/echo", arguments=tuple(arguments), environment=environment)
    text = activity(spec, KEY, None, two_phase=False)
    (read,) = read_adl(text, str)
    assert (read.arguments, dict(read.environment)) == (spec.arguments, environment)
    assert simulated.parse(text).arguments == spec.arguments
    assert name_in(text) == KEY


PREFIXED = (
    f'<e:ActivityDescription xmlns:e="{ADL}"><e:ActivityIdentification><e:Name> x </e:Name></e:ActivityIdentification>'
)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param(activity(FULL, KEY, "df5f", two_phase=True), KEY, id="ours"),
        pytest.param(
            f"<?xml version='1.0'?>\n{activity(TRUE, KEY, None, two_phase=True)}\n", KEY, id="with a prologue"
        ),
        pytest.param(f"{PREFIXED}</e:ActivityDescription>", "x", id="with a prefix"),
        pytest.param("<ActivityDescription></ActivityDescription >", "", id="without a name"),
        pytest.param("&(executable=x)(jobname=y)", "", id="xRSL"),
        pytest.param(" +(&(executable=x))", "", id="many xRSL"),
        pytest.param("(* a comment *)&(executable=x)", "", id="xRSL with a comment"),
        pytest.param("", None, id="not written yet"),
        pytest.param(activity(FULL, KEY, None, two_phase=True)[:-1], None, id="not whole yet"),
        pytest.param("<Activity", None, id="hardly begun"),
    ],
)
def test_the_name_in_a_stored_description(text: str, name: str | None) -> None:
    assert name_in(text) == name

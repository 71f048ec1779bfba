"""ADL of people, read: what it means, what is refused, and that what we write is what we read."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from act_core.ce.adl_reader import read_adl
from act_core.ce.arc_adl import ADL, NORDUGRID, activity
from act_core.ce.base import SubmissionKey
from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec, OutputFile, RuntimeEnvironment

SPACES = f'xmlns="{ADL}" xmlns:n="{NORDUGRID}"'
PROGRAM = "<Executable><Path>/bin/x</Path></Executable>"
FULL = f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- a job with all that we read -->
<ActivityDescription {SPACES}>
  <ActivityIdentification><Name> my &lt;job&gt; </Name><Description>not read</Description></ActivityIdentification>
  <Application>
    <Executable><Path> ./run.sh </Path><Argument> a b </Argument><Argument/><Argument><![CDATA[<&>]]></Argument></Executable>
    <Input>./in.txt</Input><Output>log</Output><Error>err</Error>
    <n:Rerun>2</n:Rerun><n:Priority>7</n:Priority>
    <Environment><Name>A</Name><Value> x=y </Value></Environment><Environment><Name>B</Name></Environment>
    <n:LoggingDirectory>gmlog</n:LoggingDirectory>
  </Application>
  <Resources>
    <RuntimeEnvironment><Name>APPS/A</Name><Version>1.0</Version><Option>o p</Option></RuntimeEnvironment>
    <RuntimeEnvironment><Name>ENV/PROXY</Name></RuntimeEnvironment>
    <IndividualPhysicalMemory>2097152001</IndividualPhysicalMemory>
    <DiskSpaceRequirement>1</DiskSpaceRequirement>
    <SlotRequirement><NumberOfSlots>8</NumberOfSlots><SlotsPerHost>4</SlotsPerHost></SlotRequirement>
    <QueueName>grid</QueueName><TotalCPUTime>43200</TotalCPUTime><WallTime>5400</WallTime>
  </Resources>
  <DataStaging>
    <InputFile><Name>run.sh</Name></InputFile>
    <InputFile><Name>tool</Name><Source><URI>dir/tool</URI></Source><IsExecutable>true</IsExecutable></InputFile>
    <InputFile><Name>far</Name><Source><URI>root://host//far</URI><Option><Name>cache</Name><Value>no</Value></Option>
      </Source><Source><URI>root://second//far</URI></Source></InputFile>
    <OutputFile><Name>here</Name></OutputFile>
    <OutputFile><Name>sent</Name><Target><URI>https://host/sent</URI><Option><Name>checksum</Name><Value>md5</Value>
      </Option><Mandatory>false</Mandatory></Target></OutputFile>
    <n:DelegationID>not ours</n:DelegationID>
  </DataStaging>
</ActivityDescription>"""  # noqa: E501 - it is a document


def _home(source: str) -> str:
    return source if "://" in source else f"/here/{source.removeprefix('./')}"


def _adl(application: str = PROGRAM, resources: str = "", staging: str = "") -> str:
    return (
        f"<ActivityDescription {SPACES}><Application>{application}</Application>"
        f"<Resources>{resources}</Resources><DataStaging>{staging}</DataStaging></ActivityDescription>"
    )


def _read(text: str) -> JobSpec:
    (spec,) = read_adl(text, _home)
    return spec


def test_a_whole_job() -> None:
    assert _read(FULL) == JobSpec(
        name="my <job>",
        executable="run.sh",
        arguments=(" a b ", "", "<&>"),
        environment={"A": " x=y ", "B": ""},
        stdin="in.txt",
        stdout="log",
        stderr="err",
        inputs=(
            InputFile(name="run.sh", source="/here/run.sh"),
            InputFile(name="tool", source="/here/dir/tool", executable=True),
            InputFile(name="far", source="root://host//far", options={"cache": "no"}),
            InputFile(name="in.txt", source="/here/in.txt"),
        ),
        outputs=(
            OutputFile(name="here"),
            OutputFile(name="sent", target="https://host/sent", options={"checksum": "md5"}, optional=True),
        ),
        log_dir="gmlog",
        cores=8,
        memory_mb=2001,
        disk_mb=1,
        walltime=timedelta(minutes=90),
        cputime=timedelta(hours=12),
        queue="grid",
        priority=7,
        runtime_environments=(
            RuntimeEnvironment(name="APPS/A-1.0", options=("o p",)),
            RuntimeEnvironment(name="ENV/PROXY"),
        ),
        reruns=2,
    )


def test_everything_comes_home() -> None:
    names = "".join(f"<OutputFile><Name>{name}</Name></OutputFile>" for name in ("/", "a"))
    spec = _read(_adl(PROGRAM + "<n:LoggingDirectory>log</n:LoggingDirectory>", staging=names))
    assert (spec.outputs, spec.fetch) == ((OutputFile(name="a"),), ("/", "a", "diagnose=log/"))
    assert _read(_adl(staging=names)).fetch == ("/", "a")


def test_the_least_job() -> None:
    least = JobSpec(executable="/bin/x", stdout=None, stderr=None)
    assert _read(_adl()) == least
    assert (
        _read(f'<ActivityDescription xmlns="{ADL}"><Application>{PROGRAM}</Application></ActivityDescription>') == least
    )


@pytest.mark.parametrize(
    ("parts", "field", "value"),
    [
        pytest.param({"staging": "<InputFile><Name>./a</Name></InputFile>"}, "inputs", ["a"], id="an input with a dot"),
        pytest.param({"application": "<Executable><Path>d/x</Path></Executable>"}, "inputs", ["d/x"], id="the program"),
        pytest.param({"application": "<Executable><Path>$A/x</Path></Executable>"}, "inputs", [], id="a variable"),
    ],
)
def test_what_comes_along(parts: dict[str, str], field: str, value: list[str]) -> None:
    assert [file.name for file in getattr(_read(_adl(**parts)), field)] == value


@pytest.mark.parametrize(
    ("parts", "field", "value"),
    [
        ({"resources": "<IndividualCPUTime>60</IndividualCPUTime>"}, "cputime", timedelta(minutes=1)),
        ({"resources": "<WallTime> 60\n</WallTime>"}, "walltime", timedelta(minutes=1)),
        ({"resources": "<WallTime/><QueueName/>"}, "walltime", None),
        ({"resources": "<IndividualPhysicalMemory>1</IndividualPhysicalMemory>"}, "memory_mb", 1),
        ({"application": f"{PROGRAM}<LoggingDirectory>log</LoggingDirectory>"}, "log_dir", "log"),
    ],
)
def test_other_ways_to_say_it(parts: dict[str, str], field: str, value: object) -> None:
    assert getattr(_read(_adl(**parts)), field) == value


@pytest.mark.parametrize("flag", ["true", "1", " true "])
def test_flags(flag: str) -> None:
    staging = f"<InputFile><Name>a</Name><IsExecutable>{flag}</IsExecutable></InputFile>"
    assert _read(_adl(staging=staging)).inputs[0].executable
    target = "<URI>https://h/a</URI><Mandatory>{}</Mandatory>"
    staging = f"<OutputFile><Name>a</Name><Target>{target.format(flag)}</Target></OutputFile>"
    assert not _read(_adl(staging=staging)).outputs[0].optional


@pytest.mark.parametrize("around", ["<ActivityDescriptions>{}</ActivityDescriptions>", "<x><y>{}</y></x>"])
def test_many_jobs(around: str) -> None:
    two = _adl() + _adl(PROGRAM.replace("x<", "y<"))
    assert [spec.executable for spec in read_adl(around.format(two), _home)] == ["/bin/x", "/bin/y"]


def test_of_many_the_bad_one_is_told() -> None:
    text = f"<x>{_adl()}{_adl(resources='<WallTime>1 h</WallTime>')}{_adl()}</x>"
    with pytest.raises(BadInput, match=r"^job 2: WallTime: '1 h' is no number"):
        read_adl(text, _home)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("<", "not XML: ", id="hardly begun"),
        pytest.param(_adl()[:-5], "not XML: ", id="cut"),
        pytest.param(_adl() * 2, "not XML: junk after document element", id="two without a root"),
        pytest.param(_adl("<Executable><Path>&nbsp;</Path></Executable>"), "not XML: undefined entity", id="an entity"),
        pytest.param(_adl("<Executable><Path>\x01</Path></Executable>"), "not XML: ", id="a control character"),
        pytest.param(_adl("<Executable><Path>&#0;</Path></Executable>"), "not XML: ", id="a null by number"),
        pytest.param("<x>\ud800</x>", "not XML: ", id="half a letter"),
        pytest.param("<x>" * 50_000, "not XML: ", id="deep"),
        pytest.param("<html><body>404</body></html>", f"no ActivityDescription of {ADL}", id="a page"),
        pytest.param("<ActivityDescription/>", f"no ActivityDescription of {ADL}", id="without the namespace"),
        pytest.param(_adl().replace(ADL, f"{ADL}/"), "no ActivityDescription of", id="of another namespace"),
        pytest.param(f'<!DOCTYPE a [<!ENTITY b "c">]>{_adl()}', "document type or entities", id="a document type"),
        pytest.param(f'<!ENTITY b SYSTEM "file:///etc/passwd">{_adl()}', "document type or entities", id="a file"),
    ],
)
def test_what_is_no_adl(text: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_adl(text, _home)
    assert str(caught.value).startswith(words) or words in str(caught.value)[:60]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"application": ""}, "executable: wanted: at least 1 character"),
        ({"application": "<Executable><Path> </Path></Executable>"}, "executable: wanted: at least 1"),
        ({"application": f"{PROGRAM}<Output>/dev/null</Output>"}, "stdout: '/dev/null' is not a path below"),
        ({"application": f"{PROGRAM}<Environment><Name>A B</Name></Environment>"}, "environment: 'A B' is no name"),
        ({"application": f"{PROGRAM}<Environment/>"}, "environment: '' is no name"),
        ({"application": f"{PROGRAM}<n:Priority>high</n:Priority>"}, "Priority: 'high' is no number"),
        ({"application": f"{PROGRAM}<n:Priority>200</n:Priority>"}, "priority: wanted: less than or equal"),
        ({"resources": "<WallTime>PT1H</WallTime>"}, "WallTime: 'PT1H' is no number"),
        ({"resources": "<WallTime>0</WallTime>"}, "walltime: 0:00:00 is not a time from one second to a year"),
        ({"resources": f"<WallTime>{10**20}</WallTime>"}, f"WallTime: {10**20} is no time"),
        (
            {"resources": "<IndividualPhysicalMemory>2 GB</IndividualPhysicalMemory>"},
            "IndividualPhysicalMemory: '2 GB'",
        ),
        ({"resources": "<DiskSpaceRequirement>-1048576</DiskSpaceRequirement>"}, "disk_mb: wanted: greater"),
        (
            {"resources": "<SlotRequirement><NumberOfSlots>all</NumberOfSlots></SlotRequirement>"},
            "NumberOfSlots: 'all'",
        ),
        ({"resources": "<RuntimeEnvironment/>"}, "RuntimeEnvironment: name: wanted: at least 1"),
        ({"staging": "<InputFile/>"}, "InputFile: name: wanted: at least 1"),
        ({"staging": "<InputFile><Name>../a</Name></InputFile>"}, "InputFile: name: '../a' is not a path below"),
        ({"staging": "<OutputFile><Name>/etc</Name></OutputFile>"}, "OutputFile: name: '/etc' is not a path below"),
        ({"staging": "<InputFile><Name>a</Name></InputFile>" * 2}, "input 'a' is named twice"),
        (
            {"staging": "<InputFile><Name>a</Name></InputFile><InputFile><Name>./a</Name></InputFile>"},
            "input 'a' is named twice",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_job_that_makes_no_sense(parts: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_adl(_adl(**parts), _home)
    assert str(caught.value).startswith(words)


_SECONDS = st.none() | st.integers(1, 366 * 86400).map(lambda seconds: timedelta(seconds=seconds))
_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=10)
_FILES = st.sampled_from(["a", "d/b", "c <&>", ".hidden", "ä"])
_SPECS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "cores": st.integers(1, 10_000),
        "memory_mb": st.integers(1, 100_000_000),
        "disk_mb": st.integers(1, 10**10),
        "walltime": _SECONDS,
        "cputime": _SECONDS,
        "priority": st.integers(0, 100),
        "reruns": st.integers(0, 10),
        "queue": st.sampled_from(["grid", "a & b"]),
        "log_dir": st.sampled_from([None, "log", "a/b"]),
        "arguments": st.lists(_TEXTS, max_size=3).map(tuple),
        "environment": st.dictionaries(st.sampled_from(["A", "b_1"]), _TEXTS),
        "inputs": st.lists(_FILES, unique=True).map(
            lambda names: tuple(InputFile(name=name, source=f"https://h/{i}") for i, name in enumerate(names))
        ),
        "outputs": st.lists(st.tuples(_FILES, st.booleans()), unique_by=lambda one: one[0]).map(
            lambda made: tuple(OutputFile(name=name, target="https://h/", optional=may) for name, may in made)
        ),
        "runtime_environments": st.lists(_TEXTS.map(str.strip).filter(bool), max_size=2).map(
            lambda names: tuple(RuntimeEnvironment(name=name, options=(name,)) for name in names)
        ),
    },
)


@given(_SPECS)
def test_what_is_written_is_what_is_read(fields: dict[str, Any]) -> None:
    key = SubmissionKey("act-tower001-0123456789abcdefghjkmnpqrs")
    spec = JobSpec(name=key, executable="/bin/x", stdout=None, stderr=None, **fields)
    kept = (OutputFile(name=f"{spec.log_dir}/"),) if spec.log_dir else ()
    read = _read(activity(spec, key, "df5f", two_phase=False))
    assert read == spec.model_copy(update={"outputs": (*kept, *spec.outputs)})

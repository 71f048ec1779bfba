"""Files of job descriptions: three languages, told apart by how they begin; and what YAML means."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from act_core.ce import descriptions
from act_core.ce.arc_adl import ADL
from act_core.ce.described import brought_along, complaint, each, plain
from act_core.ce.descriptions import absolute, read_descriptions
from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec

FILE = Path("/data/jobs/job.txt")
XRSL = "&(executable=/bin/x)"
XML = (
    f'<ActivityDescription xmlns="{ADL}"><Application><Executable><Path>/bin/x</Path></Executable></Application>'
    "</ActivityDescription>"
)
YAML = "executable: /bin/x"


def _read(text: str) -> JobSpec:
    (spec,) = read_descriptions(text, FILE)
    return spec


@pytest.mark.parametrize("begin", ["", "\n\n", "\ufeff", "\ufeff\r\n"], ids=ascii)
@pytest.mark.parametrize(
    ("text", "stdout"),
    [
        pytest.param(XRSL, None, id="xRSL"),
        pytest.param(f"(* my job *)\n{XRSL}", None, id="xRSL with a comment before it"),
        pytest.param(f"+({XRSL})", None, id="many xRSL"),
        pytest.param(XML, None, id="ADL"),
        pytest.param(f"<!-- my job -->\n{XML}", None, id="ADL with a comment before it"),
        pytest.param(f"---\n# my job\n{YAML}\n...\n", "stdout.txt", id="YAML"),
    ],
)
def test_languages(text: str, stdout: str | None, begin: str) -> None:
    spec = _read(begin + text)
    assert (spec.executable, spec.stdout) == ("/bin/x", stdout)


def test_a_job_in_yaml() -> None:
    text = """
executable: run.sh
arguments: [a b, "1"]
walltime: 90 min
cputime: 7200
environment: {A: x}
inputs:
  - run.sh
  - dir/tool
  - https://host/far
  - {name: near, source: ../near}
  - {name: given, content: "text"}
runtime_environments: [{name: ENV/PROXY, options: [a]}]
"""
    spec = _read(text)
    assert (spec.walltime, spec.cputime) == (timedelta(minutes=90), timedelta(hours=2))
    assert [(file.name, file.source or file.content) for file in spec.inputs] == [
        ("run.sh", "/data/jobs/run.sh"),
        ("tool", "/data/jobs/dir/tool"),
        ("far", "https://host/far"),
        ("near", "/data/jobs/../near"),
        ("given", "text"),
    ]
    assert spec.runtime_environments[0].options == ("a",)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("- executable: a\n- executable: b\n", id="a list"),
        pytest.param("executable: a\n---\nexecutable: b\n", id="documents"),
        pytest.param("- executable: a\n---\n---\n- executable: b\n", id="lists and an empty document"),
        pytest.param("- &a {executable: a}\n- {<<: *a, executable: b}\n", id="one after another's example"),
    ],
)
def test_many_jobs(text: str) -> None:
    assert [job.executable for job in read_descriptions(text, FILE)] == ["a", "b"]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("a", "/data/jobs/a"),
        ("./d/a", "/data/jobs/d/a"),
        ("/etc/a", "/etc/a"),
        ("file:a", "/data/jobs/a"),
        ("file:/etc/a", "/etc/a"),
        ("file:///etc/a", "/etc/a"),
        ("file://host/a", "file://host/a"),
        ("root://host//a", "root://host//a"),
        ("a:b", "/data/jobs/a:b"),
    ],
)
def test_where_a_source_lies(source: str, found: str) -> None:
    assert absolute(source, FILE) == found


BAD: list[tuple[str, str, str]] = [
    ("nothing", "", "no job is described"),
    ("blanks", " \n\n", "no job is described"),
    ("a comment", "# my job", "no job is described"),
    ("an empty list", "[]", "no job is described"),
    ("a word", "hello", "a job is a mapping of keys (executable, arguments, …), not str"),
    ("a list of numbers", "- 1", "a job is a mapping of keys (executable, arguments, …), not int"),
    ("a list of lists", "[[{executable: a}]]", "a job is a mapping of keys (executable, arguments, …), not list"),
    ("a script", "#!/bin/sh\nset a: b: c\n", "neither xRSL nor ADL nor YAML: mapping values are not allowed"),
    ("a tab", "executable:\n\t- a", "neither xRSL nor ADL nor YAML: while scanning for the next token"),
    ("an open bracket", "executable: [1", "neither xRSL nor ADL nor YAML: while parsing a flow sequence"),
    ("a null", "\x00", "neither xRSL nor ADL nor YAML: unacceptable character"),
    ("a date that is none", "executable: 2026-02-30", "neither xRSL nor ADL nor YAML: day is out of range"),
    ("an object of Python", "!!python/object:os.system x", "neither xRSL nor ADL nor YAML: could not determine"),
    ("a tag without its number", "cores: !!int ''", "neither xRSL nor ADL nor YAML: "),
    ("a tag without its truth", "!!bool perhaps", "neither xRSL nor ADL nor YAML: "),
    ("a tag without its time", "!!timestamp now", "neither xRSL nor ADL nor YAML: "),
    ("a tag on a mapping", "!!timestamp {=: x}", "neither xRSL nor ADL nor YAML: "),
    ("too deep", "[" * 1000, "nested deeper than 64"),
    ("a little too deep", f"arguments: {'[' * 70}{']' * 70}", "nested deeper than 64"),
    ("a number without end", f"cores: {'9' * 5000}", "a number of more than 4300 digits"),
    ("a number to the base of 60", f"cores: 1{':0' * 400}:0.5", "neither xRSL nor ADL nor YAML: int too large"),
    ("no program", "arguments: [a]", "executable: it is missing"),
    ("a number for a program", "executable: 5", "executable: a string is wanted"),
    ("an unknown key", f"{YAML}\nexecutible: b", "unknown key executible; did you mean executable?"),
    ("an input's key", f"{YAML}\ninputs: [{{name: a, sorce: /a}}]", "unknown key inputs.0.sorce; did you mean source?"),
    ("a strange key", f"{YAML}\nxyzzy: b", "unknown key xyzzy"),
    ("a key that is no word", f"{YAML}\n1: b", "1: Keys should be strings"),
    ("a text for a list", f"{YAML}\narguments: a b", "arguments: a list is wanted, such as [a, b]"),
    ("a number among words", f"{YAML}\narguments: [a, 1]", "arguments.1: a string is wanted"),
    ("a number in the environment", f"{YAML}\nenvironment: {{A: 1}}", "environment.A: a string is wanted"),
    ("no name in the environment", f"{YAML}\nenvironment: {{'': a}}", "environment: '' is no name of an environment"),
    ("a time in words", f"{YAML}\nwalltime: soon", "walltime: a time is wanted: seconds, or a number with s, min, h"),
    ("a time without end", f"{YAML}\ncputime: 9e999 d", "cputime: a time is wanted"),
    ("a negative time", f"{YAML}\nwalltime: -5", "walltime: a time is wanted"),
    ("a long time", f"{YAML}\nwalltime: 400 d", "walltime: 400 days, 0:00:00 is not a time from one second to a year"),
    ("inputs that are no list", f"{YAML}\ninputs: {{a: b}}", "inputs: a list is wanted, such as [a, b]"),
    ("a number for an input", f"{YAML}\ninputs: [1]", "inputs.0: a section with keys is wanted"),
    ("an empty input", f"{YAML}\ninputs: [a, '']", "inputs.1.name: wanted: at least 1 character"),
    ("an input without a source", f"{YAML}\ninputs: [{{name: a}}]", "inputs.0: input 'a' needs a source"),
    ("an input with an odd source", f"{YAML}\ninputs: [{{name: a, source: 3}}]", "inputs.0.source: a string is wanted"),
    ("inputs of one name", f"{YAML}\ninputs: [d/a, e/a]", "input 'a' is named twice"),
    ("the second job", f"{YAML}\n---\n{YAML}\ncores: 0", "job 2: cores: wanted: greater than or equal to 1"),
    ("the second of a list", f"[{{{YAML}}}, a]", "job 2: a job is a mapping of keys"),
    ("xRSL", "&(executable=x", "line 1, column 14: the xRSL ends where ) is wanted"),
    ("a bracket", "(executable=x)", "line 1, column 1: & is wanted before '('"),
    ("ADL", "<x", "not XML: unclosed token"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), [pytest.param(text, words, id=name) for name, text, words in BAD])
def test_a_bad_file_is_told_with_its_name_and_the_culprit(text: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_descriptions(text, FILE)
    assert str(caught.value).startswith(f"{FILE}: {words}")
    assert len(str(caught.value)) < 500


def test_sizes_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptions, "LARGEST", 50)
    monkeypatch.setattr(descriptions, "MOST_JOBS", 2)
    assert len(read_descriptions("[{executable: a}, {executable: a}]", FILE)) == 2
    with pytest.raises(BadInput, match=f"^{FILE}: more than 2 jobs"):
        read_descriptions("- executable: a\n" * 3, FILE)
    with pytest.raises(BadInput, match=f"^{FILE}: more than 50 characters"):
        read_descriptions("#" * 51, FILE)


_PIECES = st.sampled_from(
    [*"-:[]{}&*!|>'\"#%@\n ,?~", "!!int", "!!timestamp", "!!set", "<<", "executable", "inputs", "1"]
)


@given(st.lists(_PIECES, max_size=20).map("".join))
def test_no_text_leads_to_a_traceback(text: str) -> None:
    try:
        jobs = read_descriptions(text, FILE)
    except BadInput as err:
        words = str(err)
    else:
        words = f"{FILE}: {len(jobs)}"
    assert words.startswith(f"{FILE}: ")


@pytest.mark.parametrize(
    ("path", "short"),
    [
        ("./a", "a"),
        (".//a", "a"),
        ("././a/./b", "a/./b"),
        (".a", ".a"),
        ("../a", "../a"),
        ("/a", "/a"),
        ("./", "./"),
        ("", ""),
    ],
)
def test_plain_paths(path: str, short: str) -> None:
    assert plain(path) == short


def test_everything_that_is_wrong_with_a_job_is_told() -> None:
    with pytest.raises(BadInput) as caught:
        read_descriptions("executabel: x\nwalltime: soon\ncputime: later\ncores: 0\n", FILE)
    assert str(caught.value).removeprefix(f"{FILE}: ").split("; ") == [
        "walltime: a time is wanted: seconds, or a number with s, min, h or d",
        "cputime: a time is wanted: seconds, or a number with s, min, h or d",
        "executable: it is missing",
        "cores: wanted: greater than or equal to 1",
        "unknown key executabel",
        "did you mean executable?",
    ]


def test_what_is_wrong_is_told_in_a_bounded_line() -> None:
    with pytest.raises(BadInput, match=r"arguments\.9: a string is wanted; … and 90 more$"):
        read_descriptions(f"{YAML}\narguments: {list(range(100))}\n", FILE)


def test_complaints_name_the_field_where_there_is_one() -> None:
    with pytest.raises(ValidationError) as one:
        JobSpec(executable="x", cores=0)
    with pytest.raises(ValidationError) as whole:
        InputFile(name="a")
    assert complaint(one.value).startswith("cores: wanted: ")
    assert complaint(whole.value).startswith("input 'a' needs a source")


def test_what_is_brought_along_is_brought_once() -> None:
    made = brought_along("run.sh", "run.sh", [], lambda name: f"/here/{name}")
    assert list(made) == [InputFile(name="run.sh", source="/here/run.sh", executable=True)]
    assert list(brought_along("a", "b", [InputFile(name=name, content="") for name in "ab"], str)) == []
    assert list(brought_along(None, None, [], str)) == []


def test_a_single_job_needs_no_number() -> None:
    def fails(_: str) -> JobSpec:
        raise BadInput("no")

    with pytest.raises(BadInput, match=r"^no$"):
        each(["a"], fails)
    with pytest.raises(BadInput, match=r"^job 1: no$"):
        each(["a", "b"], fails)


def test_a_text_that_its_aliases_blow_up_is_refused(tmp_path: Path) -> None:
    merged = "b0: &b0 {x: 1}\n" + "".join(f"b{n}: &b{n}\n  <<: [*b{n - 1}, *b{n - 1}]\n" for n in range(1, 60))
    many = f"- &j {{executable: /bin/echo, arguments: [{'a, ' * 1000}]}}\n" + "- *j\n" * 20_000
    for text in (merged, many):
        with pytest.raises(BadInput, match=r"job\.yaml: with its aliases written out, more than 10000000 values"):
            read_descriptions(text, tmp_path / "job.yaml")
    within = "executable: /bin/echo\narguments: &x [*x]\n"
    with pytest.raises(BadInput, match="an alias stands within what it names"):
        read_descriptions(within, tmp_path / "job.yaml")
    assert (
        len(read_descriptions("- &j {executable: /bin/echo}\n- *j\n- {<<: *j, name: b}\n", tmp_path / "job.yaml")) == 3
    )

"""xRSL, read: what people's descriptions mean, and what is said of those that mean nothing."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from act_core.ce.xrsl import read_xrsl
from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec, OutputFile, RuntimeEnvironment

FULL = '''
&
(* a job with all that we read *)
(executable = "./run.sh")
(arguments = -c "a b" 'it''s' "say ""hi""" "(x=1)&|+")
(inputFiles = ("tool" "") ("near" "dir/near") ("far" "root://host//far" "cache=no" "transferprotocol=https"))
(executables = tool)
(outputFiles = ("here" "") ("d/" "") ("@list" "") ("sent" "gsiftp://host/sent" "checksum=md5"))
(environment = ("A" "1") ("B_2" "x=y"))
(runTimeEnvironment = APPS/A-1.0 "opt ion")
(runtimeenvironment = ENV/PROXY)
(job_name = "my job")
(stdin = in.txt) (stdout = log) (join = yes) (gmlog = gmlog)
(count = 8) (memory = 2000) (disk = 100) (wallTime = "1 day 2 hours") (cpuTime = 90)
(queue = grid) (priority = 7) (rerun = 2)
(cluster = here.example) (lifetime = "1 week") (notify = "be me@x.example") (notify = "e you@x.example")
'''
BASE = "&(executable=/bin/x)"


def _home(source: str) -> str:
    return source if "://" in source else f"/here/{source.removeprefix('./')}"


def _read(text: str) -> JobSpec:
    (spec,) = read_xrsl(text, _home)
    return spec


def test_a_whole_job() -> None:
    assert _read(FULL) == JobSpec(
        name="my job",
        executable="run.sh",
        arguments=("-c", "a b", "it's", 'say "hi"', "(x=1)&|+"),
        environment={"A": "1", "B_2": "x=y"},
        stdin="in.txt",
        stdout="log",
        stderr="log",
        inputs=(
            InputFile(name="tool", source="/here/tool", executable=True),
            InputFile(name="near", source="/here/dir/near"),
            InputFile(name="far", source="root://host//far", options={"cache": "no", "transferprotocol": "https"}),
            InputFile(name="run.sh", source="/here/run.sh", executable=True),
            InputFile(name="in.txt", source="/here/in.txt"),
        ),
        outputs=(
            *(OutputFile(name=name) for name in ("here", "d/", "@list")),
            OutputFile(name="sent", target="gsiftp://host/sent", options={"checksum": "md5"}),
        ),
        log_dir="gmlog",
        cores=8,
        memory_mb=2000,
        disk_mb=100,
        walltime=timedelta(hours=26),
        cputime=timedelta(minutes=90),
        queue="grid",
        priority=7,
        runtime_environments=(
            RuntimeEnvironment(name="APPS/A-1.0", options=("opt ion",)),
            RuntimeEnvironment(name="ENV/PROXY"),
        ),
        reruns=2,
    )


def test_everything_comes_home() -> None:
    spec = _read(BASE + '(gmlog=log)(outputfiles=("/" "")("a" "")("b" "https://host/b"))')
    assert spec.outputs == (OutputFile(name="a"), OutputFile(name="b", target="https://host/b"))
    assert spec.fetch == ("/", "a", "diagnose=log/")


def test_the_least_job() -> None:
    assert _read(BASE) == JobSpec(executable="/bin/x", stdout=None, stderr=None)


@pytest.mark.parametrize(
    ("more", "names"),
    [
        pytest.param("(executable=run.sh)", ["run.sh"], id="the program comes along"),
        pytest.param("(executable=./run.sh)", ["run.sh"], id="with a dot"),
        pytest.param('(executable=./run.sh)(inputfiles=(run.sh ""))', ["run.sh"], id="named without the dot"),
        pytest.param('(executable=run.sh)(inputfiles=(.//run.sh ""))', ["run.sh"], id="named with the dot"),
        pytest.param('(executable=.run.sh)(stdin="./in")', [".run.sh", "in"], id="a hidden program"),
        pytest.param("(executable=d/run.sh)", ["d/run.sh"], id="in a directory"),
        pytest.param('(executable="$HOME/run.sh")', [], id="on the CE, by a variable"),
        pytest.param("(executable=/bin/x)", [], id="on the CE"),
        pytest.param("(executable=a)(stdin=a)", ["a"], id="the program reads itself"),
    ],
)
def test_what_comes_along(more: str, names: list[str]) -> None:
    """A-REX fails a job that names an input twice, `./a` and `a` too."""
    assert [file.name for file in _read(f"&{more}").inputs] == names


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("60", 60),
        ('"60"', 60),
        ("1 hour 30 minutes", 90),
        ('"1 hour, 30 minutes"', 90),
        ("1h30m", 90),
        ("90minutes", 90),
        ("2 DAYS", 2880),
        ("1w", 10080),
        ("120 seconds", 2),
    ],
)
def test_times(written: str, minutes: int) -> None:
    assert _read(f"{BASE}(walltime={written})").walltime == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("more", "streams"),
    [
        ("(stdout=o)(stderr=e)", ("o", "e")),
        ("(stdout=o)(join=yes)", ("o", "o")),
        ("(join=TRUE)(stderr=o)(stdout=o)", ("o", "o")),
        ("(stdout=o)(stderr=e)(join=no)", ("o", "e")),
        ("(stdout=o)(join=false)", ("o", None)),
    ],
)
def test_streams(more: str, streams: tuple[str, str | None]) -> None:
    spec = _read(f"{BASE}{more}")
    assert (spec.stdout, spec.stderr) == streams


@pytest.mark.parametrize(
    "text",
    [
        "+(&(executable=/bin/a))(&(executable=/bin/b))",
        " + ( & (executable=/bin/a) )\n(* two *)( &(executable=/bin/b) (* end *) )\n",
    ],
)
def test_many_jobs(text: str) -> None:
    assert [spec.executable for spec in read_xrsl(text, _home)] == ["/bin/a", "/bin/b"]


NONSENSE: list[tuple[str, str, str]] = [
    ("nothing", "", "the xRSL is empty"),
    ("a comment alone", "(* *)", "the xRSL is empty"),
    ("no job", "+", "the xRSL describes no job"),
    ("no program", "&(jobname=x)", "the job of line 1, column 3: executable: it is missing"),
    ("no attributes", "&", "the job of line 1, column 1: executable: it is missing"),
    ("an empty program", '&(executable="")', "column 3: executable: wanted: at least 1 character"),
    ("no bracket at the end", "&(executable=x", "line 1, column 14: the xRSL ends where ) is wanted"),
    ("a bracket too many", "&(executable=x))", "line 1, column 16: ')' stands behind the job"),
    ("two jobs without a plus", "&(executable=x)&(executable=y)", "column 16: '&' stands behind the job"),
    ("no and", "(executable=x)", "line 1, column 1: & is wanted before '('"),
    ("a plus without brackets", "+&(executable=x)", "line 1, column 2: ( is wanted before '&'"),
    ("alternatives", "&(|(executable=x)(executable=y))", "line 1, column 4: = is wanted before '('"),
    ("a comparison", "&(executable!=x)", "attribute 'executable!' is not known; did you mean executable?"),
    ("two signs", "&(executable==x)", "line 1, column 14: '=' is not understood here"),
    ("no value", "&(executable=)", "line 1, column 3: executable takes one value"),
    ("two programs", "&(executable=x y)", "line 1, column 3: executable takes one value"),
    ("a list for a program", "&(executable=(x))", "line 1, column 3: executable takes one value"),
    ("an open quotation", '&(executable="x)', "column 14: neither a word nor a quotation that ends: '\"x)'"),
    ("an open quotation before others", '&(executable="x)(stdout="o")', "column 14: neither a word nor a quotation"),
    ("an open comment", "&(executable=x)(* ", "line 1, column 16: a comment that does not end"),
    ("deep brackets", f"&(arguments={'(' * 10_000}", "'(' is not understood here"),
    ("no end of brackets", "&" + "(" * 10_000, "line 1, column 4: = is wanted before '('"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), [pytest.param(text, words, id=name) for name, text, words in NONSENSE])
def test_what_is_no_xrsl(text: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_xrsl(text, _home)
    assert words in str(caught.value)


BAD: list[tuple[str, str]] = [
    ("(jobnme=x)", "attribute 'jobnme' is not known; did you mean jobname?"),
    ("(dryrun=yes)", "attribute 'dryrun' is not known"),
    ("(memory=2GB)", "memory: '2GB' is no number"),
    ("(memory=2000.5)", "memory: '2000.5' is no number"),
    ('(memory="")', "memory: '' is no number"),
    (f"(count={'9' * 5000})", "count: '9999"),
    ("(count=2 3)", "count takes one value"),
    ("(wallTime='1 month')", "walltime: '1 month' is no time"),
    ("(walltime=-5)", "walltime: '-5' is no time"),
    ("(walltime='01:30:00')", "walltime: '01:30:00' is no time"),
    ("(walltime=)", "walltime: '' is no time"),
    ("(walltime=999999999w)", "walltime: '999999999w' is too long a time"),
    ("(cputime=((1)))", "cputime takes words, not lists"),
    ("(arguments=(a))", "arguments takes words, not lists"),
    ("(arguments=$(HOME))", "arguments takes words, not lists"),
    ("(inputfiles=a)", "inputfiles takes bracketed lists of words"),
    ("(inputfiles=((a b)))", "inputfiles takes bracketed lists of words"),
    ('(inputfiles=("a" "" "cache"))', "an option is name=value"),
    ('(inputfiles=("/etc/passwd" ""))', "inputfiles: name: '/etc/passwd' is not a path below"),
    ('(inputfiles=("../a" ""))', "inputfiles: name: '../a' is not a path below"),
    ('(outputfiles=("/" "gsiftp://a/b"))', "outputfiles: name: '/' is not a path below"),
    ("(environment=(A 1)(B))", "environment takes pairs: (name value)"),
    ("(environment=A 1)", "environment takes bracketed lists of words"),
    ("(runtimeenvironment=)", "runtimeenvironment: name: wanted: at least 1 character"),
    ("(join=maybe)", "join is yes or no, not 'maybe'"),
    ("(stdout=a)(stdout=b)", "stdout is given twice"),
    ("(stdout=a)(stdOut=b)", "stdout is given twice"),
]


@pytest.mark.parametrize(("more", "words"), BAD, ids=[more[:40] for more, _ in BAD])
def test_a_bad_attribute_is_told_with_its_line(more: str, words: str) -> None:
    place = more.rfind("(st") + 2 if "twice" in words else 2
    with pytest.raises(BadInput) as caught:
        read_xrsl(f"{BASE}\n{more}", _home)
    assert str(caught.value).startswith(f"line 2, column {place}: {words}")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("(count=0)", "cores: wanted: greater than or equal to 1"),
        ("(priority=200)", "priority: wanted: less than or equal to 100"),
        ("(cputime=0)", "cputime: 0:00:00 is not a time from one second to a year"),
        ("(environment=(1A x))", "environment: '1A' is no name of an environment variable"),
        ("(stdout=/dev/null)", "stdout: '/dev/null' is not a path below the job's directory"),
        ("(inputfiles=(a '')(./a ''))", "input 'a' is named twice"),
        ("(executables=a)", "executables: 'a' is not among the inputfiles"),
        ("(join=yes)", "join wants a stdout"),
        ("(join=yes)(stdout=o)(stderr=e)", "join wants a stdout, and no stderr but the same"),
    ],
)
def test_a_job_that_makes_no_sense_is_told_with_its_place(more: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_xrsl(f"+(&(executable=/bin/x))\n ( {BASE}{more})", _home)
    assert str(caught.value).startswith(f"the job of line 2, column 6: {words}")


@pytest.mark.parametrize(
    "value", ['"a"b', 'a"b"', '"a" # "b"', "a#b", "^a b^", "'a'\"b\"", '"a"""b'], ids=lambda value: repr(value)
)
def test_joined_and_odd_quotations_are_refused_not_misread(value: str) -> None:
    with pytest.raises(BadInput, match="neither a word nor a quotation that ends"):
        read_xrsl(f"{BASE}(arguments={value})", _home)


@given(st.lists(st.text(max_size=10), max_size=4), st.sampled_from("\"'"))
def test_quotations_hold_any_text(arguments: list[str], quote: str) -> None:
    words = " ".join(f"{quote}{word.replace(quote, quote * 2)}{quote}" for word in arguments)
    assert _read(f"{BASE}(arguments={words})").arguments == tuple(arguments)


_PIECES = st.sampled_from([*"&+|()=\"' \n#^", "(*", "*)", "executable", "arguments", "walltime", "inputfiles", "1"])


@given(st.lists(_PIECES, max_size=30).map("".join))
def test_no_text_leads_to_a_traceback(text: str) -> None:
    try:
        jobs = read_xrsl(f"&{text}", _home)
    except BadInput:
        return
    assert jobs

"""PanDA's jobs at the door: lenient in spelling, strict in sense, secrets apart."""

from urllib.parse import parse_qs

import pytest

from act_core.atlas.wire import LARGEST_JOB, InFile, MalformedJob, PandaJob, encode_for_pilot

LEAST: dict[str, object] = {"PandaID": 5, "prodSourceLabel": "managed"}
FILES: dict[str, object] = {
    "inFiles": "a.root,b.root", "scopeIn": "mc23,mc23", "GUID": "G1,G2", "fsize": "10,NULL",
    "checksum": "ad:1a2b,md5:0123456789abcdef0123456789abcdef", "realDatasetsIn": "ds,ds", "ddmEndPointIn": "X,NULL",
    "outFiles": "o.root,log.tgz", "scopeOut": "mc23", "scopeLog": "log", "logFile": "log.tgz",
    "ddmEndPointOut": "Y,Z", "realDatasets": "out,logs",
}  # fmt: skip


def job(**fields: object) -> PandaJob:
    return PandaJob.parse(LEAST | fields)


@pytest.mark.parametrize("nothing", [None, "", "NULL", "None", " null "])
def test_nothing_has_many_spellings(nothing: object) -> None:
    found = job(
        coreCount=nothing,
        minRamCount=nothing,
        maxCpuCount=nothing,
        currentPriority=nothing,
        inFiles=nothing,
        resource_type=nothing,
    )
    assert (found.cores, found.memory_mb, found.cpu_s, found.priority, found.inputs) == (1, None, None, None, ())


@pytest.mark.parametrize("eight", [8, 8.0, "8", "8.0", " 8 "])
def test_numbers_may_be_text(eight: object) -> None:
    assert job(coreCount=eight, minRamCount=eight).cores == 8


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"PandaID": None}, "PandaID"),
        ({"PandaID": -1}, "PandaID"),
        ({"PandaID": 2**63}, "PandaID"),
        ({"prodSourceLabel": "a b"}, "prodSourceLabel: 'a b' is not one word"),
        ({"prodSourceLabel": None}, "prodSourceLabel"),
        ({"coreCount": "many"}, "coreCount: 'many' is no number"),
        ({"coreCount": True}, "coreCount: True is no number"),
        ({"coreCount": 10**6}, "coreCount"),
        ({"minRamCount": [1]}, "minRamCount"),
        ({"maxCpuCount": "inf"}, "maxCpuCount: 'inf' is no number"),
        ({"logFile": "../log"}, "logFile: '../log' is no name of a file"),
        ({"resource_type": "a b"}, "resource_type: 'a b' is not one word"),
        ({"inFiles": "a,b", "scopeIn": "x"}, "scopeIn: 1 entries for 2 of inFiles"),
        ({"inFiles": "a,b"}, "scopeIn: None is no scope of a"),
        ({"inFiles": "a,,b", "scopeIn": "x,x,x"}, "inFiles: 'None' is no name of a file"),
        ({"inFiles": "a b", "scopeIn": "x"}, "inFiles: 'a b' is no name of a file"),
        ({"inFiles": "/etc/passwd", "scopeIn": "x"}, "inFiles"),
        ({"inFiles": "a", "scopeIn": "x/../y"}, "scopeIn"),
        ({"inFiles": "a", "scopeIn": "x", "fsize": "-5"}, "fsize"),
        ({"inFiles": "a", "scopeIn": "x", "fsize": "5,5"}, "fsize: 2 entries for 1 of inFiles"),
        ({"inFiles": "a", "scopeIn": "x", "checksum": "ad:xyz"}, "checksum"),
        ({"outFiles": "a,b", "scopeOut": "x"}, "scopeOut: 1 scopes for 2 outFiles"),
        ({"jobPars": "\ud800"}, "surrogates"),
        ({"jobPars": ["\ud800"]}, "surrogates"),
        ({"jobPars": "x" * LARGEST_JOB}, f"more than {LARGEST_JOB}"),
        ({"maxCpuCount": "1" + "0" * 320}, "maxCpuCount: "),
        ({"minRamCount": 2**53 + 1}, "too large a number"),
    ],
    ids=lambda value: str(value)[:50].encode("ascii", "replace").decode(),
)
def test_a_malformed_job_names_itself_and_the_field(fields: dict[str, object], words: str) -> None:
    with pytest.raises(MalformedJob) as caught:
        job(**fields)
    assert words in str(caught.value)
    assert caught.value.panda_id == (None if "PandaID" in fields else 5)


@pytest.mark.parametrize("thing", [None, 5, "text", [], [1]])
def test_what_is_no_object_is_no_job(thing: object) -> None:
    with pytest.raises(MalformedJob, match="without a PandaID"):
        PandaJob.parse(thing)


def test_files_are_zipped() -> None:
    found = job(**FILES)
    assert found.inputs == (
        InFile("a.root", "mc23", "G1", 10, "adler32:00001a2b", "ds", "X"),
        InFile("b.root", "mc23", "G2", None, "md5:0123456789abcdef0123456789abcdef", "ds", None),
    )
    output, log = found.outputs
    assert (output.lfn, output.scope, output.endpoint, output.log) == ("o.root", "mc23", "Y", False)
    assert (log.lfn, log.scope, log.dataset, log.endpoint, log.log) == ("log.tgz", "log", "logs", "Z", True)
    assert found.log_name == "log"


def test_an_input_named_twice_is_one_input() -> None:
    assert len(job(inFiles="a,a", scopeIn="x,x").inputs) == 1


def test_a_job_without_log_has_a_name_for_its_stdout() -> None:
    assert job().log_name == "LOGFILE"


def test_a_priority_that_cannot_be_read_is_none() -> None:
    assert job(currentPriority="high").priority is None


def test_secrets_are_apart_and_not_shown() -> None:
    found = job(secrets='{"k": "hush"}', pilotSecrets=None, jobPars="x")
    assert set(found.secrets) == {"secrets"}
    assert found.secrets["secrets"].get_secret_value() == '{"k": "hush"}'
    assert "secrets" not in found.raw
    assert "hush" not in repr(found) + str(found) + found.model_dump_json()


def test_the_pilot_gets_the_whole_job_as_the_legacy_server_wrote_it() -> None:
    given = LEAST | {"maxWalltime": None, "debug": "True", "jobPars": "--a 'b&c=d' %20 é", "nSent": 0}
    found = PandaJob.parse(given | {"secrets": "hush"})
    assert found.raw == given
    back = {key: values[0] for key, values in parse_qs(encode_for_pilot(found.raw), strict_parsing=True).items()}
    assert back == {key: str(value) for key, value in given.items()}
    assert parse_qs(encode_for_pilot(found.raw, found.secrets))["secrets"] == ["hush"]


def test_a_job_read_back_from_its_raw_form_is_the_same() -> None:
    found = job(**FILES)
    assert PandaJob.parse(found.raw) == found

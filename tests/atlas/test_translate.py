"""PanDA jobs as JobSpecs: golden files for whole jobs (renewed by `python -m tests.atlas.goldens`), tables for more."""

from collections import Counter
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from act_core.atlas.cric import Queue
from act_core.atlas.cric_endpoints import CeEndpoint
from act_core.atlas.labels import LABELS
from act_core.atlas.logplaces import log_url
from act_core.atlas.modes import Mode, candidates, mode_of
from act_core.atlas.translate import JOB_FILE, TranslateSettings, Worker, translate
from act_core.atlas.wire import PandaJob
from act_core.errors import BadInput
from act_core.jobspec import JobSpec
from act_core.settings.app_model import AppSettings, Executable, JobLog, Panda
from tests.atlas.goldens import BOOKED, PILOTS, SETTINGS, Golden, goldens

GOLDEN = list(goldens())
KINDS = {"ARC-CE": "arc-rest", "HTCONDOR-CE": "htcondor", "LOCAL-CE": "local"}


def ces(*flavours: str) -> tuple[CeEndpoint, ...]:
    return tuple(CeEndpoint(name=f, endpoint="", kind=KINDS[f], flavour=f) for f in flavours)


def spec(job: dict[str, Any] | None = None, worker: Worker | None = None, **queue: Any) -> JobSpec:
    raw: dict[str, Any] = {"PandaID": 7, "prodSourceLabel": "managed", "logFile": "log.tgz"}
    described = Queue.model_validate({"name": "Q", "schedconfig": "Q"} | queue)
    return translate(PandaJob.parse(raw | (job or {})), described, SETTINGS, BOOKED, worker)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.file.stem)
def test_golden(golden: Golden) -> None:
    assert {key: golden.held.get(key) for key in golden.made()} == golden.made()
    assert golden.file.read_text(encoding="utf-8") == golden.renewed(), "python -m tests.atlas.goldens"


def test_there_are_golden_files_for_all_kinds() -> None:
    accepted = [golden for golden in GOLDEN if "spec" in golden.held]
    modes = Counter(mode_of(golden.queue) for golden in accepted)
    assert len(accepted) >= 30
    assert all(modes[mode] >= 6 for mode in Mode)
    labels = {golden.held["job"]["prodSourceLabel"] for golden in accepted}
    assert labels >= {label.pattern for label in LABELS if "*" not in label.pattern} | {"rc_test", "rc_test2", "ptest"}


@pytest.mark.parametrize("golden", [one for one in GOLDEN if "spec" in one.held], ids=lambda golden: golden.file.stem)
def test_the_pilot_of_each_golden_job_reads_it(golden: Golden) -> None:
    (content,) = [parse_qs(one.content or "") for one in golden.translated().uploads if one.name == "pandaJobData.out"]
    assert content["PandaID"] == [str(golden.held["job"]["PandaID"])]


@pytest.mark.parametrize(
    ("job", "queue", "why"),
    [
        ({}, {"push": False}, "a pull queue"),
        ({}, {"endpoints": ces("HTCONDOR-CE")}, r"needs an ARC CE, and has only HTCONDOR-CE \(htcondor\)"),
        ({"coreCount": 9}, {"truepilot": True, "corecount": 8}, "wants 9 cores, and the queue's corecount is 8"),
        (
            {"minRamCount": 2001},
            {"truepilot": True, "maxrss": 2000},
            "wants 2001 MB, and the queue's maxrss gives 2000",
        ),
        ({}, {"pilot_args": "--a 'open"}, "pilot_args"),
        ({}, {"pilot_args": "--a 'b\x01'"}, r"queue Q: 'b\\x01' for the pilot"),
        ({}, {"pilot_url": "https://x/\x01"}, r"queue Q: 'https://x/\\x01' for the pilot"),
        ({"inFiles": "heartbeat.json,pandaJobData.out", "scopeIn": "x,x"}, {}, "'pandaJobData.out' is named twice"),
        ({"logFile": "a.tgz", "inFiles": "a", "scopeIn": "x"}, {}, "another file is called 'a'"),
        ({"logFile": "output.list.tgz"}, {}, "another file is called 'output.list'"),
        ({"minRamCount": 10**12}, {}, "memory_mb"),
    ],
    ids=[
        "pull",
        "no ARC CE",
        "cores",
        "maxrss",
        "pilot_args",
        "args",
        "url",
        "file names",
        "log",
        "log 2",
        "memory",
    ],
)
def test_a_job_that_cannot_run_says_why(job: dict[str, Any], queue: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=why):
        spec(job, **queue)


def test_a_job_with_secrets_is_described_without_them() -> None:
    made = spec({"secrets": "hush"})
    assert made.sealed == (JOB_FILE,)
    assert made.inputs[0].content is None
    assert "hush" not in made.model_dump_json() + repr(made)


@pytest.mark.parametrize(
    ("job", "queue"),
    [
        ({"coreCount": 9}, {"corecount": 8}),
        ({"minRamCount": 9000}, {"maxrss": 2000}),
        ({"coreCount": 9}, {"truepilot": True}),
        ({"minRamCount": 9000}, {"truepilot": True}),
        ({"minRamCount": 8000, "coreCount": 4}, {"truepilot": True, "maxrss": 2000, "per_core": True}),
        ({"minRamCount": 16000}, {"truepilot": True, "maxrss": 16000, "corecount": 8}),
    ],
    ids=[
        "cores, native",
        "memory, native",
        "no corecount",
        "no maxrss",
        "maxrss of each core",
        "a whole slot's memory",
    ],
)
def test_a_job_that_may_run_is_not_refused(job: dict[str, Any], queue: dict[str, Any]) -> None:
    assert spec(job, **queue).executable


@pytest.mark.parametrize(
    ("truepilot", "flavours", "mode", "sent"),
    [
        (False, ("ARC-CE",), Mode.NATIVE, ("ARC-CE",)),
        (False, ("LOCAL-CE",), Mode.NATIVE, ("LOCAL-CE",)),
        (False, ("HTCONDOR-CE", "ARC-CE"), Mode.NATIVE, ("ARC-CE",)),
        (True, ("ARC-CE",), Mode.ARC, ("ARC-CE",)),
        (True, ("HTCONDOR-CE",), Mode.HTCONDOR, ("HTCONDOR-CE",)),
        (True, ("HTCONDOR-CE", "ARC-CE"), Mode.ARC, ("HTCONDOR-CE", "ARC-CE")),
        (True, (), Mode.ARC, ()),
    ],
)
def test_the_queue_and_its_ces_decide(truepilot: bool, flavours: tuple[str, ...], mode: Mode, sent: tuple[str]) -> None:
    queue = Queue(name="Q", schedconfig="Q", truepilot=truepilot, endpoints=ces(*flavours))
    assert mode_of(queue) is mode
    assert tuple(one.name for one in candidates(queue)) == sent


@pytest.mark.parametrize(
    ("label", "kind", "tarball", "wrapper", "more"),
    [
        ("managed", "managed", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
        ("user", "user", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
        ("panda", "user", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
        ("test", "managed", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
        ("prod_test", "managed", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
        ("install", "managed", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
        ("ptest", "managed", "pilot3-dev.tar.gz", "runpilot2-wrapper.sh", []),
        ("rc_test", "managed", "pilot3-rc.tar.gz", "rc/wrapper.sh", ["-d", "-i", "RC"]),
        ("rc_test2", "managed", "pilot3-rc.tar.gz", "rc/wrapper.sh", ["-d", "-i", "RC"]),
        ("rc_alrb", "managed", "pilot3.tar.gz", "rc/wrapper.sh", ["-i", "ALRB"]),
        ("rc_other", "managed", "pilot3.tar.gz", "rc/wrapper.sh", []),
        ("rctest", "managed", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
    ],
)
def test_the_label_chooses_the_pilot(label: str, kind: str, tarball: str, wrapper: str, more: list[str]) -> None:
    made = spec({"prodSourceLabel": label})
    sources = {one.name: one.source for one in made.inputs}
    assert sources["pilot3.tar.gz"] == f"{PILOTS}/{tarball}"
    assert sources["runpilot2-wrapper.sh"] == f"{PILOTS}/{wrapper}"
    words = list(made.arguments)
    assert words[words.index("--job-type") + 1] == kind
    assert words[words.index("--pilotversion") + 2 :] == [*more, "-z", "-t", "--piloturl", "local", "--mute"]


ELSEWHERE = "https://elsewhere.example/p.tar.gz"


@pytest.mark.parametrize(
    ("label", "own", "native", "true"),
    [
        ("managed", None, f"{PILOTS}/pilot3.tar.gz", None),
        ("managed", ELSEWHERE, ELSEWHERE, ELSEWHERE),
        ("rc_test", ELSEWHERE, f"{PILOTS}/pilot3-rc.tar.gz", f"{PILOTS}/pilot3-rc.tar.gz"),
        ("ptest", None, f"{PILOTS}/pilot3-dev.tar.gz", f"{PILOTS}/pilot3-dev.tar.gz"),
    ],
)
def test_which_pilot(label: str, own: str | None, native: str, true: str | None) -> None:
    made = spec({"prodSourceLabel": label}, pilot_url=own)
    assert {one.name: one.source for one in made.inputs}["pilot3.tar.gz"] == native
    words = list(spec({"prodSourceLabel": label}, pilot_url=own, truepilot=True).arguments)
    assert (words[words.index("--piloturl") + 1] if "--piloturl" in words else None) == true


def test_a_pilot_that_nobody_configured_is_not_tried() -> None:
    job = PandaJob.parse({"PandaID": 7, "prodSourceLabel": "rc_test"})
    queue = Queue(name="Q", schedconfig="Q", pilot_url=ELSEWHERE)
    made = translate(job, queue, replace(SETTINGS, tarball_rc=None, wrapper_rc=None), BOOKED)
    sources = {one.name: one.source for one in made.inputs}
    assert (sources["pilot3.tar.gz"], sources["runpilot2-wrapper.sh"]) == (ELSEWHERE, SETTINGS.wrapper)


def test_the_tower_sends_only_the_job_file() -> None:
    assert [one.name for one in spec({"inFiles": "a", "scopeIn": "x"}).uploads] == ["pandaJobData.out"]
    made = spec({"inFiles": "a", "scopeIn": "x"}, truepilot=True)
    assert [one.name for one in made.inputs] == ["pandaJobData.out", "runpilot2-wrapper.sh"]


def test_scopes_and_names_are_quoted_in_addresses() -> None:
    made = spec({"inFiles": "a+b=c.root", "scopeIn": "user.x"})
    assert (made.inputs[-1].source or "").endswith("/user.x/a%2Bb%3Dc.root")


def test_logs_have_one_address_for_the_job_and_for_panda() -> None:
    url = log_url(SETTINGS.joblog, BOOKED, "Q", 7, "managed")
    assert url == "https://logs.test.example/act/2026-11-21/Q/7.out"
    assert {spec(truepilot=true).environment["GTAG"] for true in (False, True)} == {url}
    assert log_url(JobLog(), BOOKED, "Q", 7, "managed") is None


def test_a_native_pilot_speaks_to_nobody_and_needs_no_worker() -> None:
    worker = Worker("aCT-1", 5)
    assert set(spec(worker=worker).environment) == {"PANDA_JSID", "PILOT_NOKILL", "GTAG"}
    told = spec(worker=worker, truepilot=True).environment
    assert (told["PANDA_JSID"], told["HARVESTER_ID"], told["HARVESTER_WORKER_ID"]) == ("harvester-aCT-1", "aCT-1", "5")
    assert spec(truepilot=True).environment["PANDA_JSID"] == "act-test"


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("https://pandaserver.cern.ch:25443", ("https://pandaserver.cern.ch", "25443")),
        ("https://panda.example/", ("https://panda.example", "443")),
        ("https://[::1]:8443", ("https://[::1]", "8443")),
        ("panda.example:25443", ("https://panda.example", "25443")),
    ],
)
def test_true_pilots_hear_where_panda_is(server: str, told: tuple[str, str]) -> None:
    assert TranslateSettings.of(AppSettings(panda=Panda(server=server))).panda == told


def test_the_wrapper_may_lie_on_the_towers_machine() -> None:
    app = AppSettings(executable=Executable(wrapperurl="/opt/act/wrapper.sh", queuedata=""))
    job = PandaJob.parse({"PandaID": 7, "prodSourceLabel": "managed"})
    made = translate(job, Queue(name="Q", schedconfig="Q"), TranslateSettings.of(app), BOOKED)
    assert [one.name for one in made.uploads] == ["pandaJobData.out", "runpilot2-wrapper.sh"]
    assert {one.name for one in made.inputs} == {"pandaJobData.out", "runpilot2-wrapper.sh"}
    assert "GTAG" not in made.environment


def test_a_native_pilot_gets_its_queues_data() -> None:
    job = PandaJob.parse({"PandaID": 7, "prodSourceLabel": "managed"})
    made = translate(job, Queue(name="Q", schedconfig="Q s"), TranslateSettings.of(AppSettings()), BOOKED)
    (source,) = [one.source for one in made.inputs if one.name == "queuedata.json"]
    assert source == "http://pandaserver.cern.ch:25085/cache/schedconfig/Q%20s.all.json"

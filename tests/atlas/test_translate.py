"""PanDA jobs as JobSpecs: golden files for whole jobs, tables for the rest."""

import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from act_core.atlas.cric import Queue
from act_core.atlas.translate import TranslateSettings, log_url, translate
from act_core.atlas.wire import PandaJob
from act_core.errors import BadInput
from act_core.jobspec import JobSpec
from act_core.settings.model import AppSettings, Executable

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.json"))
BOOKED = datetime(2026, 11, 21, 23, 59, tzinfo=UTC)
PILOTS = "https://pilots.test.example"
SETTINGS = TranslateSettings(
    schedulerid="act-test",
    wrapper=f"{PILOTS}/runpilot2-wrapper.sh",
    wrapper_rc=f"{PILOTS}/rc/wrapper.sh",
    tarball=f"{PILOTS}/pilot3.tar.gz",
    tarball_rc=f"{PILOTS}/pilot3-rc.tar.gz",
    tarball_dev=f"{PILOTS}/pilot3-dev.tar.gz",
    replicas="rucio://rucio.test.example;rucioaccount=pilot/replicas/{scope}/{lfn}",
    urlprefix="https://logs.test.example/act/",
    queuedata="http://cache.test.example:25085/cache/schedconfig/{queue}.all.json",
)


def spec(job: dict[str, object] | None = None, **queue: object) -> JobSpec:
    raw: dict[str, object] = {"PandaID": 7, "prodSourceLabel": "managed", "logFile": "log.tgz"}
    described = Queue.model_validate({"name": "Q", "schedconfig": "Q"} | queue)
    return translate(PandaJob.parse(raw | (job or {})), described, SETTINGS, BOOKED)


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_golden(file: Path) -> None:
    golden = json.loads(file.read_text())
    job, queue = PandaJob.parse(golden["job"]), Queue.model_validate(golden["queue"])
    made = translate(job, queue, SETTINGS, BOOKED)
    assert made.model_dump(mode="json", exclude_defaults=True) == golden["spec"]
    (content,) = [parse_qs(one.content or "") for one in made.uploads if one.name == "pandaJobData.out"]
    assert content["PandaID"] == [str(golden["job"]["PandaID"])]


def test_there_are_golden_files_for_all_kinds() -> None:
    assert len(GOLDEN) == 6


@pytest.mark.parametrize(
    ("job", "queue", "why"),
    [
        ({}, {"truepilot": True}, "a true-pilot queue"),
        ({}, {"push": False}, "a pull queue"),
        ({"secrets": "hush"}, {}, "it carries secrets"),
        ({}, {"pilot_args": "--a 'open"}, "pilot_args"),
        ({"inFiles": "heartbeat.json,pandaJobData.out", "scopeIn": "x,x"}, {}, "'pandaJobData.out' is named twice"),
        ({"minRamCount": 10**12}, {}, "memory_mb"),
    ],
    ids=["true pilot", "pull", "secrets", "pilot_args", "file names", "memory"],
)
def test_a_job_that_cannot_run_says_why(job: dict[str, object], queue: dict[str, object], why: str) -> None:
    with pytest.raises(BadInput, match=why) as caught:
        spec(job, **queue)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("label", "kind", "tarball", "wrapper", "more"),
    [
        ("managed", "managed", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
        ("user", "user", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
        ("panda", "user", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
        ("prod_test", "managed", "pilot3.tar.gz", "runpilot2-wrapper.sh", []),
        ("ptest", "managed", "pilot3-dev.tar.gz", "runpilot2-wrapper.sh", []),
        ("rc_test", "managed", "pilot3-rc.tar.gz", "rc/wrapper.sh", ["-d", "-i", "RC"]),
        ("rc_test2", "managed", "pilot3-rc.tar.gz", "rc/wrapper.sh", ["-d", "-i", "RC"]),
        ("rc_alrb", "managed", "pilot3.tar.gz", "rc/wrapper.sh", ["-i", "ALRB"]),
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


def test_the_queue_may_name_its_own_pilot_tarball() -> None:
    made = spec({"prodSourceLabel": "rc_test"}, pilot_url="https://elsewhere.example/p.tar.gz")
    assert {one.name: one.source for one in made.inputs}["pilot3.tar.gz"] == "https://elsewhere.example/p.tar.gz"


def test_the_tower_sends_only_the_job_file() -> None:
    assert [one.name for one in spec({"inFiles": "a", "scopeIn": "x"}).uploads] == ["pandaJobData.out"]


def test_scopes_and_names_are_quoted_in_addresses() -> None:
    made = spec({"inFiles": "a+b=c.root", "scopeIn": "user.x"})
    assert (made.inputs[-1].source or "").endswith("/user.x/a%2Bb%3Dc.root")


def test_logs_have_one_address_for_the_job_and_for_panda() -> None:
    url = log_url(SETTINGS.urlprefix, BOOKED, "Q", 7)
    assert url == "https://logs.test.example/act/2026-11-21/Q/7.out"
    assert spec().environment["GTAG"] == url
    assert log_url("", BOOKED, "Q", 7) is None


def test_the_wrapper_may_lie_on_the_towers_machine() -> None:
    app = AppSettings(executable=Executable(wrapperurl="/opt/act/wrapper.sh"))
    job = PandaJob.parse({"PandaID": 7, "prodSourceLabel": "managed"})
    made = translate(job, Queue(name="Q", schedconfig="Q"), TranslateSettings.of(app), BOOKED)
    assert [one.name for one in made.uploads] == ["pandaJobData.out", "runpilot2-wrapper.sh"]
    assert {one.name for one in made.inputs} == {"pandaJobData.out", "runpilot2-wrapper.sh"}
    assert "GTAG" not in made.environment

"""Bugs of the original that concern translation, by the numbers of docs/bugs.md."""

import json
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from act_core.atlas.cric import Queue, parse_queues
from act_core.atlas.logplaces import log_url
from act_core.atlas.translate import translate
from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.jobspec import JobSpec
from act_core.settings.app_model import Cric
from act_core.simulators.cric_queues import CeDescription, QueueDescription, entry_of
from tests.atlas.goldens import BOOKED, SETTINGS, adl, classad

ARC = CeDescription(name="arc", endpoint="https://arc.test.example:443/arex", walltime_min=300)
CONDOR = CeDescription(name="htc", endpoint="htc.test.example:9619", flavour="HTCONDOR-CE", walltime_min=300)


def queue(*, condor: bool = False, native: bool = True, **fields: Any) -> Queue:
    described = QueueDescription(name="Q", ces=(CONDOR if condor else ARC,), native=native, fields=fields)
    return parse_queues(json.dumps({"Q": entry_of(described)}), Cric(), {}, {}).queues["Q"]


def spec(at: Queue, **fields: Any) -> JobSpec:
    job = PandaJob.parse({"PandaID": 7, "prodSourceLabel": "managed", "logFile": "log.tgz"} | fields)
    return translate(job, at, SETTINGS, BOOKED)


@pytest.mark.parametrize(
    ("fields", "hours"),
    [
        pytest.param({"maxtime": 10 * 3600}, 10, id="CRIC's maxtime is in seconds"),
        pytest.param({"maxtime": 0}, 5, id="the CEs' maximum is in minutes"),
        pytest.param({"maxtime": 30 * 24 * 3600}, 60 * 1.5, id="PanDA's time is in seconds"),
    ],
)
def test_bug_10_each_time_is_in_its_own_unit(fields: dict[str, Any], hours: float) -> None:
    made = spec(queue(**fields), maxCpuCount=60 * 3600)
    assert made.walltime == timedelta(hours=hours)
    (written,) = ElementTree.fromstring("".join(adl(made))).iter("{http://www.eu-emi.eu/es/2010/12/adl}WallTime")
    assert int(written.text or "") == hours * 3600


def test_bug_10_htcondor_hears_seconds_and_minutes() -> None:
    ad = classad(spec(queue(condor=True, native=False, maxtime=36000), maxCpuCount=3600))
    assert (ad["My.MaxRuntime"], ad["My.maxWallTime"]) == ("7200", "120")


def test_bug_16_no_job_gets_its_pilot_by_chance() -> None:
    made = [spec(queue(), PandaID=number) for number in range(1, 1001)]
    pilots = {one.source for job in made for one in job.inputs if one.name == "pilot3.tar.gz"}
    assert pilots == {SETTINGS.tarball}


def test_bug_19_the_log_is_told_by_the_day_on_which_the_job_was_taken() -> None:
    told = log_url(SETTINGS.joblog, BOOKED, "Q", 7, "managed")
    assert told is not None
    assert f"/{BOOKED:%Y-%m-%d}/" in told
    for at in (queue(), queue(native=False), queue(condor=True, native=False)):
        assert spec(at).environment["GTAG"] == told


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a/../b", ".hidden", "a\nb"])
@pytest.mark.parametrize("field", ["inFiles", "outFiles", "logFile"])
def test_bug_32_names_of_files_lead_nowhere_else(field: str, name: str) -> None:
    scopes = {"scopeIn": "x"} if field == "inFiles" else {}
    with pytest.raises(MalformedJob, match=field):
        spec(queue(), **scopes, **{field: name})


def test_bug_t1_the_resource_type_is_read_by_its_name() -> None:
    asked = {"resource_type": "MCORE_VHIMEM", "resourceType": "SCORE", "coreCount": 8}
    words = spec(queue(), **asked).arguments
    assert words[words.index("--resource-type") + 1] == "MCORE_VHIMEM"


def test_bug_t2_memory_for_htcondor_is_in_whole_steps() -> None:
    ad = classad(spec(queue(condor=True, native=False), minRamCount=4001, coreCount=1))
    assert (ad["request_memory"], ad["My.maxMemory"]) == ("4500", "4500")


@pytest.mark.parametrize("nothing", ["NULL", "None", "", None])
@pytest.mark.parametrize("field", ["coreCount", "minRamCount", "maxCpuCount", "maxDiskCount", "currentPriority"])
def test_bug_t3_a_number_that_is_not_there_stops_nobody(field: str, nothing: str | None) -> None:
    for at in (queue(), queue(native=False), queue(condor=True, native=False)):
        without = spec(at)
        given = spec(at, **{field: nothing})
        assert given.model_copy(update={"inputs": ()}) == without.model_copy(update={"inputs": ()})


@pytest.mark.parametrize("field", ["python_version", "pilot_version", "maxrss", "corecount", "params", "maxtime"])
def test_bug_t4_a_queue_without_a_field_runs_jobs(field: str) -> None:
    without: dict[str, Any] = {field: None}
    for at in (queue(**without), queue(native=False, **without), queue(condor=True, native=False, **without)):
        assert spec(at).walltime is not None

"""Final reports: the pilot's word, the CE's word, and what PanDA takes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from act_core.atlas.final import CODES, KILLED, KILLED_WORDS, NO_REASON, NO_WORD, UNKNOWN, Ended, code_for, final_update
from act_core.atlas.pilot_word import LONGEST, LONGEST_NAMES, MOST_FILES, Heartbeat, Reported, parse_heartbeat
from act_core.errors import BadInput
from act_core.simulators import pilot
from act_core.simulators.panda_fields import UPDATE_JOB, bind
from act_core.simulators.panda_jobs import JobOrder, render

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
START, END = NOW.timestamp() - 3600.7, NOW.timestamp() - 60.2
JOB = Ended(panda_id=5, attempt_nr=3, queue="Q", outcome="finished", now=NOW, cores=8, node="wn1")


def word(**changes: object) -> str:
    """What the simulated pilot leaves, with changes; ... takes a key away."""
    order = JobOrder(queue="Q", cores=8, outputs=2)
    raw = {key: str(value) for key, value in render(order, 5).items()}
    raw = {key: "" if value in ("None", "NULL") else value for key, value in raw.items()}
    told = pilot.PilotArguments(queue="Q", storage="https://se.example/store")
    report = pilot.produce(raw, told, pilot.Ran(START, END, cpu=12.7, node="wn-pilot")).report | changes
    return json.dumps({key: value for key, value in report.items() if value is not ...})


def heard(**changes: object) -> Heartbeat:
    return parse_heartbeat(word(**changes), 5)


def test_a_good_job_is_told_in_the_servers_names_and_types() -> None:
    body = final_update(JOB, heard(), "act").body()
    bind(UPDATE_JOB, body, query=False)
    assert (body["job_id"], body["job_status"], body["attempt_nr"], body["site_name"]) == (5, "finished", 3, "Q")
    assert (body["start_time"], body["end_time"]) == ("2026-11-21 10:59:59", "2026-11-21 11:58:59")
    assert (body["node"], body["core_count"], body["cpu_consumption_time"]) == ("wn1", 8, 12)
    assert (body["max_rss"], body["avg_rss"], body["cpu_conversion_factor"]) == (200000, 150000.5, 1)
    assert (body["scheduler_id"], body["pilot_error_code"]) == ("act", 0)
    assert len(json.loads(str(body["job_output_report"]))) == 3
    assert "files" in json.loads(str(body["meta_data"]))
    assert not {"remainingSpace", "workdir", "timestamp", "batch_id"} & set(body)


def test_the_files_to_check() -> None:
    first, *_, log = heard().outputs
    assert (first.lfn, first.size, len(first.adler32 or "")) == ("HITS.4711._000000005_1.pool.root.1", 1000, 8)
    where = ("https://se.example/store/mc23_13p6TeV", "/", "log.4711._000000005.job.log.tgz")
    assert (log.url or "").rpartition("/") == where


def test_leading_zeros_of_checksums_come_back() -> None:
    files = {"a": {"fsize": "10", "adler32": "AB", "surl": "https://x/a"}, "b": {}}
    assert heard(xml=json.dumps(files)).outputs == (
        Reported("a", "https://x/a", 10, "000000ab"),
        Reported("b", None, None, None),
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "no object"),
        (word(jobId="6"), "about job '6'"),
        (word(jobId=...), "about job 'None'"),
        (word(xml="{"), "xml is not JSON"),
        (word(xml="[]"), "xml is no list of files"),
        (word(xml='{"a": 5}'), "'a' is no object"),
        (word(xml={"a": {"surl": "x" * LONGEST_NAMES}}), "names of its files are too long"),
        (word(xml={str(n): {} for n in range(MOST_FILES + 1)}), "xml is no list of files"),
    ],
    ids=range(1, 11),
)
def test_a_report_that_is_none(content: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        parse_heartbeat(content, 5)


def test_values_without_a_form_that_panda_takes_are_dropped_and_named() -> None:
    found = heard(nEvents="many", maxRSS=float("nan"), coreCount=10**12, jobMetrics=[1], pilotLog=True, foo="bar")
    assert set(found.dropped) == {"n_events", "max_rss", "core_count", "pilot_log"}
    body = final_update(JOB, found, "act").body()
    bind(UPDATE_JOB, body, query=False)
    assert (body["core_count"], body["job_metrics"]) == (8, "[1]")
    assert "foo" not in body


@pytest.mark.parametrize("absurd", [1e300, -1, -1e300, float("inf"), "1e300", "much", [1], {"kB": 1}, True, 10**400])
@pytest.mark.parametrize("name", ["maxRSS", "avgPSS", "totRBYTES", "rateWCHAR", "cpuConversionFactor", "nEvents"])
def test_absurd_amounts_are_left_out_and_named_and_block_nothing(name: str, absurd: object) -> None:
    found = heard(**{name: absurd}, pilotErrorDiag="all well")
    (dropped,) = found.dropped
    body = final_update(JOB, found, "act").body()
    bind(UPDATE_JOB, body, query=False)
    assert dropped not in body
    assert body["pilot_error_diag"] == f"all well [no value for PanDA, left out: {dropped}]"
    assert body["job_status"] == "finished"


def test_every_field_can_be_absurd_at_once_and_the_note_still_fits() -> None:
    amounts = [name for name, field in UPDATE_JOB.parameters.items() if int in field.kinds]
    absurd = {name.replace("_", ""): 1e300 for name in amounts if name not in ("job_id", "attempt_nr", "timeout")}
    found = heard(**absurd, pilotErrorDiag="d" * 600, jobMetrics=True, grid=True)
    body = final_update(JOB, found, "act").body()
    bind(UPDATE_JOB, body, query=False)
    assert len(found.dropped) == len(absurd) + 2
    said = str(body["pilot_error_diag"])
    assert (len(said), said[:9], said[-1]) == (500, "d" * 9, "]")


def test_a_ce_with_an_absurd_cpu_time_blocks_no_report() -> None:
    assert "cpu_consumption_time" not in final_update(replace(JOB, outcome="failed", cpu_s=2**40), None, "act").body()


def test_texts_that_no_database_takes_are_left_out_and_named() -> None:
    body = final_update(JOB, heard(pilotErrorDiag="d" * 600, metaData="x" * LONGEST["meta_data"]), "act").body()
    assert "meta_data" not in body
    assert str(body["pilot_error_diag"]).endswith("d [too long for the tower, left out: meta_data]")
    assert len(str(body["pilot_error_diag"])) == 500
    killed = final_update(replace(JOB, outcome="killed"), heard(metaData="x" * LONGEST["meta_data"]), "act").body()
    assert killed["pilot_error_diag"] == KILLED_WORDS


@pytest.mark.parametrize("nothing", [None, "", "NULL", ...])
def test_no_list_of_files_is_an_empty_one(nothing: object) -> None:
    assert heard(xml=nothing).outputs == ()


@pytest.mark.parametrize("time", [0, -5, "x", None, True, 1e300, (NOW + timedelta(days=2)).timestamp()])
def test_a_time_that_cannot_be_is_the_ces(time: object) -> None:
    job = replace(JOB, started=NOW - timedelta(hours=2), ended=NOW - timedelta(hours=1))
    body = final_update(job, heard(startTime=time, endTime=time), "act").body()
    assert (body["start_time"], body["end_time"]) == ("2026-11-21 10:00:00", "2026-11-21 11:00:00")


def test_the_pilots_failure_stands() -> None:
    failed = heard(state="failed", pilotErrorCode=1305, pilotErrorDiag="payload", exeErrorCode=65, exeErrorDiag="x")
    for job in (JOB, replace(JOB, outcome="failed", error="LRMS error: (1) job failed")):
        body = final_update(job, failed, "act").body()
        assert (body["job_status"], body["pilot_error_code"], body["pilot_error_diag"]) == ("failed", 1305, "payload")
        assert body["exe_error_code"] == 65


def test_a_pilot_that_died_halfway_leaves_the_ces_word() -> None:
    job = replace(JOB, outcome="failed", error="job killed: walltime exceeded")
    body = final_update(job, heard(state="running"), "act").body()
    assert (body["job_status"], body["pilot_error_code"]) == ("failed", 1213)
    assert body["pilot_error_diag"] == "job killed: walltime exceeded"
    silent = final_update(JOB, heard(state="failed"), "act").body()
    assert (silent["job_status"], silent["pilot_error_diag"]) == ("failed", NO_REASON)


def test_outputs_that_are_not_on_storage_fail_a_job_that_its_pilot_calls_good() -> None:
    job = replace(JOB, outcome="failed", error="HITS.1 is missing on storage", code=1137)
    body = final_update(job, heard(), "act").body()
    assert (body["job_status"], body["pilot_error_code"]) == ("failed", 1137)
    assert body["pilot_error_diag"] == "HITS.1 is missing on storage"


def test_a_job_without_a_pilots_word() -> None:
    job = replace(JOB, cpu_s=16000, wall_s=1000, ended=NOW, log_url="https://l/5.out", pilot_log="x" * 5000)
    body = final_update(job, None, "act").body()
    bind(UPDATE_JOB, body, query=False)
    assert (body["job_status"], body["pilot_error_code"], body["pilot_error_diag"]) == ("failed", UNKNOWN, NO_WORD)
    assert body["pilot_id"] == "https://l/5.out|Unknown|Unknown|Unknown|Unknown"
    assert (body["cpu_consumption_time"], body["pilot_timing"], body["node"]) == (16000, "0|0|2000|0|0|0", "wn1")
    assert (body["start_time"], body["end_time"]) == ("2026-11-21 11:26:40", "2026-11-21 12:00:00")
    assert len(str(body["pilot_log"])) == 1024


def test_a_job_that_nobody_measured_still_has_times() -> None:
    body = final_update(replace(JOB, cores=1, outcome="failed"), None, "act").body()
    assert body["start_time"] == body["end_time"] == "2026-11-21 12:00:00"


@pytest.mark.parametrize("heartbeat", [None, "good"])
def test_a_killed_job(heartbeat: str | None) -> None:
    job = replace(JOB, outcome="killed", started=NOW - timedelta(hours=1))
    body = final_update(job, heard() if heartbeat else None, "act").body()
    assert (body["job_status"], body["pilot_error_code"]) == ("failed", KILLED)
    assert "killed" in str(body["pilot_error_diag"])
    assert "job_output_report" not in body


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("LRMS error: (271) job killed: wall", 1213),
        ("job killed: walltime exceeded", 1213),
        ("Walltime limit exceeded", 1213),
        ("DUE TO TIME LIMIT", 1213),
        ("Job exceeded time limit", 1213),
        ("job killed: cput", 1204),
        ("CPU time limit exceeded", 1204),
        ("slurmstepd: error: Detected 1 oom-kill event(s)", 1212),
        ("Out of memory", 1212),
        ("job killed: vmem", 1235),
        ("Job exceeded requested memory", 1235),
        ("memory limit exceeded", 1235),
        ("write: No space left on device", 1098),
        ("User proxy expired", 1163),
        ("Data staging failed (pre-processing)", 1099),
        ("Failed in files download (pre-processing)", 1099),
        ("Failed to download rucio://x", 1099),
        ("User file: /.act-commit - Timeout waiting", 1099),
        ("Data staging failed (post-processing)", 1137),
        ("Failed in files upload (post-processing)", 1137),
        ("Failed to upload output file", 1137),
        ("job was preempted", 1379),
        ("LRMS error: (137) Node fail", 1344),
        ("killed by signal 9", 1200),
        ("killed by signal 15", 1201),
        ("killed by signal 11", 1203),
        ("LRMS error: (1) something", UNKNOWN),
        ("", UNKNOWN),
        (None, UNKNOWN),
    ],
)
def test_the_ces_words_as_codes(error: str | None, code: int) -> None:
    assert code_for(error) == code


def test_every_code_has_a_meaning() -> None:
    assert all(rule.meaning and 1000 <= rule.code < 2000 for rule in CODES)

"""What A-REX tells of a job and of itself: documents, control files, GLUE2."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from act_core.ce import arc_dialect as dialect
from act_core.ce.base import Capacity, Facts

FINISHED = {
    "ID": "urn:caid:localhost:org.nordugrid.arcrest:xmj",
    "Name": "ok",
    "OtherInfo": "SubmittedVia=org.nordugrid.arcrest",
    "State": ["nordugrid:FINISHED", "file:finished", "bes:Finished", "arcrest:FINISHED", "emies:terminal"],
    "ExitCode": "0",
    "RequestedSlots": "4",
    "ExecutionNode": "vm",
    "Queue": "fork",
    "UsedTotalWallTime": "40",
    "UsedTotalCPUTime": "31",
    "UsedMainMemory": "2048",
    "SubmissionTime": "2026-11-21T00:34:54Z",
    "StartTime": "2026-11-21T00:34:56Z",
    "ComputingManagerEndTime": "2026-11-21T00:34:58Z",
    "EndTime": "2026-11-21T00:34:59Z",
}
DIAG = "nodename=n1\nnodename=n2\nProcessors=2\nWallTime=12.75s\nUserTime=9s\nKernelTime=2s\nMaxResidentMemory=77kB\n"
TIMES = "LRMSStartTime=20261121003456Z\nLRMSEndTime=20261121003508Z\nexitcode=3\n"


def _at(second: int) -> datetime:
    return datetime(2026, 11, 21, 0, 34, second, tzinfo=UTC)


@pytest.mark.parametrize(
    "entry",
    [{}, {"info_document": ""}, {"info_document": {}}, {"info_document": {"ComputingActivity": ""}}],
    ids=["nothing", "an unknown job", "an empty document", "an empty activity"],
)
def test_a_document_that_says_nothing(entry: dict[str, Any]) -> None:
    assert dialect.activity(entry) == {}
    assert dialect.name_of(entry) is None
    assert dialect.facts(dialect.activity(entry)) == Facts(complete=False)


def test_a_finished_job() -> None:
    entry = {"info_document": {"ComputingActivity": FINISHED}}
    assert dialect.name_of(entry) == "ok"
    assert dialect.facts(dialect.activity(entry)) == Facts(
        complete=True,
        exit_code=0,
        node="vm",
        queue="fork",
        wall_s=10,  # it is told as a sum over the slots
        cpu_s=31,
        memory_kb=2048,
        cores=4,
        started=_at(56),
        ended=_at(58),
    )


@pytest.mark.parametrize(
    ("said", "name", "fact"),
    [
        pytest.param({"State": "arcrest:RUNNING"}, "complete", False, id="it runs"),
        pytest.param({"State": "arcrest:KILLED", "ExitCode": ""}, "complete", True, id="a single state"),
        pytest.param({"ExitCode": ""}, "complete", False, id="an end without its exit code"),
        pytest.param({"ExitCode": "3"}, "complete", True, id="an end"),
        pytest.param({"ExitCode": "", "Error": "why"}, "complete", True, id="an end that never ran"),
        pytest.param({"State": ["emies:terminal"]}, "complete", False, id="no state of this interface"),
        pytest.param({"ExitCode": "-1"}, "exit_code", -1, id="a negative exit code"),
        pytest.param({"ExitCode": "what"}, "exit_code", None, id="no exit code"),
        pytest.param({"Error": "LRMS error: (3)"}, "error", "LRMS error: (3)", id="one error"),
        pytest.param({"Error": ["a", " b "]}, "error", "a; b", id="two errors"),
        pytest.param({"Error": []}, "error", None, id="no error"),
        pytest.param({"ExecutionNode": ["n1", "n2"]}, "node", "n1,n2", id="two nodes"),
        pytest.param({"LocalIDFromManager": "4711.ce"}, "batch_id", "4711.ce", id="its id in the batch system"),
        pytest.param({"RestartState": "arcrest:PREPARING"}, "restart_at", "PREPARING", id="it can be restarted"),
        pytest.param({"RestartState": ["a:b", "arcrest:FINISHING"]}, "restart_at", "FINISHING", id="from the end"),
        pytest.param({"RestartState": "arcrest:RUNNING"}, "restart_at", None, id="not from the batch system"),
        pytest.param({"RequestedSlots": "0"}, "cores", None, id="no slots"),
        pytest.param({"RequestedSlots": "-4"}, "cores", None, id="less than no slots"),
        pytest.param({"RequestedSlots": "0"}, "wall_s", 40, id="wall time without slots"),
        pytest.param({"UsedTotalWallTime": ""}, "wall_s", 2, id="wall time from the times"),
        pytest.param({"UsedTotalWallTime": "", "StartTime": ""}, "wall_s", None, id="no wall time"),
        pytest.param({"UsedTotalWallTime": "-4"}, "wall_s", None, id="a negative wall time"),
        pytest.param({"UsedTotalCPUTime": "40000001"}, "cpu_s", None, id="an absurd CPU time"),
        pytest.param({"UsedTotalCPUTime": "40000000"}, "cpu_s", 40_000_000, id="a large CPU time"),
        pytest.param({"UsedTotalCPUTime": "-1"}, "cpu_s", None, id="a negative CPU time"),
        pytest.param({"UsedTotalCPUTime": "9" * 30}, "cpu_s", None, id="a CPU time without end"),
        pytest.param({"UsedMainMemory": "8000000000"}, "memory_kb", 8_000_000_000, id="much memory"),
        pytest.param({"UsedMainMemory": "-1"}, "memory_kb", None, id="negative memory"),
        pytest.param({"ComputingManagerEndTime": ""}, "ended", _at(59), id="the end as the CE saw it"),
        pytest.param({"StartTime": "2026-13-45T00:00:00Z"}, "started", None, id="no time"),
    ],
)
def test_facts(said: dict[str, Any], name: str, fact: object) -> None:
    assert getattr(dialect.facts(FINISHED | said), name) == fact


def test_control_files_of_a_job_that_failed() -> None:
    found = dialect.control_files(DIAG + TIMES, "LRMS error:\n (3) Job finished\n", "failedstate=PREPARING\n")
    assert found == Facts(
        complete=True,
        exit_code=3,
        error="LRMS error: (3) Job finished",
        node="n2",
        wall_s=12,
        cpu_s=11,
        memory_kb=77,
        cores=2,
        started=_at(56),
        ended=datetime(2026, 11, 21, 0, 35, 8, tzinfo=UTC),
        restart_at="PREPARING",
    )


@pytest.mark.parametrize(
    ("diag", "failed", "local", "facts"),
    [
        pytest.param("", "", "", Facts(complete=False), id="a living job"),
        pytest.param("exitcode=0\n", "", "", Facts(exit_code=0), id="a good end"),
        pytest.param("", "killed", "", Facts(error="killed"), id="an end without numbers"),
        pytest.param("", "", "failedstate=FINISHING", Facts(complete=False), id="restarted since"),
        pytest.param("", "x", "failedstate=INLRMS", Facts(error="x"), id="failed in the batch system"),
        pytest.param("", "x", "localid=4711", Facts(error="x", batch_id="4711"), id="its id in the batch system"),
        pytest.param("WallTime=-3s\nProcessors=0\nMaxResidentMemory=\n", "", "", Facts(complete=False), id="nonsense"),
        pytest.param("AverageTotalMemory=5kB\n", "", "", Facts(complete=False, memory_kb=5), id="the average"),
        pytest.param("=\n==\nno sign\n\x00=\x00\n", "", "", Facts(complete=False), id="rubbish"),
    ],
)
def test_control_files(diag: str, failed: str, local: str, facts: Facts) -> None:
    assert dialect.control_files(diag, failed, local) == facts


def test_a_late_document_adds_what_does_not_change() -> None:
    fresh = Facts(exit_code=3, error="x", wall_s=5, node="n1")
    late = Facts(complete=False, exit_code=0, queue="fork", node="n0", cores=2, started=_at(56), wall_s=1)
    whole = Facts(exit_code=3, error="x", wall_s=5, node="n1", queue="fork", cores=2, started=_at(56))
    assert dialect.together(fresh, late) == whole


SHARE = {"Name": "fork", "MappingQueue": "fork", "FreeSlots": "3"}
VIEW = {"Name": "fork_atlas", "MappingQueue": "fork", "FreeSlots": "9", "MappingPolicy": {"ID": "urn:x"}}
MANAGER = {"ProductName": "slurm", "ProductVersion": "23.11", "TotalSlots": "16"}


def _glue(shares: object, manager: object = MANAGER, many: bool = False) -> bytes:
    service: object = {"RunningJobs": "5", "WaitingJobs": "2", "ComputingShare": shares, "ComputingManager": manager}
    service = [service] if many else service
    return json.dumps({"Domains": {"AdminDomain": {"Services": {"ComputingService": service}}}}).encode()


@pytest.mark.parametrize("many", [False, True], ids=["bare elements", "lists"])
def test_the_size_of_a_ce(many: bool) -> None:
    body = _glue([SHARE, VIEW] if many else SHARE, [MANAGER] if many else MANAGER, many)
    assert dialect.capacity(body) == Capacity(16, 3, 5, 2, "slurm 23.11", ("fork",))


@pytest.mark.parametrize(
    ("shares", "free", "queues"),
    [
        pytest.param([SHARE, SHARE | {"MappingQueue": "long", "FreeSlots": "7"}], 7, ("fork", "long"), id="two queues"),
        pytest.param([SHARE, SHARE], 3, ("fork",), id="a queue twice"),
        pytest.param(VIEW, 9, ("fork",), id="views of organisations alone"),
        pytest.param({"Name": "x"}, None, (), id="a share that says nothing"),
        pytest.param("", None, (), id="no shares"),
    ],
)
def test_shares(shares: object, free: int | None, queues: tuple[str, ...]) -> None:
    capacity = dialect.capacity(_glue(shares))
    assert (capacity.free_slots, capacity.queues) == (free, queues)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"Domains":[1,"a",null]}', b"[[]]"])
def test_a_ce_that_tells_no_size(body: bytes) -> None:
    assert dialect.capacity(body) == Capacity()

"""What recorded ads of HTCondor 23.9 mean."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from act_core.ce import htcondor_dialect as dialect
from act_core.ce.base import Capacity, Facts, RemoteId, Seen
from act_core.states import CeState

S = CeState
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
PATIENCE = timedelta(minutes=10)
KEY = "act-tower001-01m7yztpdqx95tjaestpb4dd4f"
NAMED = {"GlobalJobId": "submit@localhost#1.0#1795262601", "ActKey": KEY, "QDate": EPOCH - 600}
GRID = NAMED | {"GridResource": "condor ce@localhost localhost:29619", "ExitBySignal": False}
AT_CE = GRID | {"GridJobId": "condor ce@localhost localhost:29619 5.0"}
OVER = {"JobStatus": 4, "GridJobStatus": "COMPLETED", "CompletionDate": EPOCH - 10, "ExitBySignal": False}
HELD = NAMED | {"JobStatus": 5}

STATES = [
    pytest.param(GRID | {"JobStatus": 1}, S.SUBMITTED, "IDLE", id="idle, not at the CE"),
    pytest.param(AT_CE | {"JobStatus": 1, "GridJobStatus": "IDLE"}, S.SUBMITTED, "IDLE/IDLE", id="idle at the CE"),
    pytest.param(AT_CE | {"JobStatus": 2, "GridJobStatus": "RUNNING"}, S.RUNNING, "RUNNING/RUNNING", id="running"),
    pytest.param(
        AT_CE | {"JobStatus": 2, "GridJobStatus": "COMPLETED", "ExitCode": 3},
        S.FINISHING, "RUNNING/COMPLETED", id="over at the CE, outputs are on their way",
    ),
    pytest.param(NAMED | {"JobStatus": 6}, S.FINISHING, "TRANSFERRING_OUTPUT", id="transferring output"),
    pytest.param(NAMED | {"JobStatus": 7}, S.HOLDING, "SUSPENDED", id="suspended"),
    pytest.param(AT_CE | {"JobStatus": 2, "GridJobStatus": "HELD"}, S.HOLDING, "RUNNING/HELD", id="held at the CE"),
    pytest.param(AT_CE | OVER | {"ExitCode": 0}, S.FINISHED, "COMPLETED", id="well"),
    pytest.param(AT_CE | OVER | {"ExitCode": 3}, S.FAILED, "COMPLETED", id="exit code"),
    pytest.param(NAMED | {"JobStatus": 4, "ExitBySignal": True, "ExitSignal": 9}, S.FAILED, "COMPLETED", id="signal"),
    pytest.param(NAMED | {"JobStatus": 4}, S.FAILED, "COMPLETED", id="completed without a word"),
    pytest.param(AT_CE | {"JobStatus": 3}, None, "REMOVED, not confirmed", id="removed, the CE is still to say so"),
    pytest.param(AT_CE | {"JobStatus": 3, "JobFinishedHookDone": EPOCH}, S.CANCELLED, "REMOVED", id="removed"),
    pytest.param(
        AT_CE | OVER | {"JobStatus": 3, "LastJobStatus": 4, "ExitCode": 0}, S.FINISHED, "REMOVED",
        id="removed after its end",
    ),
    pytest.param(
        AT_CE | OVER | {"JobStatus": 3, "LastJobStatus": 2, "ExitCode": 0, "JobFinishedHookDone": EPOCH},
        S.CANCELLED, "REMOVED", id="removed before its outputs had come",
    ),
    pytest.param(HELD | {"HoldReasonCode": 15}, S.SUBMITTED, "HELD, waits for its inputs", id="submitted on hold"),
    pytest.param(HELD | {"HoldReasonCode": 16}, S.SUBMITTED, "HELD, waits for its inputs", id="spooling"),
    pytest.param(
        HELD | {"HoldReasonCode": 1, "HoldReasonSubCode": 7310}, S.SUBMITTED, "HELD, waits for its inputs",
        id="held by us",
    ),
    pytest.param(
        NAMED | {"JobStatus": 1, "ActCommitted": False}, S.SUBMITTED, "IDLE, waits for its inputs", id="guarded",
    ),
    pytest.param(HELD | {"HoldReasonCode": 1, "HoldReasonSubCode": 0}, S.HOLDING, "HELD 1/0", id="held by somebody"),
    pytest.param(HELD | {"HoldReasonCode": 13, "HoldReasonSubCode": 2}, S.HOLDING, "HELD 13/2", id="stage-in failed"),
    pytest.param(HELD | {"HoldReasonCode": 34, "HoldReasonSubCode": 102}, S.HOLDING, "HELD 34/102", id="memory"),
    pytest.param(HELD, S.HOLDING, "HELD 0/0", id="held without a code"),
    pytest.param(NAMED | {"JobStatus": 9}, None, "JobStatus 9", id="a status that does not exist"),
    pytest.param(NAMED, None, "JobStatus None", id="no status"),
]  # fmt: skip


@pytest.mark.parametrize(("ad", "state", "native"), STATES)
def test_states(ad: dict[str, Any], state: CeState | None, native: str) -> None:
    assert dialect.seen(ad, NOW, PATIENCE) == Seen(state, native)


@pytest.mark.parametrize(
    ("minutes", "native", "told"),
    [
        pytest.param(9, "IDLE", False, id="within patience"),
        pytest.param(11, "IDLE, CE unreachable", True, id="beyond it"),
    ],
)
def test_a_ce_that_is_away_moves_nothing(minutes: int, native: str, told: bool) -> None:
    ad = GRID | {"JobStatus": 1, "GridResourceUnavailableTime": EPOCH - 60 * minutes}
    assert dialect.seen(ad, NOW, PATIENCE) == Seen(S.SUBMITTED, native)
    words = "condor ce@localhost localhost:29619 cannot be reached, or refuses the credential, for 660 s"
    assert dialect.facts(ad, NOW, PATIENCE).error == (words if told else None)


TEXT = "Error sending files to schedd ce@localhost: DCSchedd::spoolJobFiles:7002:File transfer\n failed"
ERRORS = [
    pytest.param(HELD | {"HoldReasonCode": 0, "HoldReason": TEXT}, f"hold 0/0: {' '.join(TEXT.split())}", id="grid"),
    pytest.param(
        HELD | {"HoldReasonCode": 13, "HoldReasonSubCode": 2, "HoldReason": "no such file"},
        "hold 13/2: no such file", id="input",
    ),
    pytest.param(HELD | {"HoldReasonCode": 47}, "hold 47/0: execution time", id="without a text"),
    pytest.param(HELD | {"HoldReasonCode": 99}, "hold 99/0: no reason is told", id="an unknown code"),
    pytest.param(HELD | {"HoldReasonCode": 15, "HoldReason": "on hold at user's request"}, None, id="our own hold"),
    pytest.param(NAMED | OVER | {"ExitCode": 3}, "exit code 3", id="exit code"),
    pytest.param(NAMED | OVER | {"ExitCode": 0}, None, id="well"),
    pytest.param(
        NAMED | OVER | {"ExitBySignal": True, "ExitSignal": 9}, "the payload was ended by signal 9", id="signal",
    ),
    pytest.param(
        NAMED | {"JobStatus": 3, "RemoveReason": "cancelled (by user op)"}, "removed: cancelled (by user op)",
        id="removed",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("ad", "error"), ERRORS)
def test_errors(ad: dict[str, Any], error: str | None) -> None:
    assert dialect.facts(ad, NOW, PATIENCE).error == error


def test_facts_of_a_job_that_is_over() -> None:
    ad = AT_CE | OVER | {
        "ExitCode": 0, "RemoteWallClockTime": 61.0, "RemoteUserCpu": 50.4, "RemoteSysCpu": 2.7, "MemoryUsage": 512,
        "ResidentSetSize": 4750, "CpusProvisioned": 2, "JobCurrentStartDate": EPOCH - 71,
        "LastRemoteHost": "slot1_1@wn7.example.org", "queue": "long",
    }  # fmt: skip
    assert dialect.facts(ad, NOW, PATIENCE) == Facts(
        exit_code=0,
        node="wn7.example.org",
        queue="long",
        wall_s=61,
        cpu_s=52,
        memory_kb=512 * 1024,
        cores=2,
        started=NOW - timedelta(seconds=71),
        ended=NOW - timedelta(seconds=10),
    )


@pytest.mark.parametrize(
    ("ad", "field", "value"),
    [
        pytest.param(AT_CE | OVER | {"ExitCode": 0, "JobStartDate": EPOCH - 70}, "wall_s", 60, id="no wall time told"),
        pytest.param(NAMED | {"ResidentSetSize": 4750, "ImageSize": 9000}, "memory_kb", 4750, id="resident size"),
        pytest.param(NAMED | {"ImageSize": 9000}, "memory_kb", 9000, id="image size"),
        pytest.param(NAMED | {"RemoteUserCpu": 1e30}, "cpu_s", None, id="a number that is none"),
        pytest.param(NAMED | {"CompletionDate": 0}, "ended", None, id="not completed"),
        pytest.param(HELD | {"HoldReasonCode": 13}, "restart_at", "hold 13/0", id="can be let go"),
        pytest.param(HELD | {"HoldReasonCode": 15}, "restart_at", None, id="not committed"),
    ],
)
def test_facts(ad: dict[str, Any], field: str, value: object) -> None:
    assert getattr(dialect.facts(ad, NOW, PATIENCE), field) == value


def test_a_remote_id_is_the_global_one_and_our_key() -> None:
    made = dialect.remote_id(NAMED)
    assert made == f"submit@localhost#1.0#1795262601#{KEY}"
    assert made is not None
    assert dialect.parsed(made) == ("submit@localhost#1.0#1795262601", "1.0", 1795262601, KEY)
    assert dialect.by_id([NAMED, {"GlobalJobId": "a#1.0#2"}]) == {made: NAMED}


@pytest.mark.parametrize("text", ["", "..", "1.0", "a#1.0#5", f"a b#1.0#5#{KEY}", f'a"#1#5#{KEY}', f"a#1.0#5#{KEY}\n"])
def test_what_is_no_remote_id(text: str) -> None:
    assert dialect.parsed(text) is None


def test_constraints_are_built_of_quoted_texts() -> None:
    assert dialect.of_site('a"b\\') == 'ActSite =?= "a\\"b\\\\"'
    assert dialect.of_site("a", "ClusterId == 1") == 'ActSite =?= "a" && ClusterId == 1'
    remote = dialect.parsed(RemoteId(f"s#1.0#1795262601#{KEY}"))
    assert remote is not None
    constraint, since = dialect.in_history([remote])
    assert constraint == 'ActCleaned =!= true && member(GlobalJobId, {"s#1.0#1795262601"})'
    assert since == f"EnteredCurrentStatus < {1795262601 - 86400}"


@pytest.mark.parametrize(
    ("ad", "husk"),
    [
        pytest.param(HELD | {"HoldReasonCode": 16}, True, id="its files have not come"),
        pytest.param(HELD | {"HoldReasonCode": 16, "StageInFinish": EPOCH}, False, id="they have"),
        pytest.param(HELD | {"HoldReasonCode": 15}, False, id="not spooled at all"),
    ],
)
def test_half_spooled(ad: dict[str, Any], husk: bool) -> None:
    assert dialect.unspooled(ad) is husk


def test_capacity() -> None:
    said = {
        "CondorVersion": "$CondorVersion: 23.9.6 2026-07-12 $", "TotalRunningJobs": 3, "TotalIdleJobs": 1,
        "slots": [
            {"SlotType": "Partitionable", "TotalSlotCpus": 16, "Cpus": 13, "State": "Unclaimed"},
            {"SlotType": "Dynamic", "Cpus": 3, "State": "Claimed"},
            {"SlotType": "Static", "Cpus": 4, "State": "Claimed"},
        ],
    }  # fmt: skip
    assert dialect.capacity(said, slots=True) == Capacity(20, 13, 3, 1, "23.9.6 2026-07-12")
    assert dialect.capacity(said, slots=False) == Capacity(version="23.9.6 2026-07-12")


def test_an_ad_as_text() -> None:
    assert dialect.as_text({"b": 'x"y', "A": 1, "c": True}) == 'A = 1\nb = "x\\"y"\nc = true\n'

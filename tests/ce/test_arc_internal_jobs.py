"""What control files of an A-REX on the same host tell, whose jobs they are, and the wishes that are left there."""

from datetime import UTC, datetime

import pytest

from act_core.ce.base import (
    Accepted,
    Facts,
    FetchPlan,
    Gone,
    Refused,
    TowerId,
)
from act_core.states import CeState
from tests.ce.arc_host import COMMIT, JOB, NAME, OTHER, TOWER, Host, document

S = CeState


@pytest.mark.parametrize(
    ("word", "files", "state", "native"),
    [
        pytest.param("ACCEPTED", {}, S.SUBMITTED, "ACCEPTING", id="accepted"),
        pytest.param("PENDING:PREPARING", {}, S.SUBMITTED, "PREPARED", id="prepared"),
        pytest.param("SUBMIT", {}, S.SUBMITTED, "SUBMITTING", id="being submitted"),
        pytest.param("INLRMS", {}, S.SUBMITTED, "QUEUING", id="no document yet"),
        pytest.param("INLRMS", {"xml": document("ACCEPTED")}, S.SUBMITTED, "QUEUING", id="a document from before"),
        pytest.param("INLRMS", {"xml": document("RUNNING")}, S.RUNNING, "RUNNING", id="running"),
        pytest.param("INLRMS", {"xml": document("HELD")}, S.HOLDING, "HELD", id="held"),
        pytest.param("INLRMS", {"xml": "<half"}, S.SUBMITTED, "QUEUING", id="a document that is no XML"),
        pytest.param("INLRMS", {"xml": "<!DOCTYPE a><a/>"}, S.SUBMITTED, "QUEUING", id="a document with a type"),
        pytest.param("PENDING:INLRMS", {}, S.RUNNING, "EXECUTED", id="executed"),
        pytest.param("CANCELING", {}, None, "KILLING", id="being killed"),
        pytest.param("FINISHING", {}, S.FINISHING, "FINISHING", id="stage-out"),
        pytest.param("FINISHED", {}, S.FINISHED, "FINISHED", id="finished"),
        pytest.param("FINISHED", {"failed": "LRMS error: (3) x\n"}, S.FAILED, "FAILED", id="failed"),
        pytest.param(
            "FINISHED", {"failed": "Job is canceled by external request\n"}, S.CANCELLED, "KILLED", id="killed"
        ),
        pytest.param("DELETED", {}, S.LOST, "WIPED", id="wiped"),
        pytest.param("", {}, None, "", id="while it is written"),
        pytest.param("NEWSTATE", {}, None, "NEWSTATE", id="a word that we do not know"),
    ],
)
async def test_states(host: Host, word: str, files: dict[str, str], state: CeState | None, native: str) -> None:
    job = host.job(JOB, NAME, word, files)
    found = (await host.ce().states([job]))[job]
    assert (found.state, found.native) == (state, native)
    over = state in (S.FINISHED, S.FAILED, S.CANCELLED, S.LOST)
    assert await host.ce().ended([job]) == ({job: found} if over else {})


async def test_a_job_that_moves_is_neither_told_nor_gone(host: Host) -> None:
    job = host.job(JOB, NAME, "PREPARING")
    host.status("processing", job).unlink()
    ce = host.ce()
    assert (await ce.states([job]))[job].state is None
    assert (await ce.cancel([job]))[job] == Accepted()
    assert isinstance((await ce.clean([job]))[job], Refused)
    answer = (await ce.put_inputs({job: [COMMIT]}))[job]
    assert isinstance(answer, Refused)
    assert not answer.for_good


async def test_what_an_ended_job_says(host: Host) -> None:
    files = {
        "xml": document("RUNNING"),
        "diag": "nodename=vm\nProcessors=1\nWallTime=8.00s\nKernelTime=0.50s\nUserTime=2.00s\n"
        "MaxResidentMemory=1544kB\nLRMSStartTime=20261121113854Z\nLRMSEndTime=20261121113902Z\nwalltime=8\nexitcode=3\n",
        "failed": "LRMS error: (3) Job finished with wrong exit code - 3 != 0\n",
        "local": "failedstate=INLRMS\nrerun=2\n",
    }
    job = host.job(JOB, NAME, "FINISHED", files)
    facts = (await host.ce().details([job]))[job]
    assert facts == Facts(
        exit_code=3, error="LRMS error: (3) Job finished with wrong exit code - 3 != 0", node="vm", queue="fork",
        wall_s=8, cpu_s=2, memory_kb=1544, cores=1, started=datetime(2026, 11, 21, 11, 38, 54, tzinfo=UTC),
        ended=datetime(2026, 11, 21, 11, 39, 2, tzinfo=UTC),
    )  # fmt: skip


async def test_what_a_running_job_says(host: Host) -> None:
    job = host.job(JOB, NAME, "INLRMS", {"xml": document("RUNNING")})
    facts = (await host.ce().details([job]))[job]
    assert (facts.complete, facts.node, facts.queue, facts.cores) == (False, "node7", "fork", 2)


async def test_ours_and_others(host: Host) -> None:
    mine = host.job(JOB, NAME, "INLRMS")
    known = host.job("1" * 12, NAME, "INLRMS")
    host.job("2" * 12, OTHER, "INLRMS")
    host.job("3" * 12, "of a REST user", "ACCEPTED")
    host.job("4" * 54, "with a long id", "FINISHED")
    host.job("5" * 12, NAME, "DELETED")
    (nameless := host.file("6" * 12, "description")).parent.mkdir(parents=True, exist_ok=True)
    nameless.touch()
    host.status("accepting", "6" * 12).write_text("ACCEPTED")
    ce = host.ce()
    for _ in range(2):  # the second one from memory
        listing = await ce.list_mine(TOWER, {known})
        assert listing.mine == {mine: NAME}
        assert (listing.total, listing.foreign) == (7, 4)
        assert set(listing.nameless) == {"6" * 12}
    assert set((await ce.list_mine(TowerId("tower002"), set())).mine) == {"2" * 12}


async def test_jobs_of_rest_users_are_never_touched(host: Host) -> None:
    job = host.job(JOB, "of a REST user", "FINISHED", {"local": "failedstate=PREPARING\nrerun=1\n"})
    ce = host.ce()
    for call in (ce.cancel, ce.restart, ce.clean):
        assert await call([job]) == {job: Gone()}
    assert await ce.states([job]) == {}
    assert await ce.fetch({job: FetchPlan(host.root / "home", ("/",))}) == {job: Gone()}
    assert isinstance((await ce.put_inputs({job: [COMMIT]}))[job], Refused)
    assert host.marks() == set()


@pytest.mark.parametrize(
    ("wish", "word", "local", "marked", "answer"),
    [
        pytest.param("cancel", "INLRMS", "", True, Accepted, id="kill a running job"),
        pytest.param("cancel", "FINISHED", "", False, Accepted, id="kill an ended one"),
        pytest.param("clean", "FINISHED", "", True, Accepted, id="clean an ended one"),
        pytest.param("clean", "INLRMS", "", False, Refused, id="clean a running one"),
        pytest.param("clean", "DELETED", "", False, Gone, id="clean a deleted one"),
        pytest.param("restart", "FINISHED", "failedstate=PREPARING\nrerun=1\n", True, Accepted, id="restart"),
        pytest.param("restart", "FINISHED", "failedstate=PREPARING\nrerun=0\n", False, Refused, id="too often"),
        pytest.param("restart", "FINISHED", "rerun=1\n", False, Refused, id="restart a good one"),
        pytest.param(
            "restart", "INLRMS", "failedstate=PREPARING\nrerun=1\n", False, Refused, id="restart a living one"
        ),
    ],
)
async def test_wishes(host: Host, wish: str, word: str, local: str, marked: bool, answer: type) -> None:
    job = host.job(JOB, NAME, word, {"local": local})
    ce = host.ce()
    calls = {"cancel": ce.cancel, "clean": ce.clean, "restart": ce.restart}
    assert isinstance((await calls[wish]([job]))[job], answer)
    assert host.marks() == ({host.mark(job, wish)} if marked else set())
    assert host.told() == ({job} if marked else set())


async def test_a_kill_that_came_too_late_is_taken_back(host: Host) -> None:
    job = host.job(JOB, NAME, "INLRMS")
    await host.ce().cancel([job])
    host.move(job, "FINISHED")
    await host.ce().clean([job])
    assert host.marks() == {host.mark(job, "clean")}

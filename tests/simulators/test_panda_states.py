"""The table of reports: what each does to a job in each phase."""

from collections.abc import Iterable
from datetime import timedelta

import pytest

from act_core.simulators.panda_books import Books
from act_core.simulators.panda_states import EFFECTS, REPORTABLE, Phase
from tests.simulators.panda_reports import NOW, P, one_job, put, report

OPEN: dict[str, object] = {
    "starting": P.STARTING,
    "running": P.RUNNING,
    "transferring": P.TRANSFERRING,
    "holding": P.HOLDING,
}
FINALS: dict[str, object] = {"finished": "+rep", "failed": "+rep"}
DONE = "alreadydone"


def each(statuses: Iterable[str], expected: object) -> dict[str, object]:
    return dict.fromkeys(statuses, expected)


# The table of the reference, one row a phase: the next phase (APPLIED), "stays" (IGNORED), a command, "+rep"
TABLE: dict[Phase, dict[str, object]] = {
    P.ACTIVATED: OPEN | FINALS,
    P.SENT: OPEN | FINALS,
    P.STARTING: OPEN | FINALS,
    P.RUNNING: OPEN | {"starting": P.RUNNING} | FINALS,
    P.HOLDING: each(OPEN, "stays") | {"holding": P.HOLDING} | FINALS,
    P.HOLDING_FINAL: each(OPEN, "stays") | each(FINALS, DONE),
    P.TRANSFERRING: each(OPEN, "stays") | {"transferring": P.TRANSFERRING, "holding": P.HOLDING} | FINALS,
    P.TRANSFERRING_ADDER: {"starting": "stays", "running": "stays", "transferring": P.TRANSFERRING_ADDER}
    | each(("holding", "finished", "failed"), DONE),
    P.MERGING: each(OPEN, "stays") | FINALS,
    P.FAILED: each(REPORTABLE, DONE),
    P.ARCHIVED: each(REPORTABLE, "tobekilled"),
}  # fmt: skip


CELLS = [(phase, status, expected) for phase, row in TABLE.items() for status, expected in row.items()]


@pytest.mark.parametrize(("phase", "status", "expected"), CELLS, ids=[f"{p}-{s}" for p, s, _ in CELLS])
def test_what_a_report_does(phase: Phase, status: str, expected: object) -> None:
    books = Books()
    job = one_job(books)
    put(books, job, phase)
    modified, finals = job.modified, job.finals
    command = report(books, job, status, NOW + timedelta(milliseconds=1))
    applied = job.modified == NOW + timedelta(milliseconds=1)
    if isinstance(expected, Phase):
        assert (job.phase, command, applied) == (expected, "NULL", True)
    elif expected == "+rep":
        assert job.phase is (P.MERGING if phase is P.MERGING else P.HOLDING_FINAL)
        assert (command, applied, job.finals) == ("NULL", True, finals + 1)
    else:
        assert (job.phase, job.modified) == (phase, modified)
        assert command == ("NULL" if expected == "stays" else expected)
    assert expected == "+rep" or job.finals == finals


def test_the_table_of_effects_is_complete() -> None:
    assert {phase: set(row) for phase, row in EFFECTS.items()} == {phase: set(REPORTABLE) for phase in Phase}

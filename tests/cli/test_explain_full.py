"""`act explain` where a CE takes no more: the whole texts, built in real tables."""

from collections.abc import Callable
from pathlib import Path

import pytest

from act_core.reasons import Reason
from tests.cli.situations import ON, Tables, before

GOLDEN = Path(__file__).parent / "golden" / "explain_full"


def _ce_full(t: Tables) -> None:
    t.job()
    t.job("a", **ON, state="running")
    t.job("b", **ON | {"remote_id": "df2"}, state="failed")
    t.ce("north", maxjobs=2)
    t.note(Reason.FULL, "north", 1, on_ce=2, maxjobs=2)


def _queue_full(t: Tables) -> None:
    """0.15 · 20 + 1 may be queued."""
    for n in range(20):
        t.job(f"r{n}", **ON | {"remote_id": f"r{n}"}, state="running")
    for n in range(4):
        t.job(f"q{n}", **ON | {"remote_id": f"q{n}"}, state="submitted")
    t.job()
    t.note(Reason.QUEUE_FULL, "north", 1, queued=4, unit="jobs", allowed=4, running=20, a=0.15, b=1)
    t.ce("south", maxjobs=0)
    t.note(Reason.FULL, "south", 1, on_ce=0, maxjobs=0)


def _not_vouched_for(t: Tables) -> None:
    t.job(app="atlas", vouched_until=before(minutes=20), created=before(hours=2))


SCENES: dict[str, tuple[str, Callable[[Tables], None]]] = {
    "job-waits-for-panda": ("7kqw2m", _not_vouched_for),
    "ce-full": ("north", _ce_full),
    "ce-queue-full-while-jobs-run": ("north", _queue_full),
    "job-waits-queue-full": ("7kqw2m", _queue_full),
}


@pytest.mark.parametrize("name", SCENES)
def test_golden(situation: Tables, name: str) -> None:
    subject, scene = SCENES[name]
    scene(situation)
    assert situation.explained(subject) == (GOLDEN / f"{name}.txt").read_text()


def test_every_golden_text_has_its_situation() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == sorted(SCENES)

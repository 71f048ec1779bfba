"""What a soak's samples say, and the page that is made of them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.simulators.panda_columns import TIME_FORMAT
from benchmarks.soak_figures import NoSoak, processes, read, rows, slope, speed
from benchmarks.soak_page import BEGIN, END, page, renewed
from benchmarks.soak_verdict import Verdict, unheard

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


def sample(at: float, memory: float = 100.0, pid: int = 1, finished: int = 0, **more: Any) -> dict[str, Any]:
    """`memory` in MB; a worker alone."""
    worker = {"pid": pid, "memory": int(memory * 1e6), "descriptors": 20}
    plain = {"at": at, "processes": {"worker": worker}, "ordered": 0, "finished": finished, "waiting": 0}
    return plain | {"sweep_late": 0.0, "heartbeat_late": 0.0} | more


def soak(samples: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    about = {"at": "2026-01-01T00:00:00+00:00", "commit": "abc", "cpu": "a CPU", "cores": 2, "memory": 8e9}
    about |= {"kernel": "6.1", "python": "3.11.2", "mariadb": {"version": "10.11"}, "load": 0.5}
    numbers = {"ordered": 40, "finished": 38, "otherwise": 0, "unheard": 1, "lost": 1, "twice": 0, "never": 0}
    struck = {"name": "worker: SIGKILL", "target": "worker", "fault": "SIGKILL", "planned": 5.0, "began": 5.1}
    struck |= {"ended": 5.1, "met": 1, "trouble": ""}
    return {
        "schema": 1,
        "about": about,
        "options": {"rate": 2.0, "seconds": 1800.0, "run": 5.0, "seed": 1},
        "verdict": numbers | {"left": 0, "ran": 38, "files": 76},
        "said": ["1 of 40 jobs are lost: not over in PanDA"],
        "drained_s": 12.3,
        "strikes": [struck],
        "samples": samples,
    } | more


def row(held: dict[str, Any], what: str) -> Any:
    (found,) = [one for one in rows(held) if one.what == what]
    return found


def test_growth_is_from_the_first_five_minutes_to_the_last_of_the_ordering() -> None:
    held = soak([sample(at, 100 if at <= 300 else 130 if at < 1500 else 120) for at in range(0, 2000, 5)])
    held["samples"][200]["processes"]["worker"]["memory"] = int(500e6)
    held["samples"][-1]["processes"]["worker"]["memory"] = int(900e6)  # after the last order
    memory = row(held, "memory of worker")
    assert (memory.first, memory.last, memory.growth, memory.worst) == (100, 120, 20, 500)
    assert row(held, "descriptors of worker").growth == 0


def test_growth_within_a_life_is_not_hidden_by_a_new_one() -> None:
    old = [sample(at, 100 + at / 36) for at in range(0, 1000, 5)]  # 100 MB an hour
    new = [sample(at, 100, pid=2) for at in range(1000, 1800, 5)]
    assert slope(old + new, "worker", "memory") == pytest.approx(100)
    memory = row(soak(old + new), "memory of worker")
    assert memory.growth < 0 < memory.slope


def test_a_life_that_ended_soon_says_nothing_of_growth() -> None:
    assert slope([sample(at) for at in range(0, 70, 5)], "worker", "memory") is None
    assert slope([sample(0)], "page", "memory") is None


def test_a_process_that_is_away_is_no_process_without_memory() -> None:
    samples = [sample(0), sample(5) | {"processes": {}}, sample(10)]
    assert processes(samples) == ["worker"]
    assert row(soak(samples), "memory of worker").median == 100


def test_speed_is_that_of_the_last_minute() -> None:
    samples = [sample(at, finished=2 * at if at <= 300 else 600) for at in range(0, 605, 5)]
    found = dict(speed(samples))
    assert found[60] == 2
    assert found[330] == 1
    assert found[600] == 0
    assert row(soak(samples), "finished by PanDA's books").worst == 0


def test_lateness_that_nobody_could_read_is_left_out() -> None:
    held = soak([sample(0, sweep_late=None), sample(5, sweep_late=3.0), sample(10, sweep_late=9.0)])
    assert (row(held, "status sweep late").median, row(held, "status sweep late").worst) == (6, 9)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 0, "samples": [1]}', '{"schema": 1, "samples": []}'])
def test_what_no_soak_wrote_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(NoSoak, match=r"x\.json"):
        read(file)


def test_the_page_says_what_was_lost_and_what_was_struck(tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    file.write_text(json.dumps(soak([sample(at) for at in range(0, 1800, 5)])))
    text = page(read(file))
    assert "2 jobs/s for 0:30:00 (h:mm:ss)" in text
    assert "| **lost** | 1 |" in text
    assert "What was not well: 1 of 40 jobs are lost" in text
    assert "| memory of worker, MB | 100 | 100 | 100 | 100 | +0.0 | +0.0 |" in text
    assert "| 1 | worker: SIGKILL | 5 | 5 | 1 |" in text


def test_the_page_keeps_what_people_wrote() -> None:
    text = (ROOT / "docs" / "soak.md").read_text()
    once = renewed(text, "one")
    assert once.startswith(text.partition(BEGIN)[0])
    assert renewed(once, "two") == once.replace("\none\n", "\ntwo\n")
    with pytest.raises(NoSoak, match="no place"):
        renewed(text.replace(END, ""), "one")


def given(at: float, **more: Any) -> dict[str, Any]:
    """PanDA's page of a job that was given out so many seconds after the first order."""
    return {"columns": {"startTime": (BEGAN + timedelta(seconds=at)).strftime(TIME_FORMAT)}, "updates": []} | more


@pytest.mark.parametrize(
    ("job", "excused"),
    [
        pytest.param(given(95), True, id="as the worker was killed"),
        pytest.param(given(125), True, id="soon after"),
        pytest.param(given(300), False, id="at no fault"),
        pytest.param(given(200), False, id="at a fault that tears nothing"),
        pytest.param(given(95, updates=[{}]), False, id="PanDA heard of it"),
    ],
)
def test_only_a_fault_excuses_a_job_of_which_nobody_heard(job: dict[str, Any], excused: bool) -> None:
    struck = [
        {"target": "worker", "began": 100.0, "ended": 100.0, "trouble": ""},
        {"target": "storage", "began": 200.0, "ended": 210.0, "trouble": ""},
        {"target": "database", "began": 300.0, "ended": None, "trouble": "not struck: it is not ours"},
    ]
    assert unheard({"1": job}, set(), struck, BEGAN) == ({"1"} if excused else set())
    assert unheard({"1": job}, {"1"}, struck, BEGAN) == set()


WELL = {"ordered": 10, "finished": 9, "otherwise": 0, "unheard": 1, "lost": 0, "twice": 0, "never": 0}


@pytest.mark.parametrize("what", ["otherwise", "lost", "twice", "never", "left", "files"])
def test_whatever_is_not_well_is_said(what: str) -> None:
    well = WELL | {"left": 0, "ran": 9, "files": 18}
    assert Verdict(**well).said() == []
    assert len(Verdict(**well | {what: well[what] + 1}).said()) == 1

"""Of when a report's numbers are, in words and on the page; and which jobs no CE has told anything of."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.db.models import Ce
from act_core.monitor.report import Report, unheard
from act_core.monitor.report_page import page
from act_core.settings.model import Settings
from act_core.states import CeState
from act_core.tables import summed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "words", "old"),
    [
        pytest.param(4, "counted at 2026-03-01T11:59:56Z, 4 s ago", False, id="by a tower"),
        pytest.param(300, "counted at 2026-03-01T11:55:00Z, 5 min ago; OLD: no tower counts", True, id="old"),
        pytest.param(None, "nobody has counted yet", True, id="never"),
    ],
)
def test_the_age_of_the_counts_is_told(age: int | None, words: str, old: bool) -> None:
    at = None if age is None else NOW - timedelta(seconds=age)
    one = Report("t1", "sqlite:///x", NOW, at, (summed("CEs & more", ("CE", "running"), [("a", 1)]),))
    assert (one.age, one.old, one.body()["age_s"]) == (words, old, age)
    shown = page([one], ["t2: no <tables>"])
    assert f'<p class="{"old" if old else "age"}">{words}. This page is of 2026-03-01T12:00:00Z.</p>' in shown
    assert "<h2>CEs &amp; more</h2>" in shown
    assert '<p class="old">t2: no &lt;tables&gt;</p>' in shown


@pytest.mark.parametrize(
    ("states", "polled", "told"),
    [
        pytest.param(
            {CeState.RUNNING: 3, CeState.HOLDING: 1}, 25, ("ce1", 1, 3, "2026-02-28 11:00Z (25 h ago)"), id="silent"
        ),
        pytest.param({CeState.RUNNING: 3}, 23, None, id="it spoke"),
        pytest.param({CeState.DONE: 3}, 25, None, id="nothing goes on there"),
        pytest.param({CeState.SUBMITTED: 2}, None, ("ce1", 2, 0, "never"), id="never"),
    ],
)
def test_jobs_without_word_of_their_ce(
    tmp_path: Path, states: dict[CeState, int], polled: int | None, told: tuple[object, ...] | None
) -> None:
    held = Settings(state_dir=tmp_path)
    due = NOW - timedelta(hours=polled) + held.arc.jobs.checkinterval if polled else None
    found = unheard({"ce1": Counter(states)}, {"ce1": Ce(name="ce1", next_poll_at=due)}, held, NOW)
    assert list(found.rows) == ([told] if told else [])

"""What Prefect's pages show of a stage beside its runs: a report when it changed, and events `act.*`."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect.artifacts import Artifact, acreate_markdown_artifact, acreate_table_artifact
from prefect.client.schemas.objects import State
from prefect.exceptions import PrefectException
from prefect.runtime import flow_run

from act_core.db import ces
from act_core.errors import Transient
from act_core.logs import log
from act_core.monitor.report import report
from act_core.processes import standing
from act_core.runtime import Counts
from act_core.tables import Table
from flows import happenings, page
from flows.rounds import Window

logger = log(__name__)
MOST_ROWS, LONGEST = 200, 300
REPORTS, TOWER_REPORT = "report", "tower-report"
HEARS = "sweep-status"  # the stage whose runs tell what the ledger has noted
_told: dict[str, str] = {}  # stage → what its last report was about
_NUMBER = re.compile(r"\d+")
_AGE = re.compile(r"\b\d+ (?:s|min|h|d)\b")
Row = dict[str, Any]
NOBODY: Row = {"key": "all", "did": "nothing to do", "trouble": ""}


async def tell(window: Window, state: State[Any]) -> None:
    """Write what has changed into Prefect's tables. Trouble with that is logged, and stops nobody's work."""
    if flow_run.id is None:
        return
    try:
        await _report(window, state)
        if window.stage == HEARS:
            await happenings.tell(window.tower.rt)
        if window.stage == REPORTS:
            await _tower_report(window)
    except (PrefectException, Transient, OSError, RuntimeError) as err:
        logger.warning("%s: its report does not reach Prefect: %s", window.stage, err or type(err).__name__)


async def _tower_report(window: Window) -> None:
    """What `act report` tells, when it tells something else than before."""
    rt = window.tower.rt
    made = await rt.read(report, rt.settings, window.tower.apps, "", rt.now())
    tables = written(made.tables)
    if TOWER_REPORT not in _told:
        found = await Artifact.aget(TOWER_REPORT)
        _told[TOWER_REPORT] = _without_ages(str(found.data)) if found else ""
    if _without_ages(tables) == _told[TOWER_REPORT]:
        return
    words = f"Tower {made.tower}: {made.age}. `act report` tells it as of now.{_page(window)}"
    await acreate_markdown_artifact(tables, TOWER_REPORT, words)
    _told[TOWER_REPORT] = _without_ages(tables)


def _without_ages(tables: str) -> str:
    """What waits grows older all the while: that is no news."""
    return _AGE.sub("#", tables)


def written(tables: Sequence[Table]) -> str:
    """As Prefect shows it; columns and tables in which nothing stands are left out."""
    shown = [_cut(table.compact()).markdown() for table in tables if table.rows]
    return "\n".join(shown) or "no jobs"


def _cut(table: Table) -> Table:
    more = len(table.rows) - MOST_ROWS
    return replace(table, rows=table.rows[:MOST_ROWS], note=f"{more} more: act report") if more > 0 else table


def _page(window: Window) -> str:
    settings = window.tower.rt.settings
    url = page.seen_at(settings, standing(settings.state_dir))
    return f" [The page]({url})" if url else ""


async def _report(window: Window, state: State[Any]) -> None:
    troubles = await _troubles(window)
    rows, about = rows_of(window.did, troubles), gist(troubles, window.bugs)
    key = f"{window.stage}-report"
    if window.stage not in _told:
        _told[window.stage] = await _last_told(key)
    if about == _told[window.stage]:
        return
    await acreate_table_artifact(rows or [NOBODY], key, headed(about, state, _page(window)))
    _told[window.stage] = about


async def _troubles(window: Window) -> dict[str, str]:
    """By key: of this window, and of CEs that rest and were not asked for that reason."""
    if not any(part.breaker for part in window.parts):
        return window.troubles
    rows = await window.tower.rt.read(ces.all_ces)
    return {row.name: row.trouble or "" for row in rows if row.failures} | window.troubles


def rows_of(did: dict[str, Counts], troubles: dict[str, str]) -> list[Row]:
    """A row a key (CE, PanDA queue), those in trouble first."""
    keys = sorted(did.keys() | troubles.keys(), key=lambda key: (key not in troubles, key))
    rows = [
        {
            "key": key,
            "did": ", ".join(f"{n} {word}" for word, n in did.get(key, Counts()).items() if n) or "nothing",
            "trouble": troubles.get(key, "")[:LONGEST],
        }
        for key in keys
    ]
    return rows[:MOST_ROWS]


def gist(troubles: dict[str, str], bugs: Sequence[str]) -> str:
    """What makes a report another one: who is in trouble, and which; counts and times change all the while."""
    said = [f"{key}: {_NUMBER.sub('#', troubles[key])[:LONGEST]}" for key in sorted(troubles)]
    return " | ".join([*said, *bugs]) or "all is well"


def headed(about: str, state: State[Any], link: str = "") -> str:
    """The gist stands in the first line: the next process reads there what was told last."""
    return f"{about}\n\n{state.message or ''} ({datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}). `act status` tells more.{link}"


async def _last_told(key: str) -> str:
    found = await Artifact.aget(key)
    return (found.description or "").split("\n", 1)[0] if found else ""

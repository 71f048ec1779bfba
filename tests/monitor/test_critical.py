"""The errors in the tower's log: of which time, how often, and the newest with its traceback."""

import io
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core import logs
from act_core.errors import BadInput
from act_core.monitor import critical
from act_core.monitor.critical import BLOCK
from act_core.settings.model import Logger

NOW = datetime(2026, 3, 2, 0, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


def line(words: str, level: str = "ERROR", **before: float) -> str:
    at = (NOW - timedelta(**before)).strftime("%Y-%m-%dT%H:%M:%S.123Z")
    return f"{at} {level} act.engine.poll {words}\n"


def write(directory: Path, day: str, *lines: str) -> None:
    (directory / f"act-{day}.log").write_text("".join(lines))


def test_of_the_last_hour_also_past_midnight(tmp_path: Path) -> None:
    write(tmp_path, "2026-03-01", line("too old", minutes=90), line("job 7 is strange", minutes=50), line("x", "INFO"))
    write(
        tmp_path, "2026-03-02", line("warned", "WARNING"), line("job 8 is strange", minutes=3), line("odd", "CRITICAL")
    )
    found = critical.critical(tmp_path, NOW - HOUR)
    assert found.n == 3
    assert [(one.n, one.newest.level, one.newest.words) for one in found.groups] == [
        (1, "CRITICAL", "odd"),
        (2, "ERROR", "job 8 is strange"),
    ]


def test_a_traceback_belongs_to_its_line_as_the_tower_writes_it(tmp_path: Path) -> None:
    logs.configure(Logger(logdir=tmp_path), tmp_path, io.StringIO())
    try:
        1 / 0  # noqa: B018 - the error is what is wanted
    except ZeroDivisionError:
        logs.log("act_core.engine.poll").exception("it broke\nin two")
    logging.getLogger("act").info("all is well")
    logs.close()
    (group,) = critical.critical(tmp_path, datetime.now(UTC) - HOUR).groups
    assert group.newest.words == "it broke\\nin two"
    assert group.newest.trace[0] == "    Traceback (most recent call last):"
    assert group.newest.trace[-1] == "    ZeroDivisionError: division by zero"


def test_a_file_longer_than_a_block_is_read_no_further_than_it_must(tmp_path: Path) -> None:
    old = [line("old " + "x" * 500, hours=2)] * (BLOCK // 500)
    new = [line(f"long {'y' * 700}", "INFO", minutes=5)] * (BLOCK // 300)
    write(tmp_path, "2026-03-02", *old, line("first", minutes=9), *new, line("last", minutes=1), "    at the end")
    found = critical.critical(tmp_path, NOW - HOUR)
    assert [(one.newest.words, one.newest.trace) for one in found.groups] == [
        ("last", ("    at the end",)),
        ("first", ()),
    ]
    assert not found.cut


def test_a_storm_is_cut_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, "2026-03-02", *[line("storm", minutes=1)] * (3 * BLOCK // 50))
    found = critical.critical(tmp_path, NOW - HOUR, most=BLOCK)
    assert found.cut
    assert 0 < found.n < 3 * BLOCK // 50


@pytest.mark.parametrize("words", [b"", b"\xff\xfe broken \n\n", b"2026-03-02T00:19:00.123Z ERROR\n"])
def test_what_is_no_line_of_ours_is_none(tmp_path: Path, words: bytes) -> None:
    (tmp_path / "act-2026-03-02.log").write_bytes(words)
    assert critical.critical(tmp_path, NOW - HOUR).n == 0


def test_no_log_is_no_good_news(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(BadInput, match="no log is there"):
            critical.critical(directory, NOW - HOUR)

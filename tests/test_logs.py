"""One shape of log line, a file a day, nothing secret."""

import io
import logging
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.errors import ConfigError
from act_core.logs import DailyFile, close, configure, log
from act_core.words import redact


@dataclass(frozen=True)
class Wishes:
    level: str = "info"
    logdir: Path | None = None
    rotate: int = 3


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    close()


@pytest.fixture
def stream(tmp_path: Path) -> io.StringIO:
    stream = io.StringIO()
    configure(Wishes(), tmp_path, stream)
    return stream


def record(words: str, at: datetime) -> logging.LogRecord:
    made = logging.LogRecord("act.x", logging.INFO, "", 0, words, None, None)
    made.created = at.timestamp()
    return made


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("act_core.engine.submit", "act.engine.submit"),
        ("act_core", "act"),
        ("act", "act"),
        ("flows.window", "act.flows.window"),
    ],
)
def test_names(module: str, name: str) -> None:
    assert log(module).name == name


def test_the_shape_of_a_line_on_the_stream_and_in_the_file(stream: io.StringIO, tmp_path: Path) -> None:
    log("act_core.engine.submit").info("ce=%s %d jobs", "ce1", 3)
    line = stream.getvalue()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO act\.engine\.submit ce=ce1 3 jobs\n", line)
    (file,) = (tmp_path / "log").iterdir()
    assert file.read_text() == line
    assert re.fullmatch(r"act-\d{4}-\d\d-\d\d\.log", file.name)
    assert stat.S_IMODE(file.stat().st_mode) & 0o137 == 0


def test_level_and_second_configure(stream: io.StringIO, tmp_path: Path) -> None:
    log("act_core.x").debug("unheard")
    second = io.StringIO()
    configure(Wishes(level="debug", logdir=tmp_path / "other"), tmp_path, second)
    log("act_core.x").debug("heard")
    assert stream.getvalue() == ""
    assert second.getvalue().count("heard") == 1
    assert [path.parent.name for path in tmp_path.rglob("*.log") if path.stat().st_size] == ["other"]


def test_foreign_text_stays_in_its_line(stream: io.StringIO) -> None:
    log("act_core.x").warning("CE says: %s", "no\n2026 INFO forged \x1b[31m\u2028é")
    assert stream.getvalue().endswith("CE says: no\\n2026 INFO forged \\x1b[31m\\u2028é\n")
    assert stream.getvalue().count("\n") == 1


def test_a_traceback_follows_indented_and_redacted(stream: io.StringIO) -> None:
    try:
        raise ValueError("password=hunter2\nsecond")  # noqa: TRY301 - a traceback is wanted
    except ValueError:
        log("act_core.x").exception("it broke")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR act.x it broke")
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "ValueError: password=***" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_long_foreign_text_is_cut(stream: io.StringIO) -> None:
    log("act_core.x").info("%s", "y" * 100_000)
    assert stream.getvalue().endswith("y… (92000 characters more)\n")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Authorization: Bearer abc.def-123456 more", "Authorization: Bearer *** more"),
        ("got eyJhbGciOi.eyJzdWIi.c2ln, kept", "got ***, kept"),
        ("Authorization: Basic dXNlcjpwdw== more", "Authorization: Basic *** more"),
        ("run --usersecret=abc --token def -x", "run --usersecret=*** --token *** -x"),
        ("jobPars=--usersecret%3Dabc&n=1", "jobPars=--usersecret%3D***&n=1"),
        ("wrong password: hunter2", "wrong password: ***"),
        ("the token: expired", "the token: expired"),
        ("https://host/a?authz=abc&x=1", "https://host/a?authz=***&x=1"),
        ("secrets=abc rest", "secrets=*** rest"),
        ('secrets={"A": {"b": "c d"}} rest', "secrets=*** rest"),
        ("secrets={never ends", "secrets=***"),
        ('{"secrets": "{\\"A\\": \\"x\\"}", "b": 1}', '{"secrets": ***, "b": 1}'),
        ('"secrets": "cut off\\', '"secrets": ***\\'),
        ("{'panda_token': 'x y'}", "{'panda_token': ***}"),
        ("mysql://act:pw@db/act", "mysql://act:***@db/act"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nkept", "***\nkept"),
        ("x -----BEGIN PRIVATE KEY-----\nMII cut", "x ***"),
        ("the bearer token expired; the secrets of a job", "the bearer token expired; the secrets of a job"),
        ("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"),
    ],
)
def test_redaction(text: str, wanted: str) -> None:
    assert redact(text) == wanted


def test_a_new_day_is_a_new_file_and_old_ones_go(tmp_path: Path) -> None:
    today = datetime.now(UTC)
    names = [f"act-{today - timedelta(days=n):%Y-%m-%d}.log" for n in range(7)]
    for name in (*names[1:], "act-notes.log"):
        (tmp_path / name).write_text("old\n")
    handler = DailyFile(tmp_path, days=3)
    try:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names[:3], "act-notes.log"])
        handler.handle(record("one", today))
        handler.handle(record("two", today + timedelta(days=1)))
        handler.handle(record("late", today))
    finally:
        handler.close()
    new = tmp_path / f"act-{today + timedelta(days=1):%Y-%m-%d}.log"
    assert (tmp_path / names[0]).read_text() == "one\n"
    assert new.read_text() == "two\nlate\n"
    assert not (tmp_path / names[2]).exists()


def test_a_place_where_no_log_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="no log can be written there"):
        configure(Wishes(logdir=tmp_path / "file" / "log"), tmp_path)
    assert log("act").propagate

"""The page as a child of `act up`: started again, and never the end of the tower."""

import sys
from pathlib import Path

import pytest

from act_core.settings import ArcSettings, Settings
from act_core.settings.web import Web
from flows.children import PER_S, RESTARTS
from flows.page import Page, described, entrance, seen_at

DIES = [sys.executable, "-c", "pass"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path, arc=ArcSettings(web=Web(rootpath="/act")))


def test_a_page_that_always_dies_is_left_alone_for_a_minute(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    for module in ("flows.page", "flows.children"):  # theirs alone: loops of other threads sleep by the true one
        monkeypatch.setattr(f"{module}.monotonic", lambda: now)
    made = Page(settings, tmp_path, 0)
    made.child.command = DIES
    made.start()
    for _ in range(RESTARTS):
        ended(made)
        assert made.look()
    ended(made)
    assert not made.look()
    assert not made.look()
    now += PER_S + 1
    assert made.look()
    ended(made)


def test_a_page_that_cannot_be_started_ends_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    for module in ("flows.page", "flows.children"):
        monkeypatch.setattr(f"{module}.monotonic", lambda: now)
    made = Page(settings, tmp_path / "not there", 0)
    made.child.command = DIES
    made.start()
    assert not made.look()
    now += PER_S + 1
    assert not made.look()
    made.child.log.parent.mkdir()
    now += PER_S + 1
    assert made.look()
    ended(made)


def ended(made: Page) -> None:
    assert made.child.process is not None
    made.child.process.wait()


def test_links_go_where_browsers_do(settings: Settings) -> None:
    assert seen_at(settings, {"page": "http://127.0.0.1:1/act/"}) == "http://127.0.0.1:1/act/"
    assert seen_at(settings, None) == ""
    outside = Settings(
        state_dir=settings.state_dir, arc=ArcSettings(web=Web(rootpath="/act", hosts=("act.example.org",), secure=True))
    )
    assert seen_at(outside, None) == "https://act.example.org/act/"


def test_where_the_page_is_and_how_to_get_in(settings: Settings, tmp_path: Path) -> None:
    assert Page(settings, tmp_path, 4711).url == "http://127.0.0.1:4711/act/"
    assert entrance(settings) == f"user admin, password: {tmp_path / 'web' / 'password'}"
    assert described(settings, {"prefect": "x"}, True) is None
    told = described(settings, {"page": "http://127.0.0.1:1/"}, False)
    assert told is not None
    assert told["runs"] is False

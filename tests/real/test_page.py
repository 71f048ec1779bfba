"""The page in a real browser: it shows what there is, stays current, fits a phone, and asks nobody else."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from browser import PHONE, WIDE, Visit, visit
from playwright.sync_api import Browser
from sqlalchemy import update

from act_core.db.models import Ce
from act_core.db.session import Database
from act_core.settings import Settings
from tests.web.filled import ANALYSIS, CES, filled
from tests.web.served import served

pytestmark = pytest.mark.real
PLACES: tuple[str, ...] = ("/", "/ces", "/ces/hpc-west", "/queues", "/queues/EAST_ANALY", "/jobs?state=donefailed")
PLACES += (f"/jobs/atlas/{ANALYSIS}", "/decisions", "/audit", "/credentials", "/search?q=x", "/runs/1", "/?at=5h ago")
PLACES += ("/ces/hpc-west?at=2h ago", f"/jobs/atlas/{ANALYSIS}?at=7h ago")
LATER_MS = 15_000


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return filled(tmp_path_factory.mktemp("page") / "state")


@pytest.fixture(scope="module")
def base(settings: Settings) -> Iterator[str]:
    with served(settings) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture(params=[WIDE, PHONE], ids=["desk", "phone"])
def window(browser: Browser, base: str, settings: Settings, request: pytest.FixtureRequest) -> Iterator[Visit]:
    """An admin's; at its end its console was quiet and nobody else was asked."""
    with visit(browser, base, request.param, "dark" if request.param is PHONE else "light") as made:
        made.sign_in("admin", settings.page_password.read_text().strip())
        yield made
        assert made.complaints == []
        assert made.strangers == []


def test_every_page_fits_and_is_quiet(window: Visit) -> None:
    for place in PLACES:
        window.go(place)
        assert window.too_wide == 0, place
        assert window.page.locator("h1").count() == 1, place


def test_the_overview_shows_real_figures(window: Visit) -> None:
    window.go("/")
    assert window.page.locator(".plot canvas").count() == 4
    text = window.page.inner_text("main")
    for words in (*CES, "node-lost", "Robot: ACT"):
        assert words in text
    assert window.page.locator(".key li", has_text="arc-north").first.is_visible()


def test_a_change_shows_without_a_reload(window: Visit, settings: Settings) -> None:
    window.go("/ces")
    window.page.evaluate("window.notReloaded = true")
    db = Database(settings)
    db.write(lambda s: s.execute(update(Ce).where(Ce.name == "condor-east").values(trouble="new words")) and None)
    window.page.wait_for_selector("text=new words", timeout=LATER_MS)
    db.write(lambda s: s.execute(update(Ce).where(Ce.name == "condor-east").values(trouble=None)) and None)
    db.close()
    assert window.page.evaluate("window.notReloaded")


def test_keys_lead_through_the_pages(browser: Browser, base: str, settings: Settings) -> None:
    with visit(browser, base, WIDE) as window:
        window.sign_in("admin", settings.page_password.read_text().strip())
        page = window.page
        page.keyboard.press("g")
        page.keyboard.press("c")
        page.wait_for_url("**/ces")
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        page.keyboard.type("hpc-west\n")
        page.wait_for_url("**/ces/hpc-west")
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.keyboard.press("t")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        page.reload()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        assert window.complaints == []


def test_the_slider_the_field_and_the_buttons_tell_the_same_time(window: Visit) -> None:
    window.go(f"/jobs/atlas/{ANALYSIS}")
    page = window.page
    page.click("#time summary")
    page.focus("#time [type=range]")
    page.keyboard.press("Home")
    page.wait_for_selector("h1 .badge:has-text('submitting')")
    page.click("#time [data-step='3600']")
    page.wait_for_selector("h1 .badge:has-text('done')")
    first = page.get_attribute("#time form", "data-first")
    assert first is not None
    assert page.input_value("#time [type=range]") == str(int(first) + 3600)
    at = datetime.fromtimestamp(int(first) + 3600, UTC)
    assert page.input_value("#time [name=at]") == f"{at:%Y-%m-%dT%H:%M:%S}"
    assert page.locator("form[action*='/do/']").count() == 0
    page.reload()
    assert f"{at:%Y-%m-%d %H:%M:%S} UTC" in page.inner_text(".then")
    page.click(".then a")
    page.wait_for_selector("form[action*='/do/'] button")


def test_a_deed_is_asked_about_and_told(window: Visit) -> None:
    window.go("/jobs?state=submitted")
    boxes = window.page.locator('input[name="job"]')
    boxes.nth(0).check()
    boxes.nth(1).check()
    window.page.click("button[data-needs-picks]")
    assert window.page.inner_text("#confirm-words") == "cancel: 2 jobs. Do it?"
    window.page.click("#confirm button[value=no]")
    assert window.page.locator(".said").count() == 0
    window.page.click("button[data-needs-picks]")
    window.page.click("#confirm button[value=yes]")
    assert "cancel: 2 of 2 jobs" in window.page.inner_text(".said")


def test_a_server_that_is_away_is_told_and_comes_back(browser: Browser, base: str, settings: Settings) -> None:
    with visit(browser, base, WIDE) as window:
        window.sign_in("admin", settings.page_password.read_text().strip())
        window.go("/ces")
        window.page.context.set_offline(True)
        window.page.wait_for_selector("#banner:visible", timeout=LATER_MS)
        assert "does not answer" in window.page.inner_text("#banner")
        window.page.context.set_offline(False)
        window.page.wait_for_selector("#banner", state="hidden", timeout=LATER_MS)

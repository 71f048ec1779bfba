"""The page over a living tower, in a real browser: what it shows is what PanDA and the CEs say."""

import os
import re
import signal
from collections.abc import Iterator

import pytest
from browser import PHONE, WIDE, Visit, visit
from live_tower import NEW, OLD, Tower, eventually, living
from playwright.sync_api import Browser, Locator, expect

pytestmark = pytest.mark.real
SHORT, LONG = 16, 4  # jobs
RUNNING, ENDED = "running on", "ended today"  # tiles of the overview
PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def tower(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Tower]:
    with living(tmp_path_factory.mktemp("live") / "scene") as made:
        yield made


def _window(browser: Browser, tower: Tower, name: str) -> Iterator[Visit]:
    with visit(browser, tower.url, WIDE) as made:
        tower.enter(made, name)
        yield made
        assert made.complaints == []
        assert made.strangers == []


@pytest.fixture
def vera(browser: Browser, tower: Tower) -> Iterator[Visit]:
    """A viewer's window; at its end its console was quiet, and nobody was asked but the page."""
    yield from _window(browser, tower, "vera")


@pytest.fixture
def otto(browser: Browser, tower: Tower) -> Iterator[Visit]:
    """An operator's."""
    yield from _window(browser, tower, "otto")


def _tile(window: Visit, words: str) -> Locator:
    return window.page.locator(".tile", has_text=words).locator("b")


def _running(tower: Tower) -> list[dict[str, str]]:
    """What the CEs run, by their own lists; all of it lasts."""
    return [job for ce in ("arc6", "arc7") for job in tower.jobs_at(ce) if job["state"] == "RUNNING"]


def test_figures_move_without_a_reload_and_are_those_of_panda_and_the_ces(vera: Visit, tower: Tower) -> None:
    page = vera.page
    vera.go("/")
    expect(_tile(vera, RUNNING)).to_have_text("0")
    expect(_tile(vera, ENDED)).to_have_text("0")
    page.evaluate("window.sameDocument = true")
    orders = ((OLD, LONG - 1, 900), (NEW, 1, 900), (OLD, SHORT // 2, 3), (NEW, SHORT // 2, 3))
    common = {"inputs": 1, "outputs": 1}
    tower.scene.call("panda", "/jobs", [common | {"queue": q, "n": n, "run_s": run_s} for q, n, run_s in orders])
    expect(_tile(vera, RUNNING)).not_to_have_text("0", timeout=PATIENCE_MS)
    eventually(lambda: tower.books().get("finished") == SHORT, "the end of the short jobs")
    expect(_tile(vera, ENDED)).to_have_text(str(SHORT), timeout=PATIENCE_MS)
    expect(_tile(vera, RUNNING)).to_have_text(str(LONG), timeout=PATIENCE_MS)
    expect(page.locator("main")).to_contain_text(OLD, timeout=PATIENCE_MS)
    assert page.evaluate("window.sameDocument")
    assert len(_running(tower)) == LONG
    said = tower.act("status")["ces"]
    assert sum(ce["jobs"].get("running", 0) for ce in said) == LONG


PLACES = {
    "/": ("arc6", "arc7", NEW, "x509-proxy"),
    "/ces": ("arc6", "arc7", "here"),
    "/ces/arc6": ("arc-rest", OLD, "running", "Capacity, as it says itself"),
    "/queues": (OLD, NEW),
    f"/queues/{OLD}": (OLD, "arc6"),
    "/jobs?state=running": (f"{LONG} match", "running"),
    "/jobs?state=done&archived=false": ("match",),
    "/decisions": ("Topic",),
    "/credentials": ("x509-proxy", "no job"),
    "/audit": ("web.sign-in", "vera"),
    "/search?q=arc": ("arc6", "arc7"),
}


def _job(window: Visit, tower: Tower) -> tuple[str, str]:
    """The PandaID of a running job, and its CE's id of it, by the CE's own list."""
    remote = next(one["id"] for one in tower.jobs_at("arc6") if one["state"] == "RUNNING")
    known = window.page.request.get(f"{tower.url}/api/jobs?state=running").json()["jobs"]
    (line,) = [one for one in known if one["remote_id"] == remote]
    return line["app_job_id"].partition(".")[0], remote


def test_each_view_shows_what_there_is(vera: Visit, tower: Tower) -> None:
    number, remote = _job(vera, tower)
    missed: dict[str, list[str]] = {}
    for place, words in (PLACES | {f"/search?q={number}": (remote, OLD, "What PanDA sent", "running")}).items():
        vera.go(place)
        text = vera.page.inner_text("main")
        missed[place] = [word for word in words if word not in text]
    assert {place: words for place, words in missed.items() if words} == {}


@pytest.mark.parametrize("which", [0, 1], ids=["PandaID", "the CE's id"])
def test_a_job_is_found_with_the_keyboard(vera: Visit, tower: Tower, which: int) -> None:
    ids = _job(vera, tower)
    vera.go("/ces")
    vera.page.keyboard.press("/")
    vera.page.keyboard.type(f"{ids[which]}\n")
    vera.page.wait_for_url("**/jobs/atlas/**")
    text = vera.page.inner_text("main")
    assert f"PanDA job {ids[0]}" in text
    assert ids[1] in text


def test_a_viewer_is_offered_nothing_and_refused_everything(vera: Visit, tower: Tower) -> None:
    number, _ = _job(vera, tower)
    for place in (f"/search?q={number}", "/jobs?state=running", "/ces/arc6", f"/queues/{OLD}", "/"):
        vera.go(place)
        assert vera.page.locator("form[action*='/do/'] button").count() == 0, place
    word = vera.page.input_value(".person input[name=word]")
    form: dict[str, str | float | bool] = {"word": word, "request": "cancel", "job": f"atlas:{number}.0"}
    answer = vera.page.request.post(f"{tower.url}/do/jobs", form=form, headers={"Origin": tower.url})
    assert answer.status == 403
    assert "the role operator is needed" in answer.text()
    line = tower.act("audit", "--who", "vera")[0]
    assert (line["deed"], line["done"]) == ("jobs.cancel", False)
    assert len(_running(tower)) == LONG


def test_the_past_is_reached_by_keys(vera: Visit) -> None:
    vera.go("/")
    vera.page.keyboard.press("p")
    for _ in range(20):
        vera.page.keyboard.press("ArrowLeft")
    vera.page.wait_for_selector("main .then")
    assert "at=" in vera.page.url
    assert vera.page.locator("#live-sign").is_hidden()
    vera.page.keyboard.press("n")
    vera.page.wait_for_selector("#live-sign:visible")
    assert "at=" not in vera.page.url


def test_an_operator_cancels_a_job_that_runs(otto: Visit, tower: Tower) -> None:
    number, remote = _job(otto, tower)
    otto.go(f"/search?q={number}")
    otto.page.click("button.danger:has-text('Cancel')")
    assert "Kill this job?" in otto.page.inner_text("#confirm-words")
    otto.page.click("#confirm button[value=yes]")
    assert "cancel: 1 of 1 jobs" in otto.page.inner_text(".said")

    def killed() -> bool:
        return next(one for one in tower.jobs_at("arc6") if one["id"] == remote)["state"] in ("KILLED", "WIPED")

    eventually(killed, "the end of the job at its CE")
    eventually(lambda: tower.book_of(int(number))["status"] in ("failed", "cancelled", "closed"), "its end in PanDA")
    otto.page.wait_for_selector("h1 .badge:has-text('cancelled')", timeout=PATIENCE_MS)
    assert otto.page.locator("button:has-text('Cancel')").count() == 0
    line = tower.act("audit", "--who", "otto")[0]
    assert (line["deed"], line["role"], line["done"]) == ("jobs.cancel", "operator", True)
    assert line["via"].startswith("web ")
    otto.go("/audit")
    assert re.search(r"otto\s+operator\s+jobs\.cancel", otto.page.inner_text("main"))


def test_every_view_fits_a_phone(browser: Browser, tower: Tower) -> None:
    with visit(browser, tower.url, PHONE, "dark") as window:
        tower.enter(window, "otto")
        for place in (*PLACES, "/?at=10s ago", "/ces/arc6?at=10s ago"):
            window.go(place)
            assert window.too_wide == 0, place
        assert window.complaints == []


def test_a_page_that_is_killed_comes_back_by_itself(browser: Browser, tower: Tower) -> None:
    with visit(browser, tower.url, WIDE) as window:
        tower.enter(window, "otto")
        window.go("/ces")
        window.page.evaluate("window.sameDocument = true")
        os.kill(tower.child("page"), signal.SIGKILL)
        window.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # it looks at once, not in 5 s
        window.page.wait_for_selector("#banner:visible", timeout=PATIENCE_MS)
        assert "does not answer" in window.page.inner_text("#banner")
        window.page.wait_for_selector("#banner", state="hidden", timeout=PATIENCE_MS)
        assert window.page.evaluate("window.sameDocument")
        expect(window.page.locator("#live-sign")).to_contain_text("live")

"""The system's Chromium, steered over its own protocol: it asks nobody but the page."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
WORDS = (
    "--no-sandbox",  # it loads our own pages alone, and root has no sandbox
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDE, PHONE = (1280, 900), (390, 844)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(WORDS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass(slots=True)
class Visit:
    """Somebody's window; what its console complained of, and who was asked but the page."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("pageerror", lambda err: self.complaints.append(str(err)))
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self._asked(request))  # it writes into the owner of a method

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:")):
            self.strangers.append(request.url)

    def sign_in(self, name: str, password: str) -> None:
        self.page.goto(f"{self.base}/login")
        self.page.fill("[name=name]", name)
        self.page.fill("[name=password]", password)
        self.page.click("button.main")
        self.page.wait_for_selector("nav")

    def go(self, place: str) -> None:
        self.page.goto(f"{self.base}{place}")
        self.page.wait_for_function("!document.querySelector('.plot:empty')")

    @property
    def too_wide(self) -> int:
        """By how many pixels the page is wider than its window."""
        wide: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return max(0, wide)


@contextmanager
def visit(
    browser: Browser, base: str, size: tuple[int, int], scheme: Literal["light", "dark"] = "light"
) -> Iterator[Visit]:
    width, height = size
    context: BrowserContext = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    try:
        made = Visit(context.new_page(), base)
        made.watch()
        yield made
    finally:
        context.close()

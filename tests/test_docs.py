"""The docs are one book: every link leads to a page that is there, and every anchor to a heading on it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"\bdocs/[\w./-]+\.md(?:#[\w-]+)?")  # pages that sentences of the program name


def anchor(heading: str) -> str:
    """As it is made of a heading where such pages are shown: small letters, words by hyphens, no other signs."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    return {anchor(line.lstrip("#").strip()) for line in text.splitlines() if re.match(r"#{1,6} ", line)}


def leads_nowhere(page: Path, target: str) -> str:
    """Why a link of a page is dead; empty: it is not."""
    path, _, name = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.exists():
        return f"{page.relative_to(ROOT)}: {target}: no such file"
    if name and there.suffix == ".md" and name not in anchors(there):
        return f"{page.relative_to(ROOT)}: {target}: no such heading"
    return ""


def links(page: Path) -> Iterator[str]:
    for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page: Path) -> None:
    assert [dead for target in links(page) if (dead := leads_nowhere(page, target))] == []


def test_a_dead_link_would_be_seen(tmp_path: Path) -> None:
    page = ROOT / "docs" / "running.md"
    assert leads_nowhere(page, "nosuch.md").endswith("no such file")
    assert leads_nowhere(page, "policy.md#nosuch").endswith("no such heading")
    assert leads_nowhere(page, "policy.md#modes") == ""
    assert anchor("Who may what?") == "who-may-what"


def test_every_page_stands_in_the_readme() -> None:
    linked = {(ROOT / target.partition("#")[0]).resolve() for target in links(ROOT / "README.md")}
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page not in linked] == []


def test_pages_that_the_program_names_are_there() -> None:
    places = [*(ROOT / "act_core").rglob("*.py"), *(ROOT / "flows").glob("*.py"), *(ROOT / "examples").iterdir()]
    found = {(path, named) for path in places for named in NAMED.findall(path.read_text(encoding="utf-8"))}
    assert len(found) > 10
    assert [f"{path.name}: {why}" for path, named in found if (why := leads_nowhere(ROOT / "x", named))] == []

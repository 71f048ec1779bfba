"""`make audit`: silence of a service is no all-clear."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[1] / "requirements" / "audit.py"
GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found on PyPI"}


def verdict(told: list[dict[str, Any]]) -> tuple[int, list[str]]:
    spec = importlib.util.spec_from_file_location("audit", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said: tuple[int, list[str]] = module.verdict(told)
    return said


@pytest.mark.parametrize(
    ("told", "code", "words"),
    [
        pytest.param([GOOD], 0, "1 pins, 0 with", id="none"),
        pytest.param([GOOD, BAD, UNKNOWN], 1, "b 2: CVE-1, mended in 2.1", id="one"),
        pytest.param([GOOD, UNKNOWN], 2, "not told of: c", id="one that nobody knows"),
        pytest.param([UNKNOWN, UNKNOWN], 2, "nothing is known", id="a service that knows none"),
        pytest.param([], 2, "nothing is known", id="no service"),
    ],
)
def test_what_the_services_say(told: list[dict[str, Any]], code: int, words: str) -> None:
    found, lines = verdict(told)
    assert found == code
    assert words in " ".join(lines)

"""What the tests with real processes measured: a row each in `docs/faults.md`."""

import json
import os
from pathlib import Path

from tests.faults.matrix.cells import REAL

RESULTS = Path(__file__).resolve().parents[2] / ".faults"


def measured(what: str, seconds: float) -> None:
    """Keep for the page how long recovery took by the wall's clock. Raises AssertionError if that was too long."""
    RESULTS.mkdir(exist_ok=True)
    name = f"real-{list(REAL).index(what)}.json"
    fresh = RESULTS / f"{name}.{os.getpid()}"
    fresh.write_text(json.dumps({what: {"recovery": seconds}}))
    fresh.replace(RESULTS / name)
    assert seconds <= REAL[what], f"{what}: work went on after {seconds:.0f} s of {REAL[what]:.0f}"

"""The contract of all back ends, where it says something else of HTCondor when files are spooled."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from condor import Condor
from real_benches import open_pool

from tests.contract.benches import Bench
from tests.contract.test_outputs import test_a_declared_output_that_is_missing
from tests.contract.test_submission import (
    test_a_job_does_not_run_before_its_commit,
    test_a_source_that_is_not_there_is_refused_for_good,
    test_inputs_can_be_sent_again,
    test_its_own_input_is_the_commit,
)
from tests.contract.test_wishes import test_cleaned_twice, test_kill_before_it_runs

__all__ = [
    "test_a_declared_output_that_is_missing",
    "test_a_job_does_not_run_before_its_commit",
    "test_a_source_that_is_not_there_is_refused_for_good",
    "test_cleaned_twice",
    "test_inputs_can_be_sent_again",
    "test_its_own_input_is_the_commit",
    "test_kill_before_it_runs",
]
pytestmark = pytest.mark.real

PATIENCE_S = 150.0


@pytest.fixture
def tmp_path(open_path: Path) -> Path:
    return open_path


@pytest.fixture
async def bench(condor: Condor, tmp_path: Path, eventually: Callable[..., Awaitable[Any]]) -> AsyncIterator[Bench]:
    async with open_pool(condor, tmp_path, files="spool") as (ce, settle):
        yield Bench(ce, tmp_path, settle, partial(eventually, patience=PATIENCE_S))

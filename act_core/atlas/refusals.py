"""Jobs that are not translated, and why, as a table. Each fails in PanDA with these words and blocks nobody."""

from collections.abc import Callable
from dataclasses import dataclass

from act_core.atlas.modes import candidates
from act_core.atlas.rules import Case


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row. `why` names the culprit, with its numbers."""

    name: str
    when: Callable[[Case], bool]
    why: Callable[[Case], str]
    source: str


def _largest_memory(case: Case) -> int:
    """MB that the queue gives to this job at most; 0: nobody says."""
    queue = case.queue
    return (queue.maxrss or 0) * (case.job.cores if queue.per_core else 1)


def _too_much_memory(case: Case) -> bool:
    return case.queue.truepilot and 0 < _largest_memory(case) < (case.job.memory_mb or 0)


def _no_ce_that_moves_data(case: Case) -> bool:
    return bool(case.queue.endpoints) and not candidates(case.queue)


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "a pull queue",
        lambda c: not c.queue.push,
        lambda _: "a pull queue: it has no use for a job that PanDA has handed out",
        "10 inputfiles",
    ),
    Refusal(
        "a native queue with no ARC CE",
        _no_ce_that_moves_data,
        lambda c: (
            "a native queue (copytool mv), whose CE moves the data, needs an ARC CE, and has only "
            + ", ".join(f"{one.name} ({one.kind})" for one in c.queue.endpoints)
        ),
        "13 truepilot",
    ),
    Refusal(
        "more cores than a true-pilot queue has",
        lambda c: c.queue.truepilot and c.queue.corecount is not None and c.job.cores > c.queue.corecount,
        lambda c: f"it wants {c.job.cores} cores, and the queue's corecount is {c.queue.corecount}",
        "panda.md 5",
    ),
    Refusal(
        "more memory than a true-pilot queue has",
        _too_much_memory,
        lambda c: (
            f"it wants {c.job.memory_mb} MB, and the queue's maxrss gives {_largest_memory(c)} to {c.job.cores} cores"
        ),
        "panda.md 5",
    ),
)


def refusal_of(case: Case) -> str | None:
    """Why the job is not translated."""
    return next((refusal.why(case) for refusal in REFUSALS if refusal.when(case)), None)

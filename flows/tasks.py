"""What Prefect shows of a window: a task for a key (a CE, a PanDA queue) or for a group of keys, never for a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import task_run
from prefect.states import Completed, Failed

from act_core.apps import Part
from act_core.errors import Transient
from act_core.runtime import Counts

if TYPE_CHECKING:
    from flows.rounds import Group, Window

RETRIES = 2
Done = tuple[Counts, list[str]]  # what was done, and the troubles in words
_open: dict[str, Window] = {}  # the parameters of a task are recorded, so they get a window's id


def in_words(counts: Counts, troubles: Sequence[str] = ()) -> str:
    """`12 submitted, 1 errors (ce3: timed out)`, or that there was nothing."""
    words = ", ".join(f"{n} {word}" for word, n in counts.items() if n) or "nothing to do"
    more = f"; {len(troubles) - 3} more" if len(troubles) > 3 else ""
    return f"{words} ({'; '.join(troubles[:3])}{more})" if troubles else words


class Caller(Protocol):
    """How a window starts its work: as Prefect's tasks, or (in tests) without them."""

    async def one(self, window: Window, part: Part, key: str) -> object: ...
    async def group(self, window: Window, group: Group) -> object: ...


class AsTasks:
    """Work as Prefect's tasks."""

    async def one(self, window: Window, part: Part, key: str) -> object:
        _open[window.id] = window
        return await rounds(part.verb, key, window.parts.index(part), window.id)

    async def group(self, window: Window, group: Group) -> object:
        _open[window.id] = window
        return await group_rounds(group.part.verb, group.number, group.name, window.id)


def closed(window: Window) -> None:
    """Its tasks have ended."""
    _open.pop(window.id, None)


def worth_a_retry(_task: Any, _run: TaskRun, state: State[Any]) -> bool:
    """Only trouble that passes; whether enough of the window is left was asked before it was raised."""
    return isinstance(state.data, Transient)


@task(
    name="rounds",
    task_run_name="{verb} {ce}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=[1, 3],
    retry_jitter_factor=0.5,
    retry_condition_fn=worth_a_retry,
)
async def rounds(verb: str, ce: str, part: int, window: str) -> State[Any]:
    """One CE (or queue, or storage host) for the rest of a window."""
    here = _open[window]
    last_try = int(task_run.run_count or 1) > RETRIES
    return ended(*await here.in_time(here.parts[part], ce, last_try))


@task(name="group", task_run_name="{verb} group {number} ({names})", cache_policy=NO_CACHE, persist_result=False)
async def group_rounds(verb: str, number: int, names: str, window: str) -> State[Any]:
    """Several CEs, each in an asyncio task of its own: where there are too many for a Prefect task each."""
    return ended(*await _open[window].groups[number - 1].run())


def ended(counts: Counts, troubles: Sequence[str]) -> State[Any]:
    """What people read of a task: red if nothing but trouble came of it."""
    words = in_words(counts, troubles)
    if set(+counts) == {"errors"}:
        return Failed(message=words)
    return Completed(message=words)

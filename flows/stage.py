"""The flows of applications' own stages: `flows.stage.<name>`, made when somebody asks for them.

An application has no flow file: its stages are data. Each gets a flow of its own name all the same, so that Prefect's
pages and the worker know it as one of ours.
"""

from functools import cache
from typing import Any

from prefect import Flow, flow
from prefect.client.schemas.objects import State

from flows.forms import Names, Window
from flows.window import run_window

PLACE = __name__


def entrypoint(stage: str) -> str:
    return f"{PLACE}.{stage.replace('-', '_')}"


@cache
def flow_of(stage: str) -> Flow[..., Any]:
    """The flow of a stage: the same for all, but for the name."""

    @flow(name=stage, persist_result=False)
    async def own_stage(window: Window = 58, ces: Names = None) -> State[Any]:
        """A stage of an application.

        Args:
            window: seconds that the run stays open for new work; 0: one pass.
            ces: only these keys of its parts; none: all that have work.
        """
        return await run_window(stage, window, ces)

    return own_stage


def __getattr__(name: str) -> Flow[..., Any]:
    """Prefect asks this module for the flow that a deployment's entry point names."""
    if name.startswith("_"):
        raise AttributeError(name)
    return flow_of(name.replace("_", "-"))

"""What the ledger notes, as events of Prefect: `act.TOPIC.REASON`, and `act.TOPIC.over` when it is over."""

import uuid
from collections.abc import Mapping
from typing import Any

from prefect.events import emit_event

from act_core.db import ledger
from act_core.db.policy_models import LedgerLine
from act_core.monitor.sentences import told
from act_core.reasons import Topic
from act_core.runtime import Runtime

# What somebody may want to be called for. Why jobs wait changes all day long.
TOPICS = frozenset(Topic) - {Topic.SUBMIT, Topic.INPUTS, Topic.LIMIT, Topic.OUTPUTS, Topic.CLEAN}
MOST = 100  # events of a window: more of them would be read by nobody
SPACE = uuid.UUID("6f1b1c52-6b0e-5a8c-9f3e-2b0a3c6f7d11")
_heard: dict[str, int] = {}  # tower → the newest line that was told


async def tell(rt: Runtime) -> int:
    """Send what is new since the last call of this process; returns how many. The first call only looks."""
    if rt.tower not in _heard:
        _heard[rt.tower] = await rt.read(ledger.newest)
        return 0
    lines = await rt.read(ledger.since, _heard[rt.tower], sorted(topic.value for topic in TOPICS), MOST)
    for line in lines:
        emit_event(**event_of(rt.tower, line))
    if lines:
        _heard[rt.tower] = lines[-1].id
    return len(lines)


def event_of(tower: str, line: LedgerLine) -> dict[str, Any]:
    """The line as an event. Its id follows from the line, so that two workers tell it once."""
    tell = told(line.code, line.facts, line.at) if line.code else None
    sentences: Mapping[str, str] = {"why": tell.why, "next": tell.next, "do": tell.do} if tell else {}
    return {
        "event": f"act.{line.topic}.{line.code or 'over'}",
        "resource": {
            "prefect.resource.id": f"act.{subject(line)}",
            "prefect.resource.name": line.ce or line.share or tower,
            "act.ce": line.ce,
            "act.share": line.share,
            "act.tower": tower,
        },
        "occurred": line.at,
        "payload": {"jobs": line.n, **sentences},
        "id": uuid.uuid5(SPACE, f"{tower}/{line.id}"),
    }


def subject(line: LedgerLine) -> str:
    if line.job_id:
        return f"job.{line.job_id}"
    return f"ce.{line.ce}" if line.ce else f"share.{line.share}" if line.share else "tower"

"""What a step decided of one attempt: the only values that `settle` takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from act_core.states import CeState, Request

# Columns that a decision may write beside the state. Their types are those of `db.models.CeJob`.
WRITABLE = (
    "ce",
    "remote_id",
    "native_state",
    "native_since",
    "send_deadline",
    "inputs_sent_at",
    "absent_since",
    "due_at",
    "ce_clean_at",
    "tries",
    "reruns",
    "credential_id",
    "proxy_until",
    "rule",
    "exit_code",
    "error",
    "node",
    "batch_id",
    "wall_s",
    "cpu_s",
    "memory_kb",
    "cores",
    "started_at",
    "ended_at",
)


@dataclass(frozen=True, slots=True)
class Move:
    """The attempt goes to another state, for a reason that people will read."""

    to: CeState
    reason: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    wish_done: bool = False  # the request that was picked is fulfilled, or has become void
    successor: bool = False  # the next attempt is inserted in the same transaction
    costs_attempt: bool = True  # …and uses up one of attempts_left
    news: bool = True  # False: its application does not hear of it, since the operator has to decide
    wish: Request | None = None  # what the engine itself wants next; never replaces a stronger wish


@dataclass(frozen=True, slots=True)
class Stay:
    """The state holds; some columns change. Written without an event unless there is a reason."""

    columns: Mapping[str, Any] = field(default_factory=dict)
    reason: str | None = None
    wish_done: bool = False
    wish: Request | None = None  # what the engine itself wants next; never replaces a stronger wish
    successor: bool = False
    costs_attempt: bool = True


Decision = Move | Stay

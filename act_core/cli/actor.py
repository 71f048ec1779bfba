"""Who sits at the command line: what the audit calls him."""

import os
import pwd
import socket
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from act_core.cli.context import now
from act_core.db import audit
from act_core.db.audit import ADMIN, Actor
from act_core.db.session import Database


def actor() -> Actor:
    """The account; who came to it by sudo is named beside it."""
    user = _account()
    behind = os.environ.get("SUDO_USER", "")
    who = f"{user} ({behind} by sudo)" if behind and behind != user else user
    return Actor(who, ADMIN, f"cli {socket.gethostname()}")


def _account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an account that only a container knows
        return f"uid {os.getuid()}"


def noted(db: Database, deed: str, subject: str, facts: Mapping[str, Any], *, done: bool = True) -> None:
    """A line of the audit for a deed that had a transaction of its own, or none."""
    moment: datetime = now()
    db.write(audit.note, actor(), deed, subject, done, facts, moment)

"""How many PanDA jobs stand where, in the transaction that counts attempts."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from act_core.db.counting import Key, rewrite
from act_core.db.panda_models import PandaCount, PandaRow

NOTHING = ""  # PanDA was told nothing yet; no word of PanDA's is empty
KEY = ("server", "queue", "state", "told")


def count(session: Session) -> int:
    """Bring `panda_counts` up to date; returns how many rows had to be written."""
    groups = (PandaRow.server, PandaRow.queue, PandaRow.state, PandaRow.told)  # an index has them in this order
    found = session.execute(
        select(*groups, func.count(), func.sum(PandaRow.cores), func.min(PandaRow.state_since)).group_by(*groups)
    )
    counts: dict[Key, Mapping[str, Any]] = {
        (server, queue, state, told or NOTHING): {"n": n, "cores": int(cores), "oldest": oldest}
        for server, queue, state, told, n, cores, oldest in found
    }
    return rewrite(session, PandaCount, KEY, counts)

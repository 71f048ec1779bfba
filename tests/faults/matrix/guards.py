"""Five guards, each with a switch that takes it away (here and nowhere else), and the cells that notice.

`python -m tests.faults.matrix.guards` runs them: it ends with 0 only if for every guard at least one cell fails.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.atlas.panda_v1 import PandaV1
from act_core.atlas.reports import Outcome, Update, UpdateAnswer
from act_core.ce import arc_submission
from act_core.ce.arc_rest import ArcCe
from act_core.db import claims
from act_core.db.attempts import Attempt
from act_core.db.bootstrap import bootstrap
from act_core.db.models import CeJob
from act_core.db.session import Database
from act_core.decisions import Decision
from act_core.engine import reconcile
from act_core.errors import ActError
from act_core.settings.model import ArcSettings, Db, Settings
from act_core.settings.policy import Disk
from act_core.simulators.pki import TestPki
from tests.faults.matrix.cells import Cell, Group
from tests.faults.matrix.trial import Tried, tried


@contextmanager
def without_versions() -> Iterator[None]:
    """Settle writes rows that have changed since they were picked."""
    real = claims.settle

    def settle(session: Session, decisions: Mapping[Attempt, Decision], now: datetime, actor: str) -> claims.Settled:
        wanted = select(CeJob.id, CeJob.version).where(CeJob.id.in_([one.id for one in decisions]))
        versions = {row.id: row.version for row in session.execute(wanted)}
        fresh = {replace(one, version=versions.get(one.id, one.version)): what for one, what in decisions.items()}
        return real(session, fresh, now, actor)

    settle.__module__, settle.__qualname__ = real.__module__, real.__qualname__
    with patch.object(claims, "settle", settle):
        yield


@contextmanager
def without_deadline() -> Iterator[None]:
    """The sender does not look at the clock before it writes the request."""
    real = arc_submission.submit

    async def submit(wire: Any, path: str, chunk: Any, now: Any, _deadline: datetime | None) -> Any:
        return await real(wire, path, chunk, now, None)

    with patch.object(arc_submission, "submit", submit):
        yield


@contextmanager
def without_commit() -> Iterator[None]:
    """Inputs are sent with the submission, before the tables know of it."""
    real = ArcCe.submit

    async def submit(self: ArcCe, specs: Any, deadline: datetime | None = None) -> Any:
        answers = await real(self, specs, deadline)
        await self.put_inputs({job: specs[key].uploads for key, job in answers.items() if isinstance(job, str)})
        return answers

    with patch.object(ArcCe, "submit", submit):
        yield


@contextmanager
def without_fence() -> Iterator[None]:
    """The next attempt is made as soon as a list does not name the one before."""
    real = reconcile.after_listing

    def hasty(attempt: Attempt, arrived: Any, complete: bool, now: datetime, grace: Any) -> Decision | None:
        seen = replace(attempt, absent_since=now, send_deadline=now)
        return real(seen, arrived, complete, now, grace * 0)

    with patch.object(reconcile, "after_listing", hasty):
        yield


@contextmanager
def without_store() -> Iterator[None]:
    """A report counts as delivered once it was sent."""
    real = PandaV1.update_jobs_bulk

    async def told(self: PandaV1, updates: Collection[Update]) -> Mapping[int, UpdateAnswer]:
        try:
            return await real(self, updates)
        except ActError:
            return {update.job_id: UpdateAnswer(Outcome.ACCEPTED) for update in updates}

    with patch.object(PandaV1, "update_jobs_bulk", told):
        yield


@dataclass(frozen=True)
class Guard:
    """`away` takes it away; `cells`: where that shows."""

    name: str
    away: Callable[[], Any]
    cells: tuple[Cell, ...]


GUARDS = (
    Guard("version guard", without_versions, (Cell("good", "claims.settle for poll", "slept through its lease"),)),
    Guard("send deadline", without_deadline, (Cell("good", "claim.claim", "slept past its deadline"),)),
    Guard("commit by input", without_commit, (Cell("unlisted", "claims.settle for submit", "killed before"),)),
    Guard("fencing", without_fence, (Cell("listed late", "claims.settle for submit", "killed before"),)),
    Guard("report store", without_store, (Cell("good", "panda: final report", "500"),)),
)


async def shown(guard: Guard, base: Callable[[Path], Settings], pki: TestPki, root: Path) -> list[Tried]:
    """The guard's cells without it."""
    found: list[Tried] = []
    for number, cell in enumerate(guard.cells):
        place = root / f"{guard.name.replace(' ', '-')}-{number}"
        await asyncio.to_thread(place.mkdir)
        with guard.away():
            found += await tried(Group((cell,)), base(place), pki, place)
    return found


def _base(template: Path) -> Callable[[Path], Settings]:
    def settings(place: Path) -> Settings:
        file = Path(shutil.copy(template, place / "act.sqlite"))
        return Settings(state_dir=place, arc=ArcSettings(db=Db(file=file), disk=Disk(fetchjobs=0, downloads=0)))

    return settings


def main() -> int:
    silent: list[str] = []
    with tempfile.TemporaryDirectory(prefix="act-guards-") as name:
        root = Path(name)
        database = Database(Settings(state_dir=root))
        bootstrap(database, datetime.now(UTC))
        database.close()
        pki, base = TestPki(root / "pki"), _base(root / "act.sqlite")
        for guard in GUARDS:
            found = asyncio.run(shown(guard, base, pki, root))
            for one in found:
                print(f"without {guard.name}: {one.cell.name}: {'; '.join(one.wrong) or 'holds all the same'}")
            silent += [] if any(one.wrong for one in found) else [guard.name]
    print(f"no cell notices: {', '.join(silent)}" if silent else f"all {len(GUARDS)} guards are needed")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())

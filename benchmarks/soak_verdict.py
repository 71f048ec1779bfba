"""What became of the jobs of a soak, by witnesses: PanDA's books, the payloads' trace, the CEs' lists, storage."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db.panda_models import PandaRow
from act_core.simulators.panda_columns import TIME_FORMAT
from act_core.simulators.scene import Scene
from benchmarks.day import FILES, FINAL
from benchmarks.soak_plan import MENTIONS
from benchmarks.soak_strikes import NOT_STRUCK
from benchmarks.standing import Standing

BEFORE_S, AFTER_S = 30.0, 30.0  # a call for jobs may be on its way so long before and after a fault
SENT, CHUNK = "sent", 1000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Numbers of jobs; `files`: on storage. `unheard`: PanDA gave them out in an answer that a fault tore off.

    PanDA takes an unheard job back after half an hour; nobody has it, and it never ran.
    """

    ordered: int
    finished: int
    otherwise: int  # over, and not finished
    unheard: int
    lost: int
    twice: int
    never: int  # finished, and never ran
    left: int  # on their CEs
    ran: int
    files: int

    def said(self) -> list[str]:
        """What was not well."""
        told = (
            (self.lost, f"{self.lost} of {self.ordered} jobs are lost: not over in PanDA"),
            (self.otherwise, f"{self.otherwise} jobs ended otherwise than finished"),
            (self.twice, f"{self.twice} jobs ran twice"),
            (self.never, f"{self.never} jobs are finished and never ran"),
            (self.left, f"{self.left} jobs are left on their CEs"),
            (self.files != FILES * self.ran, f"{self.files} files on storage of {self.ran} jobs that ran"),
        )
        return [words for wrong, words in told if wrong]


def known(session: Session, numbers: Sequence[int]) -> set[int]:
    """Of PanDA's numbers those that the tower has."""
    return set(session.scalars(select(PandaRow.panda_id).where(PandaRow.panda_id.in_(numbers))))


def sent(scene: Scene) -> Mapping[str, Any]:
    """PanDA's pages of jobs that were given out and of which it has heard nothing."""
    found: Mapping[str, Any] = scene.call("panda", f"/books?status={SENT}")["jobs"]
    return found


def nobodys(scene: Scene, up: Standing) -> int:
    """Jobs that were given out and that the tower does not know. Raises ActError when its tables cannot be read."""
    numbers = [int(one) for one in sent(scene)]
    chunks = (numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK))
    return len(numbers) - sum(len(up.db.read(known, chunk)) for chunk in chunks)


def unheard(
    pages: Mapping[str, Any], ran: Collection[str], struck: Iterable[Mapping[str, Any]], began: datetime
) -> set[str]:
    """Jobs for whose reservation a fault of the time answers; others that are `sent` at the end are lost."""
    spans = [(one["began"] - BEFORE_S, (one["ended"] or one["began"]) + AFTER_S) for one in struck if _tears(one)]
    found = set()
    for number, page in pages.items():
        given = datetime.strptime(page["columns"]["startTime"], TIME_FORMAT).replace(tzinfo=UTC)
        at = (given - began).total_seconds()
        if number not in ran and not page["updates"] and any(first <= at <= last for first, last in spans):
            found.add(number)
    return found


def _tears(struck: Mapping[str, Any]) -> bool:
    return struck["target"] in MENTIONS and not struck["trouble"].startswith(NOT_STRUCK)


def verdict(scene: Scene, ordered: int, struck: Iterable[Mapping[str, Any]], began: datetime) -> Verdict:
    """`began`: of the first order, from which the faults' seconds count."""
    by_status, runs = scene.call("panda", "/books/summary")["by_status"], scene.executions()
    over = sum(by_status.get(word, 0) for word in FINAL)
    finished = by_status.get("finished", 0)
    torn = len(unheard(sent(scene), runs.keys(), struck, began))
    return Verdict(
        ordered,
        finished,
        over - finished,
        torn,
        ordered - over - torn,
        sum(n > 1 for n in runs.values()),
        max(0, finished - len(runs)),
        sum(scene.left().values()),
        len(runs),
        scene.stored(),
    )

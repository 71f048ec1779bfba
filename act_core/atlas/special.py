"""Queues whose jobs are asked for differently, as a table. How to add one: docs/translation.md."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from act_core.settings.app_model import SpecialSite

SPECIAL: tuple[SpecialSite, ...] = (
    SpecialSite(
        queues=(
            "ANALY_ARNES_DIRECT", "ARNES", "DCSC", "HPC2N", "LUNARC", "NSC", "UIO", "UIO_CLOUD", "UNIBE-LHEP",
            "UNIBE-LHEP-UBELIX", "UNIBE-LHEP-UBELIX_MCORE_LOPRI", "UNIGE-BAOBAB",
        ),
        labels=("user",),
        walltime_factor=1.5,
        why="10 walltime: NDGF's analysis takes longer than PanDA believes",
    ),
    SpecialSite(queues=("Vega*",), walltime_least=360, why="10 walltime"),
    SpecialSite(queues=("Vega", "Vega_largemem"), one_core_memory=0.5, why="10 memory"),
    SpecialSite(queues=("*BOINC*",), proxy=False, why="10 runtimeenvironment: volunteers get no proxy"),
    SpecialSite(queues=("BOINC*",), walltime_most=240, one_core_cputime=True, why="10 walltime, cputime"),
    SpecialSite(queues=("BOINC_LONG*",), walltime_most=1200, why="10 walltime"),
    SpecialSite(queues=("BOINC_MCORE*",), memory_mb=2400, priority=28, why="10 memory, priority: what volunteers have"),
    SpecialSite(queues=("*CA-SFU-T2*", "*WATERLOO*"), own_walltime=True, why="10 walltime: they want the job's own"),
    SpecialSite(queues=("UIO_CLOUD", "DE-TARDIS"), disk=True, why="10 disk"),
)  # fmt: skip


def special_of(queue: str, label: str, more: Sequence[SpecialSite] = ()) -> SpecialSite:
    """All that is special for a job of this queue: what a later row sets replaces what an earlier one set."""
    found: dict[str, Any] = {}
    for row in (*SPECIAL, *more):
        if any(fnmatchcase(queue, name) for name in row.queues) and (not row.labels or label in row.labels):
            found |= row.model_dump(exclude_none=True, exclude={"queues", "labels", "why"})
    return SpecialSite(queues=(queue,), **found)

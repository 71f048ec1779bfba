"""`docs/faults.md`, from what the last `make test-faults` found. See `make faults-page`."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.faults.matrix.cells import (
    ALL,
    CALLS,
    KILLS,
    LEASE_S,
    MARIADB,
    REAL,
    REPLIES,
    SLEEPS,
    SQLITE,
    UNHEARD,
    WHOLE,
    WRITES,
    Cell,
    cells,
    database_of,
)

ROOT = Path(__file__).resolve().parents[3]
RESULTS, PAGE = ROOT / ".faults", ROOT / "docs" / "faults.md"
NONE, UNKNOWN = "·", "?"
HEAD = """\
# What breaks, and what becomes of the jobs
Made by `make faults-page` from what the last run of `make test-faults` found: {n} cells. Each is one fault at one point
of a life from PanDA to PanDA, with a simulated PanDA, CRIC, storage and ARC CE in one process. After each: PanDA has
every job's end and a final report of it, the CE's witness counts one execution a job, nothing of ours is left on the
CE, and where work was held up the log, a job's events or its CE's row say why. What does not hang on the database is
tried on SQLite; the writes with which jobs change hands, and the troubles of a server, on a real MariaDB. There
`commit unheard` is a transaction that MariaDB has committed, and a connection that is cut before it says so.

The numbers are seconds on the test's clock from the fault (of one that lasts: from its end) until the same call goes
well again, or until no job has anything left to do. Rounds are 1 s apart while something moves and 5 s while nothing
does. A tower that was killed waits for the end of its own leases ({lease:.0f} s), as if it had died with its machine;
on the same machine a new worker ends them at once. `{none}`: no such cell; `{unknown}`: not in the last run. A job that
PanDA has handed out in an answer which nobody heard stays `sent` there until PanDA gives it up; the tower keeps account
of it, and other jobs take its place.

`make guards` takes five guards away, one at a time (version guard, send deadline, commit by input, fencing, report
store), and shows which cells fail without each.
"""
LIVES = {
    "good": "Two jobs that end well",
    "killed": "A job that PanDA wants dead while it runs: its command comes with the answer of `panda: updateJob`",
    "doubt": "A submission whose answer was lost",
    "unlisted": "The tower dies with the answer in its hand, and the CE hides the jobs for 150 s",
    "listed late": "The same, and the CE hides them for 70 s",
    "lost outputs": "Storage loses what two jobs wrote, and they are submitted anew",
    "rerun": "Jobs whose stage-in fails once",
    "refreshed": "PanDA's queues are read from CRIC all the while",
    "forgetful": "The CE's whole list is looked at, too",
    "doubled": "The same: what was sent twice is on the CE twice, and the other one is found there",
}
ON = {SQLITE: "", MARIADB: ", on MariaDB"}
REAL_HEAD = (
    "## Real processes",
    "",
    "A whole tower under `act up`, whose processes get a SIGKILL; seconds of real time until jobs that came afterwards",
    "have run, on the machine of the last run.",
    "",
)


def columns_of(some: Iterable[Cell]) -> list[str]:
    """The faults of these cells, in the order of the matrix."""
    there = {cell.fault for cell in some}
    return [fault for fault in (*KILLS, UNHEARD, *REPLIES, *SLEEPS) if fault in there]


def table(some: list[Cell], found: Mapping[str, float]) -> list[str]:
    """Points down, in the order in which a life comes to them; faults across."""
    life = some[0].life
    order = dict.fromkeys([*CALLS.get(life, ()), *WRITES.get(life, ()), *(cell.point for cell in some)])
    faults, names = columns_of(some), {(cell.point, cell.fault): cell.name for cell in some}
    points = sorted({cell.point for cell in some}, key=list(order).index)
    lines = ["| | " + " | ".join(faults) + " |", "|---" * (len(faults) + 1) + "|"]
    for point in points:
        told = [_seconds(names.get((point, fault)), found) for fault in faults]
        lines.append(f"| `{point}` | " + " | ".join(told) + " |")
    return lines


def _seconds(name: str | None, found: Mapping[str, float]) -> str:
    if name is None:
        return NONE
    return f"{found[name]:.0f}" if name in found else UNKNOWN


def page(found: Mapping[str, float]) -> str:
    """The whole page. `found`: seconds by the cell's name."""
    every = cells()
    lines = [HEAD.format(n=len(every), lease=LEASE_S, none=NONE, unknown=UNKNOWN)]
    for database, on in ON.items():
        for life, words in LIVES.items():
            some = [one for one in every if (one.life, one.database) == (life, database) and one.point != ALL]
            if some:
                lines += [f"## {words}{on}", f"Life `{life}`{on}.", "", *table(some, found), ""]
    lines += ["## The whole tower", "", "| fault | seconds |", "|---|---|"]
    lines += [f"| {cell.fault} | {_seconds(cell.name, found)} |" for cell in every if cell.point == ALL]
    lines += ["", *REAL_HEAD, "| what | seconds | at most |", "|---|---|---|"]
    lines += [f"| {what} | {_seconds(what, found)} | {most:.0f} |" for what, most in REAL.items()]
    return "\n".join(lines) + "\n"


def listed(text: str) -> list[str]:
    """The names of the cells that a page lists, and of what is done to real processes."""
    life, database, faults, names = "", SQLITE, [""], []
    for line in text.splitlines():
        parts = [part.strip() for part in line.strip("|").split("|")]
        if line.startswith("Life `"):
            life, database = line.split("`")[1], MARIADB if line.endswith(f"{ON[MARIADB]}.") else SQLITE
        elif line.startswith("| |"):
            faults = parts[1:]
        elif line.startswith("| `"):
            point = parts[0].strip("`")
            pairs = zip(faults, parts[1:], strict=True)
            names += [Cell(life, point, fault, database).name for fault, told in pairs if told != NONE]
        elif line.startswith("| ") and parts[0] in WHOLE:
            names.append(Cell(WHOLE[parts[0]], ALL, parts[0], database_of(parts[0])).name)
        elif line.startswith("| ") and parts[0] in REAL:
            names.append(parts[0])
    return names


def results() -> dict[str, float]:
    """What the processes of the last run wrote; the newest word on a cell counts."""
    found: dict[str, float] = {}
    for path in sorted(RESULTS.glob("*.json"), key=lambda one: one.stat().st_mtime):
        found |= {name: float(one["recovery"]) for name, one in json.loads(path.read_text()).items()}
    return found


def main() -> None:
    found = results()
    if missing := [name for name in (*(cell.name for cell in cells()), *REAL) if name not in found]:
        print(f"no result of {len(missing)} cells, e.g. {missing[0]}: run `make test-faults` first", file=sys.stderr)
    sys.stdout.write(page(found))


if __name__ == "__main__":
    main()

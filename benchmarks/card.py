"""The cost card: docs/costs.md, made from the results of `make bench`.

`python -m benchmarks.card bench.json > docs/costs.md`. Beside our figures stand the original's and the wanted ones.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Case, Figure, Unreadable, read

PARTS_OF_CPU, WHO = "CPU of ours per job: ", "CPU of ours per job, by "


@dataclass(frozen=True, slots=True)
class Theirs:
    """A figure of the original, and where ours of the same kind stands."""

    what: str
    value: float
    unit: str
    part: str
    figure: str


ORIGINAL = (
    Theirs("CPU time a job, database included", 10.2, "ms", "engine", "CPU per job"),
    Theirs("SQL statements a job", 18.2, "", "engine", "statements per job"),
    Theirs("commits a job", 10.2, "", "engine", "commits per job"),
    Theirs("10 CEs with 200 jobs each", 311, "s", "tower", "until all are cleaned, median"),
    Theirs("processes for them", 42, "", "tower", "processes"),
)
HOW = (
    "The original was measured on 2 cores: MariaDB with durable commits, TLS, a simulated ARC CE; a job is submitted, "
    "polled 4 times, its 3 output files are fetched, and it is cleaned. Ours is the largest run on MariaDB with "
    "two-phase submission, and the tower of 10 CEs."
)


def card(about: dict[str, Any], cases: Sequence[Case]) -> Iterator[str]:
    """Lines of the page."""
    yield "# What it costs"
    yield ""
    yield "Made by `make bench` ([benchmarks.md](benchmarks.md) says what is measured): not to be edited by hand."
    yield ""
    yield from _machine(about)
    if troubles := [f"{case.part}, {case.name}: {words}" for case in cases for words in case.said]:
        yield "**Not everything went well:**"
        yield from (f"- {_line(words)}" for words in troubles)
        yield ""
    yield from _beside(cases)
    yield from _wanted(cases)
    yield from _shares(cases)
    yield from _everything(cases)


def _line(words: str) -> str:
    return " ".join(words.split())[-300:]


def _machine(about: dict[str, Any]) -> Iterator[str]:
    words = [
        f"{about['cpu']}, {about['cores']} cores, {about['memory'] / 1e9:.0f} GB",
        f"Linux {about['kernel']}, Python {about['python']}",
        f"{about['file_system']} with {about['fsync_ms']:g} ms for an fsync, {about['file_us']:g} µs of CPU for a file",
    ]
    if held := about.get("mariadb"):
        durable = "durable commits" if held["innodb_flush_log_at_trx_commit"] == "1" else "commits that are NOT durable"
        words.append(f"MariaDB {held['version']} with {durable}")
    yield f"Measured at {about['at']} on {', '.join(words)}."
    yield f"Commit {about['commit']}; the load before it was {about['load']:.1f}."
    turn, call = (_span([one[key] for one in about["speeds"]]) for key in ("step_ns", "syscall_ns"))
    yield f"A turn of a loop that adds took {turn} of CPU between the parts, a system call {call}."
    if about.get("quick"):
        yield "**With small numbers (`--quick`): these figures mean little.**"
    yield ""


def _span(found: Sequence[float]) -> str:
    low, high = min(found), max(found)
    return f"{low:.0f} ns" if high < 1.1 * low else f"{low:.0f} to {high:.0f} ns"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'|'.join('---' for _ in titles)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _largest(cases: Sequence[Case], part: str) -> Case | None:
    """Of the engine the largest run on MariaDB with two phases; of the tower the one of which a time is wanted."""
    if part == "engine":
        found = [case for case in cases if case.part == part and "two phases" in case.name and case.figures]
        return max(found, key=lambda case: ("MariaDB" in case.name, _value(case, "seconds")), default=None)
    found = [case for case in cases if case.part == part and case.figures]
    return max(found, key=lambda case: any(one.wanted and one.unit == "s" for one in case.figures), default=None)


def _value(case: Case, what: str) -> float:
    return next((one.value for one in case.figures if one.what == what), 0.0)


def _beside(cases: Sequence[Case]) -> Iterator[str]:
    rows = []
    for one in ORIGINAL:
        case = _largest(cases, one.part)
        ours = _value(case, one.figure) if case else 0.0
        said = f"{ours:g} {one.unit}".strip() if ours else "not measured"
        times = f"{one.value / ours:.1f} times" if ours else ""
        rows.append((one.what, f"{one.value:g} {one.unit}".strip(), said, times))
    yield "## Beside the original"
    yield HOW
    yield ""
    yield from _table(("", "original", "ours", "less"), rows)


def _wanted(cases: Sequence[Case]) -> Iterator[str]:
    figures = [one for case in cases for one in case.figures if one.wanted is not None]
    missed = [one for one in figures if not one.met]
    yield "## What is wanted"
    yield f"{len(figures) - len(missed)} of {len(figures)} figures are as wanted."
    yield ""
    rows = ((one.part, one.case, one.what, _said(one), _bound(one), _by_how_much(one)) for one in figures)
    yield from _table(("part", "case", "figure", "measured", "wanted", "met"), rows)


def _said(one: Figure) -> str:
    return f"{one.value:g} {one.unit}".strip()


def _bound(one: Figure) -> str:
    return f"≤ {one.wanted:g} {one.unit}".strip()


def _by_how_much(one: Figure) -> str:
    if one.met:
        return "yes"
    return f"**no**, {one.value / one.wanted:.1f} times as much" if one.wanted else "**no**"


def _shares(cases: Sequence[Case]) -> Iterator[str]:
    """Once by what was done, once by who did it."""
    case = _largest(cases, "engine")
    if case is None:
        return
    yield "## Where it goes"
    for title, prefix in (("for", PARTS_OF_CPU), ("by", WHO)):
        spent = {one.what.removeprefix(prefix): one.value for one in case.figures if one.what.startswith(prefix)}
        if database := _value(case, "CPU of the database per job"):
            spent["the database server, for all of it"] = database
        total = sum(spent.values()) or 1.0
        yield f"CPU time of one job ({case.name}), by {'what it was spent for' if title == 'for' else 'who spent it'}:"
        yield ""
        ordered = sorted(spent.items(), key=lambda item: -item[1])
        yield from _table((title, "ms a job", "part"), ((name, f"{ms:g}", f"{ms / total:.0%}") for name, ms in ordered))


def _everything(cases: Sequence[Case]) -> Iterator[str]:
    yield "## All figures"
    for case in cases:
        yield f"### {case.part}: {case.name}"
        yield from _table(("figure", "measured"), ((one.what, _said(one)) for one in case.figures))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path, help="what `make bench` wrote")
    asked = parser.parse_args()
    try:
        about, cases = read(asked.results)
    except Unreadable as err:
        sys.stderr.write(f"{err}\n")
        return 2
    sys.stdout.write("\n".join(card(about, cases)).rstrip() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

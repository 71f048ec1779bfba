"""The measured part of docs/soak.md, made of what a soak wrote; what people wrote around it stays.

`python -m benchmarks.soak_page soak.json docs/soak.md` puts it between the marks of the page.
"""

import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.soak_figures import NoSoak, Row, read, rows

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
GB = 1e9
WORDS = {
    "ordered": "ordered at PanDA",
    "finished": "finished, by PanDA's books",
    "otherwise": "over and not finished",
    "unheard": "given out in an answer that a fault tore off: PanDA takes them back after half an hour",
    "lost": "**lost**",
    "twice": "**ran twice**",
    "never": "**finished without having run**",
    "left": "**left on a CE**, by the CEs' lists",
    "ran": "ran, by the payloads' trace",
    "files": "files on storage (two a job)",
}


def page(held: Mapping[str, Any]) -> str:
    return "\n".join([*_about(held), "", *_verdict(held), "", *_rows(rows(held)), "", *_strikes(held)])


def _about(held: Mapping[str, Any]) -> Iterator[str]:
    asked, about = held["options"], held["about"]
    server = about["mariadb"]
    tables = f"MariaDB {server['version']}" if server else "SQLite"
    yield (
        f"{asked['rate']:g} jobs/s for {timedelta(seconds=asked['seconds'])} (h:mm:ss), each of which ran for "
        f"{asked['run']:g} s; seed {asked['seed']}. Measured {about['at']} at commit `{about['commit']}` on "
        f"{about['cpu']}, {about['cores']} cores, {about['memory'] / GB:.0f} GB, Linux {about['kernel']}, "
        f"Python {about['python']}; state tables on {tables}; load before: {about['load']:.1f}."
    )
    yield ""
    yield "![memory, descriptors, jobs and lateness over time, with the faults](pictures/soak.svg)"


def _verdict(held: Mapping[str, Any]) -> Iterator[str]:
    yield "| jobs | |"
    yield "|---|---:|"
    yield from (f"| {words} | {held['verdict'][name]:,} |" for name, words in WORDS.items())
    yield f"| seconds from the last order until all was over | {held['drained_s']:.0f} |"
    yield ""
    yield "What was not well: " + ("; ".join(held["said"]) if held["said"] else "nothing") + "."


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return ""
    return f"{value:{sign},.0f}" if abs(value) >= 100 else f"{value:{sign}.1f}"


def _rows(found: list[Row]) -> Iterator[str]:
    yield "| while jobs were ordered | median | worst | first minutes | last minutes | growth | an hour, in one life |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for row in found:
        plain = [_number(one) for one in (row.median, row.worst, row.first, row.last)]
        grown = [_number(one, "+") for one in (row.growth, row.slope)]
        unit = f", {row.unit}" if row.unit else ""
        yield f"| {row.what}{unit} | {' | '.join([*plain, *grown])} |"


def _strikes(held: Mapping[str, Any]) -> Iterator[str]:
    yield "| | fault | from, s | to, s | met |"
    yield "|---:|---|---:|---:|---:|"
    for n, one in enumerate(held["strikes"], 1):
        end = "" if one["ended"] is None else f"{one['ended']:.0f}"
        name = ": ".join(filter(None, [one["name"], one["trouble"]]))
        yield f"| {n} | {name} | {one['began']:.0f} | {end} | {one['met']} |"


def renewed(text: str, measured: str) -> str:
    """The page with another measured part. Raises NoSoak where it has no place for it."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoSoak(f"no place between {BEGIN} and {END}")
    return f"{before}{begin}\n{measured}\n{end}{after}"


def main(soak: str, at: str) -> None:
    path = Path(at)
    path.write_text(renewed(path.read_text(encoding="utf-8"), page(read(Path(soak)))), encoding="utf-8")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except NoSoak as err:
        sys.exit(str(err))

"""All that `make bench` measures: figures as JSON and as a table, the wanted one beside each.

`python -m benchmarks --only engine --quick --json results.json`. MariaDB is one of our own where there is a `mariadbd`,
else the one that `--database` names. Exit 1: something did not go well, such as a job that ran twice; a figure that is
above the wanted one is told, and no failure.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.figures import Case, Figure, document, show
from benchmarks.machine import described, described_server, speed
from benchmarks.mariadb import NotThere, own_server
from benchmarks.places import KEEP
from benchmarks.plan import ALONE, LINES, PARTS, SERVER, Line
from benchmarks.tables import server_of

END_S = 120.0
err = Console(stderr=True)


@contextlib.contextmanager
def server(given: str | None, directory: Path) -> Iterator[str | None]:
    """The URL of MariaDB: the given one, or one of our own, or None."""
    if given:
        yield given
        return
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(own_server(directory)).url
        except NotThere as why:
            err.print(f"MariaDB is left out: {why}; --database names one", markup=False)
            url = None
        yield url


def measured(line: Line, quick: bool, url: str | None, kept: Path) -> Case:
    """One line of the plan, in a process of its own. `kept`: what it leaves is removed after the last one."""
    began = time.monotonic()
    try:
        words = line.words(quick, url)
    except LookupError:
        return Case(line.part, line.name, 0.0, (), ("left out: no MariaDB",))
    given = tuple(without(words[2:], url))
    with subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {KEEP: str(kept)},
    ) as child:
        try:
            out, trouble = child.communicate(timeout=line.most_s)
            said = json.loads(out.splitlines()[-1])
        except subprocess.TimeoutExpired:
            end(child)
            return Case(line.part, line.name, line.most_s, (), (f"given up after {line.most_s:.0f} s",), given)
        except (ValueError, IndexError):
            why = f"ended with {child.returncode}: {trouble.strip()[-600:]}"
            return Case(line.part, line.name, round(time.monotonic() - began, 1), (), (why,), given)
    figures = tuple(Figure(**one) for one in said["figures"])
    name = figures[0].case if figures else line.name
    took = round(time.monotonic() - began, 1)
    return Case(line.part, name, took, figures, tuple(said["said"]), given)


def end(child: "subprocess.Popen[str]") -> None:
    """With all that it has started, which it ends itself."""
    child.terminate()
    try:
        child.communicate(timeout=END_S)
    except subprocess.TimeoutExpired:
        child.kill()


def without(words: Sequence[str], url: str | None) -> list[str]:
    """The options as another may use them: no address and password of this server."""
    return [SERVER if word == url else word for word in words]


def run(lines: Sequence[Line], quick: bool, url: str | None, kept: Path, speeds: list[dict[str, float]]) -> list[Case]:
    """`speeds` gets the machine's after each line: neighbours that nobody sees change it within the hour."""
    columns = (TextColumn("{task.description:44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    cases: list[Case] = []
    with Progress(*columns, console=err) as progress:
        bar = progress.add_task("", total=len(lines))
        for line in lines:
            progress.update(bar, description=f"{line.part}: {line.name}")
            cases.append(measured(line, quick, url, kept))
            speeds.append(speed())
            progress.console.print(f"{line.part}: {line.name} took {cases[-1].took_s:.0f} s", markup=False)
            progress.advance(bar)
    return cases


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(PARTS), metavar="PART,…", help=f"of {', '.join((*PARTS, *ALONE))}")
    parser.add_argument("--quick", action="store_true", help="small numbers, to try it; its figures mean little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there, too")
    parser.add_argument("--database", help="mysql://user:password@host:port; default: a MariaDB of our own")
    asked = parser.parse_args()
    asked.only = asked.only.split(",")
    if unknown := set(asked.only) - {*PARTS, *ALONE}:
        parser.error(f"--only: no part {', '.join(sorted(unknown))}; there are {', '.join((*PARTS, *ALONE))}")
    if asked.database and not asked.database.startswith("mysql://"):
        parser.error("--database: a URL mysql://… is wanted")
    if asked.json and not asked.json.absolute().parent.is_dir():
        parser.error(f"--json {asked.json}: there is no directory {asked.json.absolute().parent}")
    return asked


def main() -> int:
    asked = parsed()
    began = time.monotonic()
    lines = [line for part in asked.only for line in LINES if line.part == part]
    about: dict[str, Any] = described() | {"quick": asked.quick}
    with (
        tempfile.TemporaryDirectory(prefix="act-bench-") as kept,
        tempfile.TemporaryDirectory(prefix="act-mariadb-") as directory,
        server(asked.database, Path(directory)) as url,
    ):
        about["mariadb"] = described_server(server_of(url)) if url else None
        cases = run(lines, asked.quick, url, Path(kept), about["speeds"])
    about["seconds"] = round(time.monotonic() - began)
    if asked.json:
        asked.json.write_text(json.dumps(document(about, cases), indent=1) + "\n", encoding="utf-8")
    show(cases)
    return 1 if any(case.said for case in cases) else 0


if __name__ == "__main__":
    sys.exit(main())

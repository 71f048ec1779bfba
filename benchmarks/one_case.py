"""What the measurements share that `make bench` puts together: their options, and how they tell what they found."""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.figures import Case, Figure, show

ENDED = 128 + signal.SIGTERM


class Parser(argparse.ArgumentParser):
    """Of one measurement that can be made by itself, too."""

    def __init__(self, doc: str | None) -> None:
        super().__init__(description=(doc or "").splitlines()[0])
        self.add_argument("--json", action="store_true", help="for programs")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED))  # what was started is ended on the way

    def database(self) -> None:
        self.add_argument(
            "--database", type=where, default="sqlite", help="sqlite, or mysql://user:password@host:port of a server"
        )

    @staticmethod
    def number(text: str) -> int:
        """Of things of which there is at least one."""
        value = int(text)
        if value < 1:
            raise argparse.ArgumentTypeError("a number from 1 on is wanted")
        return value


def where(text: str) -> str:
    """Of a database, as an option."""
    if text != "sqlite" and not text.startswith("mysql://"):
        raise argparse.ArgumentTypeError("`sqlite` or a URL mysql://… is wanted")
    return text


def finish(figures: Sequence[Figure], said: Sequence[str], as_json: bool) -> int:
    """Tell; the exit code: 1 if something was not well, whatever the figures are."""
    if as_json:
        sys.stdout.write(json.dumps({"figures": [asdict(one) for one in figures], "said": said}) + "\n")
    else:
        first = figures[0]
        show([Case(first.part, first.case, 0.0, tuple(figures), tuple(said))])
    return 1 if said else 0

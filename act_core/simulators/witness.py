"""The witness file: one line for each execution of a payload. It, and not the tower, tells whether a job ran twice."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Witness", "count"]


class Witness:
    """Appends to `path`; any number of processes may share the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, key: str, *, name: str, ce: str, at: float) -> None:
        """One execution. `key`: the job that ran (PanDA id, or its name); `at`: epoch seconds.

        A single write in append mode, so that lines of different processes do not mix.
        """
        line = json.dumps({"key": key, "name": name, "ce": ce, "at": at, "pid": os.getpid()}) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)


def count(path: Path) -> Mapping[str, int]:
    """Executions by key; empty when nothing ran."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8") as lines:
        return Counter(json.loads(line)["key"] for line in lines)

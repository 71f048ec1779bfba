"""What came home of a job, read with care: foreign text, bounded, never outside of its directory."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from act_core.engine.results import cut, plain_file
from act_core.monitor.views.job import JobStory

Part = Literal["head", "tail", "whole"]
MOST = 262_144  # bytes
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class LogText:
    """`text`: of that part, decoded; `cut`: there is more of the file."""

    name: str
    attempt: int
    size: int
    part: Part
    text: str
    cut: bool


def read_log(story: JobStory, name: str, part: Part = "tail", attempt: int | None = None) -> LogText | None:
    """A file of the story (of the newest attempt that has it); None: it is not there. Links are not followed."""
    for one in reversed(story.attempts):
        if attempt in (None, one.line.attempt) and one.directory and name in {file.name for file in one.files}:
            try:
                file = plain_file(Path(one.directory), name)
            except OSError:
                return None
            return None if file is None else _read(file, name, one.line.attempt, part)
    return None


def _read(file: BinaryIO, name: str, attempt: int, part: Part) -> LogText:
    with file:
        size = os.fstat(file.fileno()).st_size
        if part == "tail":
            file.seek(max(0, size - MOST))
        content = cut(file, size, MOST) if part == "whole" else file.read(MOST)
        return LogText(name, attempt, size, part, _decoded(content), cut=size > MOST)


def _decoded(content: bytes) -> str:
    """What is no UTF-8 is replaced, and so is what a terminal or a page would obey; lines and tabs stay."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", content.decode("utf-8", "replace"))

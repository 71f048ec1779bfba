"""What the worker of a tower that is up has taken over of its files, and the last good ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from act_core.processes import lives
from act_core.settings.complaints import NAMES
from act_core.settings.load import BadSettings, load_settings, state_directory
from act_core.settings.model import Settings

FILE = "config.json"


def said(state_dir: Path) -> dict[str, Any] | None:
    """What a worker that lives says of its configuration; None: there is none in this state directory."""
    try:
        read: dict[str, Any] = json.loads((state_dir / FILE).read_text(encoding="utf-8"))
        return read if lives(read["pid"], read["start"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def copy_of(state_dir: Path, kind: str) -> Path:
    return state_dir / "config" / NAMES[kind]


def copies(env: Mapping[str, str]) -> dict[str, Path]:
    """Of the last good files, those that said something."""
    found = {kind: copy_of(state_directory(env), kind) for kind in NAMES}
    return {kind: copy for kind, copy in found.items() if copy.is_file() and says_something(copy)}


def says_something(path: Path) -> bool:
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return False
    return any(line.strip() not in (b"", b"---") and not line.lstrip().startswith(b"#") for line in lines)


def last_good(env: Mapping[str, str], err: BadSettings) -> Settings:
    """Raises the error where no good files are kept."""
    kept = copies(env)
    if not kept:
        raise err
    return load_settings(kept.get("arc"), kept.get("app"), env).settings

"""The simulated pilot as one executable file: what lies at `executable.wrapperurl`, and what nodes run."""

import io
import zipfile
from pathlib import Path

PARTS = ("pilot", "pilot_ways", "pilot_wire", "pilot_run")
_MAIN = "import sys\nfrom act_core.simulators.pilot_run import main\nsys.exit(main())\n"
_ROOM = "act_core/simulators"


def wrapper() -> bytes:
    """A zip archive that Python runs; always the same bytes. Nodes need nothing but `python3` (3.11 or newer)."""
    parts = {f"{_ROOM}/{name}.py": Path(__file__).with_name(f"{name}.py").read_text("utf-8") for name in PARTS}
    files = {"__main__.py": _MAIN, "act_core/__init__.py": "", f"{_ROOM}/__init__.py": ""} | parts
    packed = io.BytesIO(b"#!/usr/bin/env python3\n")
    packed.seek(0, io.SEEK_END)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()

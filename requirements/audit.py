"""Known vulnerabilities of the pinned versions: `make audit`. 0: none, 1: some, 2: the advisory services do not tell.

pip-audit counts what its service does not know as passed over, and ends with 0: here that is no all-clear.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PINS = Path(__file__).parent / "constraints.txt"
SERVICES = ("pypi", "osv")
DEADLINE_S = 300


def asked(program: str, service: str) -> tuple[list[dict[str, Any]], str]:
    """What a service says of each pin, and why it says nothing."""
    words = [
        program,
        "-r",
        str(PINS),
        "--no-deps",
        "--disable-pip",
        "-s",
        service,
        "-f",
        "json",
        "--progress-spinner",
        "off",
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE_S, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return [], f"no answer within {DEADLINE_S} s"
    try:
        return json.loads(done.stdout)["dependencies"], ""
    except (ValueError, LookupError, TypeError):
        return [], " ".join(done.stderr.split())[-300:]


def verdict(told: Sequence[dict[str, Any]]) -> tuple[int, list[str]]:
    """The exit code and what to say."""
    bad = [one for one in told if one.get("vulns")]
    unknown = [str(one["name"]) for one in told if "skip_reason" in one]
    if not told or len(unknown) == len(told):
        return 2, ["no advisory service tells of any pin: nothing is known"]
    lines = [
        f"{one['name']} {one['version']}: {hit['id']}, mended in {', '.join(hit['fix_versions']) or 'no version yet'}"
        for one in bad
        for hit in one["vulns"]
    ]
    lines.append(f"{len(told)} pins, {len(bad)} with known vulnerabilities, {len(unknown)} that nobody told of")
    lines += [f"not told of: {', '.join(unknown)}"] if unknown else []
    return (1 if bad else 2 if unknown else 0), lines


def main(program: str) -> int:
    """Asks one service after the other until one tells."""
    code, lines = 2, [""]
    for service in SERVICES:
        told, trouble = asked(program, service)
        code, lines = verdict(told)
        print(f"advisories of {service}:", trouble or lines[0], *lines[1 if not trouble else 0 :], sep="\n  ")
        if code != 2:
            break
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

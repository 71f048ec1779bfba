"""What of a job comes home: the grammar of `downloadfiles` (reference: act.md 4.4)."""

from collections.abc import Iterator, Sequence

DIAGNOSE = "diagnose="
CONTROL_FILES = (
    "failed",
    "local",
    "errors",
    "description",
    "diag",
    "comment",
    "status",
    "acl",
    "xml",
    "input",
    "output",
    "input_status",
    "output_status",
    "statistics",
)


def wanted(path: str, patterns: Sequence[str]) -> bool:
    """Whether a file of the session directory comes home."""
    for pattern in patterns:
        if pattern.startswith(DIAGNOSE):
            continue
        if pattern in ("/", path) or (pattern.endswith("/") and path.startswith(pattern)):
            return True
    return False


def below(directory: str, patterns: Sequence[str]) -> bool:
    """Whether anything in this directory (no trailing slash) may be wanted: else it need not be listed."""
    inside = f"{directory}/"
    for pattern in patterns:
        if pattern.startswith(DIAGNOSE):
            continue
        if pattern == "/" or pattern.startswith(inside) or (pattern.endswith("/") and inside.startswith(pattern)):
            return True
    return False


def of_session(patterns: Sequence[str]) -> bool:
    """Whether anything of the session directory is wanted."""
    return any(not pattern.startswith(DIAGNOSE) for pattern in patterns)


def diagnosed(patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Control files that come home: (name on the CE, path at home)."""
    for pattern in patterns:
        if not pattern.startswith(DIAGNOSE):
            continue
        directory, _, name = pattern.removeprefix(DIAGNOSE).rpartition("/")
        for one in (name,) if name else CONTROL_FILES:
            yield one, f"{directory}/{one}" if directory else one

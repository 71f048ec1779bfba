"""A job's session directory, in memory."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from act_core.simulators.arc_description import Output


class WrongPath(Exception):
    """Leads out of the session directory."""


@dataclass(slots=True)
class _Draft:
    """A file that comes in parts."""

    size: int
    content: bytearray
    have: set[tuple[int, int]] = field(default_factory=set)  # [first, end)

    def add(self, first: int, part: bytes) -> bool:
        """True when all is there."""
        self.content[first : first + len(part)] = part
        self.have.add((first, first + len(part)))
        reached = 0
        for start, end in sorted(self.have):
            if start > reached:
                return False
            reached = max(reached, end)
        return reached >= self.size


class Session:
    """Files by path relative to the directory, without a leading slash."""

    __slots__ = ("_drafts", "files")

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._drafts: dict[str, _Draft] = {}

    def put(self, path: str, content: bytes) -> None:
        self._drafts.pop(path, None)
        self.files[path] = content

    def put_part(self, path: str, first: int, part: bytes, size: int) -> bool:
        """A range of a file of `size` bytes; True when the file is whole now."""
        draft = self._drafts.get(path)
        if draft is None or draft.size != size:
            draft = self._drafts[path] = _Draft(size, bytearray(size))
        if not draft.add(first, part):
            self.files[path] = bytes(draft.content)
            return False
        self.put(path, bytes(draft.content))
        return True

    def listing(self, path: str) -> tuple[dict[str, int], list[str]] | None:
        """Files with their sizes and directories just below `path`; None: no such directory."""
        prefix = f"{path}/" if path else ""
        files: dict[str, int] = {}
        folders: dict[str, None] = {}
        for name, content in self.files.items():
            if name.startswith(prefix):
                head, slash, _ = name.removeprefix(prefix).partition("/")
                if slash:
                    folders[head] = None
                else:
                    files[head] = len(content)
        return None if path and not files and not folders else (files, list(folders))

    def delete(self, path: str) -> bool:
        """A file, or a directory with all that is in it."""
        gone = [name for name in self.files if name == path or name.startswith(f"{path}/") or not path]
        for name in gone:
            del self.files[name]
            self._drafts.pop(name, None)
        return bool(gone)

    def keep_only(self, outputs: Iterable[Output]) -> None:
        """What happens at the end of a job: only what was declared without a target stays."""
        kept = [output.name for output in outputs if output.target is None]
        self._drafts.clear()
        if "/" not in kept:
            self.files = {name: content for name, content in self.files.items() if _declared(name, kept)}


def _declared(name: str, kept: list[str]) -> bool:
    return any(name == one or (one.endswith("/") and name.startswith(one)) for one in kept)


def canonical(path: str) -> str:
    """Without empty and `.` parts. Raises WrongPath."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise WrongPath(path)
    return "/".join(parts)

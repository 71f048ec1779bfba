"""The files of the simulated storage: in memory or below a directory; registered inputs are made up on demand."""

import base64
import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from act_core.simulators.contents import adler32, generated


class NotThere(Exception):
    """No such file."""


class IsDirectory(Exception):
    """The path is a directory."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One file as the books show it."""

    path: str
    size: int  # bytes
    adler32: str


@dataclass
class Files:
    """Contents by path. `root` None: in memory."""

    root: Path | None = None
    _held: dict[str, bytes] = field(default_factory=dict)
    _directories: dict[str, int] = field(default_factory=dict)  # number of files below

    def get(self, path: str) -> bytes:
        """Raises NotThere, IsDirectory."""
        path = inside(path)
        if self.root is not None:
            return self._read(self.root / path)
        if path in self._held:
            return self._held[path]
        raise IsDirectory if self._directories.get(path) or path == "" else NotThere

    @staticmethod
    def _read(path: Path) -> bytes:
        if path.is_dir():
            raise IsDirectory
        if not path.is_file():
            raise NotThere
        return path.read_bytes()

    def put(self, path: str, content: bytes) -> None:
        """Makes missing directories. Raises IsDirectory."""
        path = inside(path)
        if self.root is not None:
            target = self.root / path
            if target.is_dir():
                raise IsDirectory
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            return
        if self._directories.get(path):
            raise IsDirectory
        if path not in self._held:
            self._count(path, 1)
        self._held[path] = content

    def delete(self, path: str) -> None:
        """Raises NotThere, IsDirectory."""
        self.get(path)
        path = inside(path)
        if self.root is not None:
            (self.root / path).unlink()
            return
        del self._held[path]
        self._count(path, -1)

    def delete_tree(self, path: str) -> None:
        """Everything below a directory. Raises NotThere when nothing is."""
        below = f"{inside(path)}/".lstrip("/")
        found = [one for one in self._paths() if one.startswith(below)]
        if not found:
            raise NotThere
        for one in found:
            self.delete(one)

    def is_directory(self, path: str) -> bool:
        """Raises NotThere for what is neither that nor a file."""
        try:
            self.get(path)
        except IsDirectory:
            return True
        return False

    def _count(self, path: str, change: int) -> None:
        for parent in PurePosixPath(path).parents:
            self._directories[str(parent)] = self._directories.get(str(parent), 0) + change

    def listed(self) -> Iterator[Listed]:
        for path in sorted(self._paths()):
            content = self.get(path)
            yield Listed(path, len(content), adler32(content))

    def __len__(self) -> int:
        return len(self._paths())

    def _paths(self) -> list[str]:
        if self.root is None:
            return list(self._held)
        return [str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()]


class Inputs:
    """Registered input files, by scope and LFN: their size is known, their content follows from their name."""

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, str], int] = {}

    def register(self, scope: str, lfn: str, size: int) -> None:
        self._sizes[scope, lfn] = size

    def get(self, scope: str, lfn: str) -> bytes:
        """Raises NotThere."""
        if (size := self._sizes.get((scope, lfn))) is None:
            raise NotThere
        return generated(lfn, size)

    def __len__(self) -> int:
        return len(self._sizes)


def inside(path: str) -> str:
    """The path without leading slashes. Raises NotThere when it would leave the storage."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\x00" in path:
        raise NotThere
    return "/".join(parts)


def digest_of(content: bytes, wanted: str, kinds: Collection[str]) -> str | None:
    """The `Digest` header for a `Want-Digest` header: the first one of `kinds` (q-values are ignored), else None."""
    for word in wanted.split(","):
        algorithm = word.partition(";")[0].strip().lower()
        if algorithm == "adler32" and algorithm in kinds:
            return f"adler32={adler32(content)}"
        if algorithm == "md5" and algorithm in kinds:
            md5 = hashlib.md5(content, usedforsecurity=False).digest()
            return f"md5={base64.b64encode(md5).decode()}"
    return None

"""A reader of DER, for the few structures that no library at hand reads. Of foreign bytes: ValueError, nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

SEQUENCE, SET, OCTETS, TIME = 0x30, 0x31, 0x04, 0x18
_LONGEST = 4  # octets of a length


@dataclass(frozen=True, slots=True)
class Node:
    """A tag (with its class) and what stands in it."""

    tag: int
    content: bytes

    def inside(self) -> list["Node"]:
        return list(nodes(self.content))

    def time(self) -> datetime:
        """Of a GeneralizedTime."""
        if self.tag != TIME:
            raise ValueError("a time is wanted")
        return datetime.strptime(self.content.decode("ascii"), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def only(data: bytes) -> Node:
    """The one element that these bytes are."""
    (found,) = nodes(data)
    return found


def part(siblings: Sequence[Node], place: int, tag: int) -> Node:
    """The element at this place, which must have this tag."""
    if place >= len(siblings) or siblings[place].tag != tag:
        raise ValueError(f"no element {tag:#x} at place {place}")
    return siblings[place]


def nodes(data: bytes) -> Iterator[Node]:
    """The elements that stand side by side in these bytes."""
    place = 0
    while place < len(data):
        tag = data[place]
        if tag & 0x1F == 0x1F:
            raise ValueError("a tag of several octets")
        start, size = _length(data, place + 1)
        place = start + size
        if place > len(data):
            raise ValueError("an element that is longer than what it stands in")
        yield Node(tag, data[start:place])


def _length(data: bytes, place: int) -> tuple[int, int]:
    """Where the content starts, and its size."""
    if place >= len(data):
        raise ValueError("no length")
    first = data[place]
    if first < 0x80:
        return place + 1, first
    octets = first & 0x7F
    if not 1 <= octets <= _LONGEST or place + 1 + octets > len(data):
        raise ValueError("a length that is none")
    return place + 1 + octets, int.from_bytes(data[place + 1 : place + 1 + octets], "big")

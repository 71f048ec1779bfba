"""File contents that need no storing: the same name and size always give the same bytes.

PanDA's simulator announces size and checksum of input files that the storage simulator makes up on demand.
"""

import hashlib
import zlib


def generated(name: str, size: int) -> bytes:
    """`size` bytes that depend on the name alone."""
    block = hashlib.sha512(name.encode()).digest()
    return (block * (size // len(block) + 1))[:size]


def adler32(content: bytes) -> str:
    """8 lower-case hexadecimal digits, as storages and PanDA write it (`00000001` for the empty file)."""
    return f"{zlib.adler32(content) & 0xFFFFFFFF:08x}"

"""Whether a file is what it should be. Pure; tolerant of how servers and pilots write checksums."""

import base64
import binascii
import re

from act_core.storage.base import Found, Outcome, Verdict, Wanted

_ADLER32, _MD5 = re.compile(r"[0-9a-f]{1,8}"), re.compile(r"[0-9a-f]{32}")
_EMPTY = Found(0, "00000001", "d41d8cd98f00b204e9800998ecf8427e")


def compare(file: Wanted, found: Found) -> Verdict:
    """Sizes first: storage may hold the checksum of an older content. One equal checksum is enough for a match."""
    if file.size is not None and found.size is not None and found.size != file.size:
        return Verdict(Outcome.MISMATCH, f"size is {found.size}, not {file.size}")
    there = _EMPTY if found.size == 0 else found
    pairs = {
        "adler32": (adler32(file.adler32), adler32(there.adler32)),
        "md5": (md5(file.md5), md5(there.md5)),
    }
    known = [(kind, wanted, said) for kind, (wanted, said) in pairs.items() if wanted is not None]
    both = [(kind, wanted, said) for kind, wanted, said in known if said is not None]
    for kind, wanted, said in both:
        if wanted != said:
            return Verdict(Outcome.MISMATCH, f"{kind} is {said}, not {wanted}")
    if both:
        return Verdict(Outcome.MATCH)
    kinds = " or ".join(kind for kind, _, _ in known)
    who = f"storage gives no {kinds}" if known else "no checksum is known for it"
    agrees = file.size is not None and found.size is not None
    return Verdict(Outcome.UNVERIFIABLE, f"{who}; the size {'agrees' if agrees else 'cannot be compared either'}")


def adler32(digits: str | None) -> str | None:
    """8 lower-case digits: servers and pilots drop leading zeros. None: no adler32."""
    lower = (digits or "").strip().lower()
    return lower.rjust(8, "0") if _ADLER32.fullmatch(lower) else None


def md5(text: str | None) -> str | None:
    """32 lower-case digits, from those or from base64 (RFC 3230). None: no md5."""
    text = (text or "").strip()
    if _MD5.fullmatch(text.lower()):
        return text.lower()
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw.hex() if len(raw) == 16 else None


def kinds_of(file: Wanted) -> list[str]:
    """The checksums that are known for it, the usual one first; adler32 when there is none."""
    known = [kind for kind, value in (("adler32", adler32(file.adler32)), ("md5", md5(file.md5))) if value]
    return known or ["adler32"]

"""What leaves the tower in a text for others: no secrets, no private places, no job's arguments."""

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

GONE, PLACE, ARGUMENT = "[removed]", "[private]", "[argument]"
SHORTEST = 4  # characters of a word that is hidden wherever it stands: shorter ones are in every sentence
_PEM = re.compile(r"-----BEGIN [^-]+-----.*?(?:-----END [^-]+-----|\Z)", re.DOTALL)
_JWT = re.compile(r"\beyJ[\w-]{5,}(?:\.[\w-]*)*")
_SCHEME = re.compile(r"\b(authorization:\s+(?:\w+\s+)?|bearer\s+|basic\s+)(?=\S*\d)[\w.~+/=-]{6,}", re.IGNORECASE)
_NAMED = re.compile(
    r"\b([\w-]*(?:password|passwd|passphrase|secret|token|authz|signature|credential|api_?key))"
    r"(?:\"?\s*=\s*\"?|\"\s*:\s*\"?|:\s*(?=[^\s,;\"']{16}))[^\s,;&\"']+",
    re.IGNORECASE,
)
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^/\s@]*@)?([^\s?#\"'<>]*)(?:[?#][^\s\"'<>]*)?", re.IGNORECASE)
_HOME = re.compile(r"(?<![\w./])/(?:home|root|Users)/[^\s:,;\"')]*")
_ADDRESS = re.compile(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.])")


@dataclass(frozen=True, slots=True)
class Hidden:
    """Words of this tower and of its jobs. `shown`: the CE's own host, which the site knows."""

    places: Collection[str] = ()
    arguments: Collection[str] = ()
    shown: str = ""

    def taken_from(self, text: str) -> str:
        """The text without any of them, and without what looks like a secret."""
        text = _JWT.sub(GONE, _PEM.sub(GONE, text))
        text = _NAMED.sub(rf"\1={GONE}", _SCHEME.sub(rf"\1{GONE}", text))
        text = _URL.sub(lambda url: url[1] + url[2], text)
        for words, instead in ((self.arguments, ARGUMENT), (self.places, PLACE)):
            for word in sorted({one for one in words if len(one) >= SHORTEST and one != self.shown}, key=len)[::-1]:
                text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", instead, text)
        return _ADDRESS.sub(self._address, _HOME.sub(PLACE, text))

    def _address(self, found: re.Match[str]) -> str:
        if found[0] == self.shown:
            return found[0]
        try:
            return PLACE if ipaddress.ip_address(found[0]).is_private else found[0]
        except ValueError:  # 1.2.3.999: a version
            return found[0]

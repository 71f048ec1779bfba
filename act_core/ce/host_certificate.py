"""Why a CE's host certificate is not accepted, and who mends it: OpenSSL's codes in words for an operator."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from cryptography import x509

from act_core.credentials.certificates import UNREADABLE
from act_core.credentials.proxy import slash_form

NO_REVOCATIONS = 3  # no list of that authority
_EXPIRED, _UNKNOWN = (9, 10), (2, 7, 19, 20, 21)
_REMEDIES: Mapping[int, str] = {
    **dict.fromkeys(_EXPIRED, "The site has to renew its host certificate. Is this machine's clock right?"),
    **dict.fromkeys(_UNKNOWN, "Put its CA into {ca} (voms.cacertdir), if it is to be trusted."),
    18: "No CA has signed it: the site has to get a host certificate from one.",
    23: "Its CA has revoked it: the site has to get another one. Do not trust it until then.",
    **dict.fromkeys((62, 64), "Write sites.{ce}.endpoint with a name of the certificate: {names}."),
    **dict.fromkeys(
        (NO_REVOCATIONS, 8, 11, 12, 33),
        "That is of this machine, not of the CE: renew the revocation lists in {ca} (fetch-crl).",
    ),
}
_HASHED = re.compile(r"^[0-9a-f]{8}\.\d+$")


def subject(certificate: x509.Certificate) -> str:
    return f"{slash_form(certificate.subject)} issued by {slash_form(certificate.issuer)}"


def not_accepted(
    code: int, message: str, shown: x509.Certificate | None, ca: Path, ce: str, now: datetime
) -> tuple[str, str]:
    """Why, and what to do. `code`, `message`: OpenSSL's; `shown`: what the server shows, None: it cannot be read.

    `ca`: the authorities that are trusted here (a hashed directory, or a file), `ce`: the CE's name.
    """
    whose = f"{subject(shown)}, good until {shown.not_valid_after_utc:%Y-%m-%d}" if shown else "it cannot be read"
    words = f"no CA in {ca} has signed it" if code in _UNKNOWN else message.rstrip(".")
    why = f"its certificate is not accepted: {words} ({whose})"
    if code in _UNKNOWN and shown is not None and any(one.subject == shown.issuer for one in authorities(ca)):
        issuer = slash_form(shown.issuer)
        why = f"its certificate is not accepted: {issuer} in {ca} has another key than the one that signed it ({whose})"
        return why, (
            f"Has this CA a new key? Then put its new certificate into {ca} (voms.cacertdir). "
            "If not, somebody else uses its name: do not trust it, and ask the site."
        )
    return why, _remedy(code, shown, ca, ce, now)


def _remedy(code: int, shown: x509.Certificate | None, ca: Path, ce: str, now: datetime) -> str:
    if code in _EXPIRED and shown is not None and shown.not_valid_before_utc <= now <= shown.not_valid_after_utc:
        return f"It is the certificate of its CA: renew those in {ca} (voms.cacertdir), or the site its chain."
    if code in _UNKNOWN and not any(True for _ in authorities(ca)):
        return f"No CA is trusted here: {ca} has no <hash>.0. Name the directory of CA certificates in voms.cacertdir."
    names = (", ".join(_names(shown)) if shown else "") or "it has none"
    return _REMEDIES.get(code, "Ask the site.").format(ca=ca, ce=ce, names=names)


def authorities(ca: Path) -> Iterator[x509.Certificate]:
    """Those that OpenSSL would find; what cannot be read is none."""
    for file in sorted(ca.iterdir()) if ca.is_dir() else [ca]:
        if file == ca or _HASHED.match(file.name):
            try:
                found = x509.load_pem_x509_certificates(file.read_bytes())
            except (OSError, *UNREADABLE):
                continue
            yield from filter(_has_name, found)


def _has_name(certificate: x509.Certificate) -> bool:
    """Of a bundle, one certificate alone may be spoiled."""
    try:
        return bool(certificate.subject)
    except UNREADABLE:
        return False


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]

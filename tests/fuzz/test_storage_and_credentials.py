"""Whatever storage, issuers of tokens, makers of proxies and logs write: the documented error, or a value in bounds."""

import base64
import json
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import strategies as st

from act_core.atlas.telling import ROOM, telling_lines
from act_core.atlas.translate import CE_ERRORS
from act_core.credentials import oidc
from act_core.credentials.certificates import read_der
from act_core.credentials.proxy import public_key, read_proxy, slash_form
from act_core.credentials.tokens import bearer
from act_core.credentials.voms_client import SAID, last_words
from act_core.errors import CredentialError, ProtocolError
from act_core.foreign import read_json
from act_core.settings.policy import Token
from act_core.simulators.pki import TestPki, write_private
from act_core.storage import root_dialect, webdav_dialect
from act_core.storage.base import Fate, Outcome, Wanted, place_of
from act_core.storage.compare import compare
from act_core.words import kept
from tests.fuzz.hostile import SNIPPETS, TEXTS, cut_up, fuzzed, spoiled, storable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WANTED = Wanted("https://se.example.org/f", 7, "1a2b", "5d41402abc4b2a76b9719d911017c592")
DIGESTS = st.one_of(
    TEXTS,
    cut_up("adler32=00001a2b,md5=XUFAKrxLKna5cZ2REBfFkg=="),
    st.builds("{}={}".format, st.sampled_from(["adler32", "MD5", "md5", "ADLER32", ""]), TEXTS),
)
HEADERS = st.dictionaries(
    st.sampled_from(["Content-Length", "content-length", "Digest", "digest", "Location", "ETag"]),
    st.one_of(DIGESTS, st.sampled_from(["7", "+7", "07", "7,7", "9" * 40, "\u0667", "-7", " 7 "])),
)
MULTISTATUS = (
    '<?xml version="1.0"?><D:multistatus xmlns:D="DAV:"><D:response><D:href>/f</D:href><D:propstat><D:prop>'
    "<D:resourcetype/></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"
)
COLLECTION = MULTISTATUS.replace("<D:resourcetype/>", "<D:resourcetype><D:collection/></D:resourcetype>")
FRAME = "[ERROR] Server responded with an error: [3011] Unable to locate /a/none; no such file or directory\n"
CLAIMS = {
    "iss": "https://issuer.example.org", "sub": "robot", "exp": 1_800_000_000, "aud": ["https://ce.example.org"],
    "scope": "compute.read compute.create",
}  # fmt: skip
DESCRIBED_BY = "https://issuer.example.org"
DESCRIBED = {
    "issuer": DESCRIBED_BY,
    "token_endpoint": "https://issuer.example.org/token",
    "token_endpoint_auth_methods_supported": ["client_secret_post"],
}
LINES = "starting\nerror: no disk\nwarning: Authorization: Bearer abcdefgh\nkilled by the site\n"


@fuzzed(status=st.one_of(st.just(200), st.integers(-1, 1000)), headers=HEADERS)
def test_what_storage_says_of_a_file(status: int, headers: dict[str, str]) -> None:
    verdict = webdav_dialect.judge(WANTED, status, headers)
    assert storable(kept(verdict.words, 500))
    assert len(verdict.words) < 200
    found = webdav_dialect.described(headers)
    assert found.size is None or 0 <= found.size < 2**63
    if verdict.outcome is Outcome.MATCH:
        assert status == 200, "only an answer to the question is a match"
        assert found.size in (7, None)


@fuzzed(
    status=st.one_of(st.just(207), st.integers(-1, 1000)),
    body=st.one_of(cut_up(MULTISTATUS), cut_up(COLLECTION), SNIPPETS),
)
def test_what_storage_says_of_the_kind_of_a_file(status: int, body: str) -> None:
    """Deleting waits for a None."""
    said = webdav_dialect.not_a_file(status, body.encode("utf-8", "surrogatepass"))
    assert said is not None or (status == 207 and "resourcetype" in body.lower() and "<D:collection/>" not in body)
    assert said is None or said.fate is not Fate.DELETED or status < 400
    assert storable(webdav_dialect.removed(status).words)


@fuzzed(location=st.one_of(TEXTS, cut_up("https://door7.example.org:1094/f?authz=x")))
def test_where_a_redirect_leads(location: str) -> None:
    place = place_of(webdav_dialect.target(WANTED.url, location))
    assert place is None or (place.name and place.path.isprintable())


@fuzzed(
    code=st.integers(-(2**31), 2**31),
    errno=st.one_of(st.sampled_from([0, 3010, 3011, 3012, 3013, 3016, 3025]), st.integers(-(2**31), 2**31)),
    text=st.one_of(cut_up(FRAME), SNIPPETS),
    said=st.one_of(cut_up("adler32 00001a2b\0"), TEXTS),
)
def test_what_the_library_of_xrootd_says(code: int, errno: int, text: str, said: str) -> None:
    for meant in (root_dialect.meaning, root_dialect.without_checksum):
        assert meant(code, errno, text) is not Outcome.MATCH
    assert root_dialect.removal(code, errno, text) is not Fate.DELETED
    words = root_dialect.plain(text)
    assert len(words) <= 300
    assert storable(kept(words, 300))
    verdict = compare(WANTED, root_dialect.with_checksum(7, said))
    assert verdict.outcome in (Outcome.MATCH, Outcome.MISMATCH, Outcome.UNVERIFIABLE)
    assert len(verdict.words) < 200


def jwt(claims: str) -> str:
    body = base64.urlsafe_b64encode(claims.encode("utf-8", "surrogatepass")).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{body}.c2ln"


@fuzzed(text=st.one_of(spoiled(CLAIMS).map(jwt), cut_up(jwt(json.dumps(CLAIMS))), SNIPPETS))
def test_tokens(text: str) -> None:
    try:
        found = bearer(Path("/srv/token"), text)
    except CredentialError:
        return
    assert storable((found.subject, found.expires.isoformat(), found.scopes, found.audience))
    assert all(one.isprintable() for one in (found.subject, *found.scopes, *found.audience))


@fuzzed(
    told=st.one_of(
        spoiled(DESCRIBED), spoiled({"access_token": "a.b.c", "error": "invalid", "error_description": "d"})
    ),
    status=st.sampled_from([200, 400]),
)
def test_answers_of_issuers(tmp_path: Path, told: str, status: int) -> None:
    try:
        read = read_json(told.encode("utf-8", "surrogatepass"))
    except ValueError:
        return
    if not isinstance(read, dict):
        return
    answer, token = oidc._Answer(status, read), Token.model_validate({"file": "/srv/token"})
    with suppress(CredentialError):
        endpoint, _basic = oidc._endpoint(DESCRIBED_BY, answer)
        assert endpoint.startswith("https://")
    assert storable(oidc._words(answer))
    assert len(oidc._words(answer)) < 3 * oidc.SAID
    with suppress(CredentialError):
        oidc._placed(DESCRIBED_BY, answer, token, tmp_path / "made.token", NOW)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], bytes, Path]:
    """A proxy with VOMS attributes: its chain in DER, its key in PEM, and a place for what becomes of it."""
    root = tmp_path_factory.mktemp("pki")
    pem = TestPki(root).proxy("alice", roles=["/atlas/Role=production"]).read_bytes()
    key = next(b"-----BEGIN" + part for part in pem.split(b"-----BEGIN") if b"PRIVATE KEY" in part)
    return [one.public_bytes(Encoding.DER) for one in x509.load_pem_x509_certificates(pem)], key, root / "hostile.pem"


CHANGES = st.lists(
    st.tuples(st.integers(0, 5000), st.one_of(st.integers(0, 255), st.sampled_from([0x30, 0x31, 0x82, 0x80, 0xFF]))),
    min_size=1,
    max_size=6,
)


@fuzzed(which=st.integers(0, 1), changes=CHANGES, end=st.one_of(st.none(), st.integers(0, 3000)))
@pytest.mark.filterwarnings("ignore")
def test_proxies(
    made: tuple[list[bytes], bytes, Path], which: int, changes: list[tuple[int, int]], end: int | None
) -> None:
    chain, key, file = [*made[0]], made[1], made[2]
    der = bytearray(chain[which])
    for place, value in changes:
        der[place % len(der)] = value
    chain[which] = bytes(der[:end])
    with suppress(ValueError):
        assert storable(slash_form(read_der(chain[which]).subject))
    first, *others = (ssl.DER_cert_to_PEM_cert(one).encode() for one in chain)
    write_private(file, b"".join([first, key, *others]))
    with suppress(CredentialError):
        found = read_proxy(file)
        assert storable((found.subject, found.roles, found.expires.isoformat()))


@fuzzed(
    text=st.one_of(cut_up("-----BEGIN CERTIFICATE REQUEST-----\nMIIC\n-----END CERTIFICATE REQUEST-----\n"), SNIPPETS)
)
def test_requests_for_a_delegation(text: str) -> None:
    with suppress(ProtocolError):
        public_key(text.encode("utf-8", "surrogatepass"))


@fuzzed(said=st.one_of(cut_up("Error: VOMS server voms.example.org:15001\nsaid: no\n"), SNIPPETS))
def test_last_words_of_makers_of_proxies(said: str) -> None:
    words = last_words(said.encode("utf-8", "surrogatepass"))
    assert len(words) <= SAID
    assert words.isprintable()
    assert storable(words)


@fuzzed(ce=st.one_of(cut_up(LINES), SNIPPETS), pilot=st.one_of(cut_up(LINES), SNIPPETS), first=TEXTS)
def test_telling_lines_of_logs(tmp_path: Path, ce: str, pilot: str, first: str) -> None:
    (tmp_path / CE_ERRORS).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / CE_ERRORS).write_bytes(ce.encode("utf-8", "surrogatepass"))
    (tmp_path / "pilot.log").write_bytes(pilot.encode("utf-8", "surrogatepass"))
    told = telling_lines(tmp_path, kept(first, ROOM)) or ""
    assert len(told) <= ROOM
    assert storable(told)

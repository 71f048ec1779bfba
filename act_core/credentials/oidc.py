"""Bearer tokens by client credentials (RFC 6749, 4.4) from an issuer that is found by OpenID Connect discovery."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from act_core.credentials.private import private_directory, write_private
from act_core.credentials.renewal import unfit_token
from act_core.credentials.tls import client_context
from act_core.credentials.tokens import bearer, read_token
from act_core.credentials.values import Bearer
from act_core.errors import ActError, ConfigError, CredentialError, Transient
from act_core.foreign import read_json
from act_core.settings.policy import Token
from act_core.words import clean

DEADLINE_S = 30.0
LARGEST = 256 * 1024  # bytes of an answer
DISCOVERY = "/.well-known/openid-configuration"
SAID = 200  # characters of an issuer's words


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    told: Mapping[str, Any]


async def renew(token: Token, place: Path, now: datetime) -> Bearer:
    """Ask for a token and put it (0600) into its place, if it is what was asked for; else the old one stays.

    Raises CredentialError: refused, or not what was asked for. Transient: no answer. ConfigError: see the words.
    """
    if token.issuer is None or token.clientid is None:
        raise ConfigError(f"the token {place.stem} has no issuer")
    secret = await asyncio.to_thread(_secret, token)
    issuer = token.issuer.rstrip("/")
    try:
        async with asyncio.timeout(DEADLINE_S), _session(token) as session:
            described = await _asked(session, "GET", f"{issuer}{DISCOVERY}")
            endpoint, basic = _endpoint(issuer, described)
            form = {"grant_type": "client_credentials", "scope": " ".join(token.scopes)}
            form |= {"audience": token.audience} if token.audience else {}
            headers = _basic(token.clientid, secret) if basic else {}
            form |= {} if basic else {"client_id": token.clientid, "client_secret": secret}
            answer = await _asked(session, "POST", endpoint, urlencode(form).encode(), headers)
    except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError) as err:  # the last: a name that is none
        raise _verdict(issuer, err) from err
    try:
        return await asyncio.to_thread(_placed, issuer, answer, token, place, now)
    except CredentialError as err:
        said = str(err).replace(secret, "…") if secret else str(err)  # some issuers quote what they were sent
        raise CredentialError(said) from None


@asynccontextmanager
async def _session(token: Token) -> AsyncIterator[aiohttp.ClientSession]:
    if token.cacert is None:
        context = await asyncio.to_thread(ssl.create_default_context)
    else:
        context = await asyncio.to_thread(client_context, token.cacert)
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), timeout=timeout) as session:
        yield session


def _secret(token: Token) -> str:
    if token.clientsecret is not None:
        return token.clientsecret.get_secret_value()
    assert token.clientsecretfile is not None
    return read_token(token.clientsecretfile)


def _basic(client: str, secret: str) -> dict[str, str]:
    words = f"{quote(client, safe='')}:{quote(secret, safe='')}"
    return {"Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"}


async def _asked(
    session: aiohttp.ClientSession, method: str, url: str, data: bytes | None = None, headers: Mapping[str, str] = {}
) -> _Answer:
    wanted = {"Accept": "application/json", **headers}
    wanted |= {"Content-Type": "application/x-www-form-urlencoded"} if data is not None else {}
    async with session.request(method, url, data=data, headers=wanted, allow_redirects=False) as answer:
        body = bytearray()
        async for piece in answer.content.iter_chunked(1 << 16):
            body += piece
            if len(body) > LARGEST:
                raise CredentialError(f"{url} answers more than {LARGEST} bytes")
    if answer.status == 429 or answer.status >= 500:
        raise Transient(f"{url} answers {answer.status}")
    try:
        told = read_json(bytes(body))
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise CredentialError(f"{url} answers {answer.status}, and no JSON object")
    return _Answer(answer.status, told)


def _endpoint(issuer: str, described: _Answer) -> tuple[str, bool]:
    """Its token endpoint, and whether the client's secret goes into a header (else into the form)."""
    endpoint, told = described.told.get("token_endpoint"), described.told
    if described.status != 200 or not isinstance(endpoint, str) or not endpoint.startswith("https://"):
        raise CredentialError(f"{issuer} tells no token endpoint (https) at {DISCOVERY}: {_words(described)}")
    if str(told.get("issuer", "")).rstrip("/") != issuer:
        raise CredentialError(f"{issuer} says that it is {_short(told.get('issuer'))}: write the issuer as it does")
    methods = told.get("token_endpoint_auth_methods_supported")
    return endpoint, not isinstance(methods, list) or "client_secret_basic" in methods


def _placed(issuer: str, answer: _Answer, token: Token, place: Path, now: datetime) -> Bearer:
    text = answer.told.get("access_token")
    if answer.status != 200 or not isinstance(text, str):
        raise CredentialError(f"{issuer} gives no token: {_words(answer)}")
    made = bearer(place, text)
    if why := unfit_token(made, token, now):
        raise CredentialError(f"the token of {issuer} is not used: {why[:SAID]}")
    private_directory(place.parent)
    write_private(place, text.encode("ascii"))
    return made


def _words(answer: _Answer) -> str:
    """What an issuer says of an error; never what it was sent."""
    told = [_short(answer.told[name]) for name in ("error", "error_description") if name in answer.told]
    return ": ".join([str(answer.status), *told])


def _short(value: object) -> str:
    return "".join(one for one in clean(str(value)) if one.isprintable())[:SAID]


def _verdict(issuer: str, err: Exception) -> ActError:
    if isinstance(err, aiohttp.ClientConnectorCertificateError):
        why = err.certificate_error
        return CredentialError(
            f"{issuer}: its certificate is not accepted: {why} (tokens.….cacert names its authorities)"
        )
    if isinstance(err, aiohttp.InvalidURL | UnicodeError):
        return CredentialError(f"{issuer} tells an address that is none: {_short(err)}")
    said = "no answer in time" if isinstance(err, TimeoutError) else f"{type(err).__name__}: {err}"[:SAID]
    return Transient(f"{issuer}: {said}")

"""Who the tower is to a CE at this moment, and whether a job's proxy will last."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from act_core.credentials.places import proxy_of, token_of
from act_core.credentials.private import Mark, file_mark
from act_core.credentials.proxy import DELEGATED, SIGNED_AGAIN, load_proxy
from act_core.credentials.tokens import load_token
from act_core.db import credentials
from act_core.db.credentials import PROXY, TOKEN, Found
from act_core.runtime import Runtime
from act_core.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Identity:
    """What a CE is shown. The same subject is the same identity, also after a renewal."""

    credential_id: int
    subject: str
    expires: datetime  # of the file
    proxy_until: datetime | None = None  # a job sent now has a proxy until then, at least; None: jobs get none


class _Identities:
    """Those that were read, by file, with the mark of the file."""

    def __init__(self, _settings: Settings) -> None:
        self.of: dict[Path, tuple[Mark, Identity]] = {}

    async def close(self) -> None:
        self.of.clear()


async def identity(rt: Runtime, ce: str) -> Identity | None:
    """What this CE is shown now; None for one that needs nothing. Its file is read when it has changed.

    Raises CredentialError: it cannot be read, or has expired. ConfigError: none is configured as it should be.
    """
    end, site = await rt.ce(ce), await rt.site(ce)
    if not end.traits.needs_credential:
        return None
    proxy = proxy_of(rt.settings, ce, site)
    file = proxy or token_of(rt.settings, ce, site)
    if file is None:
        return None
    now, held = rt.now(), rt.kept(_Identities, _Identities).of
    mark, (known, found) = file_mark(file), held.get(file, (None, None))
    if found is None or known != mark or found.expires <= now:
        found = await _read(rt, file, proxy is not None, now)
        held[file] = mark, found
    if proxy is None:
        return found
    return replace(found, proxy_until=min(found.expires, now + DELEGATED - SIGNED_AGAIN))


async def _read(rt: Runtime, file: Path, is_proxy: bool, now: datetime) -> Identity:
    if is_proxy:
        read = await asyncio.to_thread(load_proxy, file, now)
        found = Found(PROXY, str(file), read.subject, read.expires, read.roles)
    else:
        token = await asyncio.to_thread(load_token, file, now)
        found = Found(TOKEN, str(file), token.subject, token.expires, token.scopes)
    row = await rt.write(credentials.remember, found, now)
    return Identity(row, found.subject, found.expires)

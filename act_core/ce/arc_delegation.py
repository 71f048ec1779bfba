"""Delegations at a CE: one a credential, used again by every submission, renewed when the proxy is."""

import asyncio
import os
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from act_core.ce.arc_http import ArcConnection
from act_core.credentials.proxy import sign_delegation
from act_core.credentials.values import Credential
from act_core.errors import ProtocolError, Transient

PEM = {"Content-Type": "application/x-pem-file", "Accept": "application/json"}
# A-REX forgets a delegation that no job holds 24 h after it was last signed, and takes jobs with a forgotten one.
OLDEST = timedelta(hours=12)


class Delegation(BaseModel):
    """What is remembered of a delegation between runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    endpoint: str
    subject: str
    signed: datetime
    proxy_expires: datetime  # of the proxy that signed it: another one is another proxy


def _fresh(held: Delegation, credential: Credential, now: datetime) -> bool:
    return held.proxy_expires == credential.expires and held.signed <= now < held.signed + OLDEST


class Delegations:
    """The delegation of one CE and identity, kept in a file (0600)."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._held: Delegation | None = None
        self._lock = asyncio.Lock()

    async def current(self, wire: ArcConnection, base: str, now: datetime) -> str:
        """The id to use; made when there is none of this identity, signed anew when the proxy changed or it is old."""
        async with self._lock:
            credential = await wire.credential(now)
            held = await self._known(wire, credential)
            if held and _fresh(held, credential, now):
                return held.id
            return await self._signed(wire, base, credential, held, now)

    async def renew(self, wire: ArcConnection, base: str, now: datetime) -> None:
        """Sign it anew where there is one and it is not fresh: jobs that hold it go on with the new one."""
        async with self._lock:
            credential = await wire.credential(now)
            held = await self._known(wire, credential)
            if held and not _fresh(held, credential, now):
                await self._signed(wire, base, credential, held, now)

    async def _known(self, wire: ArcConnection, credential: Credential) -> Delegation | None:
        self._held = self._held or await asyncio.to_thread(self._load)
        held = self._held
        return held if held and (held.endpoint, held.subject) == (wire.endpoint, credential.subject) else None

    async def _signed(
        self, wire: ArcConnection, base: str, credential: Credential, held: Delegation | None, now: datetime
    ) -> str:
        made = await self._renewed(wire, base, held.id, now) if held else await self._new(wire, base, now)
        self._held = Delegation(
            id=made, endpoint=wire.endpoint, subject=credential.subject, signed=now, proxy_expires=credential.expires
        )
        await asyncio.to_thread(self._save, self._held)
        return made

    async def _new(self, wire: ArcConnection, base: str, now: datetime) -> str:
        answer = await wire.call("POST", f"{base}/delegations?action=new", now, b"")
        # 6.17 puts the query into the address: the id is its last part in either case
        made = answer.headers.get("Location", "").rpartition("/")[2]
        words = f"no delegation: the CE answers {answer.status} {answer.reason}"
        if answer.status >= 500:
            raise Transient(words)
        if answer.status != 201 or not (made.isalnum() and made.isascii()):
            raise ProtocolError(words)
        await self._put(wire, base, made, answer.body, now)
        return made

    async def _renewed(self, wire: ArcConnection, base: str, known: str, now: datetime) -> str:
        """A CE that has forgotten the delegation makes it again under the same id."""
        answer = await wire.call("POST", f"{base}/delegations/{known}?action=renew", now, b"")
        if answer.status >= 500:
            raise Transient(f"the delegation is not renewed: the CE answers {answer.status} {answer.reason}")
        if answer.status != 201:
            return await self._new(wire, base, now)
        await self._put(wire, base, known, answer.body, now)
        return known

    async def _put(self, wire: ArcConnection, base: str, known: str, csr: bytes, now: datetime) -> None:
        chain = await asyncio.to_thread(sign_delegation, csr, wire.proxy, now)
        answer = await wire.call("PUT", f"{base}/delegations/{known}", now, chain, PEM)
        if answer.status != 200:
            raise Transient(f"the CE does not take the delegation: {answer.status} {answer.reason}")

    def _load(self) -> Delegation | None:
        try:
            return Delegation.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return None

    def _save(self, held: Delegation) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(held.model_dump_json())
        fresh.replace(self._file)

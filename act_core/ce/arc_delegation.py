"""Delegations at a CE: one an identity, used again by every submission, renewed when its proxy is."""

import asyncio
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from act_core.ce.arc_http import ArcConnection
from act_core.ce.registry import Place
from act_core.credentials.private import write_private
from act_core.credentials.proxy import SIGNED_AGAIN, sign_delegation
from act_core.credentials.values import Credential, Shown
from act_core.errors import ConfigError, ProtocolError, Transient

PEM = {"Content-Type": "application/x-pem-file", "Accept": "application/json"}
MOST = 20  # identities whose delegations are remembered; the oldest go
OWN_ID = 24  # hex digits; A-REX itself takes 12


class Delegation(BaseModel):
    """What is remembered of a delegation between runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str
    endpoint: str
    subject: str
    kind: Literal["x509", "jwt"] = "x509"
    signed: datetime
    proxy_expires: datetime  # of what signed it, a proxy or a token: another end is another one
    theirs: bool = False  # the CE takes no id of ours


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    held: tuple[Delegation, ...]


def _fresh(held: Delegation, shown: Shown, now: datetime) -> bool:
    return held.proxy_expires == shown.expires and held.signed <= now < held.signed + SIGNED_AGAIN


class Delegations:
    """The delegations of one CE, one an identity, kept in a file (0600): jobs of another identity keep theirs.

    The file only saves requests. With a `seed` the id follows from it and the identity, so that every machine of a
    tower, and one that has lost its file, renews the one that jobs hold. A CE keeps ids apart by their owners.
    """

    def __init__(self, file: Path, seed: str = "") -> None:
        self._file, self._seed = file, seed
        self._lock = asyncio.Lock()

    @classmethod
    def of(cls, place: Place) -> Self:
        """Those of a CE of the configuration. Two entries for one endpoint may differ in their role, and share none."""
        file = place.state_dir / "delegations" / f"{place.name.replace('/', '_')}.json"
        return cls(file, f"{place.tower}\n{place.name}" if place.tower else "")

    async def current(self, wire: ArcConnection, base: str, now: datetime) -> str:
        """The id to use; made when there is none of this identity, signed anew when the proxy changed or it is old.

        Raises ConfigError where a token alone is shown to a CE that takes none for transfers.
        """
        async with self._lock:
            if wire.proxy is None:
                return await self._of_token(wire, base, now)
            credential = await wire.credential(now)
            own = self._own_id(credential.subject)
            known = await self._known(wire, "x509", credential.subject)
            held = next((one for one in known if own in (None, one.id) or one.theirs), None)
            if held and _fresh(held, credential, now):
                return held.id
            return await self._signed(wire, base, credential, held, now)

    async def renew(self, wire: ArcConnection, base: str, now: datetime) -> None:
        """Sign it anew where there is one and it is not fresh: jobs that hold it go on with the new one.

        One of a token cannot be renewed: A-REX has no call for it, and gets another for the next jobs.
        """
        if wire.proxy is None:
            return
        async with self._lock:
            credential = await wire.credential(now)
            own = self._own_id(credential.subject)
            known: list[Delegation | None] = [*await self._known(wire, "x509", credential.subject)]
            if own and not any(one and (one.id == own or one.theirs) for one in known):
                known += [None] if await self._there(wire, base, own, now) else []
            for held in known:  # those of older versions and of `act ces test` have ids of the CE's
                if held is None or not _fresh(held, credential, now):
                    await self._signed(wire, base, credential, held, now)

    def _own_id(self, subject: str) -> str | None:
        """What every machine of the tower calls the delegation of this identity here; None: the CE chooses."""
        if not self._seed:
            return None
        return hashlib.sha256(f"{self._seed}\n{subject}".encode("utf-8", "surrogatepass")).hexdigest()[:OWN_ID]

    async def _there(self, wire: ArcConnection, base: str, known: str, now: datetime) -> bool:
        """Whether another machine has made it. It is remembered here as soon as it was signed here."""
        answer = await wire.call("POST", f"{base}/delegations/{known}?action=get", now, b"")
        if answer.status >= 500:
            raise Transient(f"the CE does not tell its delegation: {answer.status} {answer.reason}")
        return answer.status == 200

    async def _known(self, wire: ArcConnection, kind: str, subject: str) -> list[Delegation]:
        """Read from the file each time: another stage or process may have signed it a moment ago."""
        wanted = (wire.endpoint, kind, subject)
        held = await asyncio.to_thread(self._load)
        return [one for one in held if (one.endpoint, one.kind, one.subject) == wanted]

    async def _of_token(self, wire: ArcConnection, base: str, now: datetime) -> str:
        if base.endswith("1.0"):
            raise ConfigError(
                f"{wire.endpoint} speaks REST 1.0, which takes no token for the transfers of jobs: "
                "give its site `credential: both`"
            )
        shown = await wire.bearer(now)
        assert shown is not None
        for held in await self._known(wire, "jwt", shown.subject):
            if _fresh(held, shown, now):
                return held.id
        headers = {"X-Token-Delegation": shown.text, "Accept": "application/json"}
        answer = await wire.call("POST", f"{base}/delegations?action=new&type=jwt", now, b"", headers)
        made = _id(answer.status, answer.reason, answer.headers.get("Location", ""))
        await asyncio.to_thread(self._remember, _delegation(made, "jwt", wire, shown, now))
        return made

    async def _signed(
        self, wire: ArcConnection, base: str, credential: Credential, held: Delegation | None, now: datetime
    ) -> str:
        own = self._own_id(credential.subject)
        known = held.id if held else own
        made = await self._renewed(wire, base, known, held is not None, now) if known else None
        made = made or await self._new(wire, base, now)
        signed = _delegation(made, "x509", wire, credential, now)
        chosen = held is None or held.theirs or held.id == own  # of the others jobs hold what there was before
        theirs = own is not None and chosen and made != own
        await asyncio.to_thread(self._remember, signed.model_copy(update={"theirs": theirs}), held)
        return made

    async def _new(self, wire: ArcConnection, base: str, now: datetime) -> str:
        answer = await wire.call("POST", f"{base}/delegations?action=new", now, b"")
        made = _id(answer.status, answer.reason, answer.headers.get("Location", ""))
        await self._put(wire, base, made, answer.body, now)
        return made

    async def _renewed(self, wire: ArcConnection, base: str, known: str, held: bool, now: datetime) -> str | None:
        """A CE that does not know the id, or has forgotten it, makes it. None: it does not, and wants to choose."""
        answer = await wire.call("POST", f"{base}/delegations/{known}?action=renew", now, b"")
        if answer.status >= 500 and held:
            raise Transient(f"the delegation is not renewed: the CE answers {answer.status} {answer.reason}")
        if answer.status != 201:
            return None
        await self._put(wire, base, known, answer.body, now)
        return known

    async def _put(self, wire: ArcConnection, base: str, known: str, csr: bytes, now: datetime) -> None:
        assert wire.proxy is not None
        chain = await asyncio.to_thread(sign_delegation, csr, wire.proxy, now)
        answer = await wire.call("PUT", f"{base}/delegations/{known}", now, chain, PEM)
        if answer.status != 200:
            raise Transient(f"the CE does not take the delegation: {answer.status} {answer.reason}")

    def _load(self) -> tuple[Delegation, ...]:
        try:
            written = self._file.read_bytes()
            kept = _Kept.model_validate_json(written) if b'"held"' in written else None
            return kept.held if kept else (Delegation.model_validate_json(written),)  # as older versions wrote it
        except (OSError, ValidationError):
            return ()

    def _remember(self, made: Delegation, former: Delegation | None = None) -> None:
        gone = {made.id, former.id if former else made.id}
        same = (made.endpoint, made.kind, made.subject)
        others = [
            one
            for one in self._load()
            if (one.endpoint, one.kind, one.subject) != same or (one.kind == "x509" and one.id not in gone)
        ]
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self._file, _Kept(held=(made, *others)[:MOST]).model_dump_json().encode())


def _delegation(
    made: str, kind: Literal["x509", "jwt"], wire: ArcConnection, shown: Shown, now: datetime
) -> Delegation:
    return Delegation(
        id=made, endpoint=wire.endpoint, subject=shown.subject, kind=kind, signed=now, proxy_expires=shown.expires
    )


def _id(status: int, reason: str, location: str) -> str:
    # 6.17 puts the query into the address: the id is its last part in either case
    made = location.rpartition("/")[2]
    words = f"no delegation: the CE answers {status} {reason}"
    if status >= 500:
        raise Transient(words)
    if status != 201 or not (made.isalnum() and made.isascii()):
        raise ProtocolError(words)
    return made

"""Who calls, and what PanDA lets them do: X.509 names, bearer tokens, roles, bans."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

PRODUCTION_ROLE = re.compile(r"^/[^/]+/Role=production|^/atlas/usatlas/Role=production")
# the legacy API: pilot roles, too, and by an old patch whatever a member of these groups shows
PILOT_ROLE = re.compile(r"^/(atlas|osg|cms|ams|Engage/LBNE)/|^/[^/]+/Role=production$")
LIMITED = "/CN=limited proxy"
_PROXY_NAMES = re.compile(r"(/CN=(\d+|proxy|limited proxy))+$")


class Forbidden(Exception):
    """403 with this text."""


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token that the server takes: whose it is, and the one role that its owner holds (None: none)."""

    value: SecretStr
    vo: str = "atlas"
    role: str | None = "production"
    name: str = "Robot"


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller as PanDA sees it; the name in slash form."""

    dn: str
    fqans: tuple[str, ...] = ()

    @property
    def owner(self) -> str:
        """The name without what proxies append."""
        return _PROXY_NAMES.sub("", self.dn)

    @property
    def production(self) -> bool:
        return any(PRODUCTION_ROLE.search(fqan) for fqan in self.fqans)

    @property
    def pilot(self) -> bool:
        """What the legacy API calls a production manager."""
        return any(PILOT_ROLE.search(fqan) for fqan in self.fqans)


@dataclass(frozen=True)
class Roles:
    """`fqans` by owner's name; None: every verified certificate has the production role."""

    fqans: Mapping[str, tuple[str, ...]] | None = None
    tokens: tuple[Token, ...] = ()
    banned: frozenset[str] = field(default_factory=frozenset)

    def identify(self, dn: str | None, authorization: str | None, origin: str | None) -> Identity | None:
        """None: nobody that counts (no certificate, a limited proxy). Raises Forbidden: a bad token, a banned user."""
        identity = self._by_token(authorization, origin) if authorization else self._by_name(dn)
        if identity and identity.owner in self.banned:
            raise Forbidden(f"ERROR : {identity.owner} is banned")
        return identity

    def _by_name(self, dn: str | None) -> Identity | None:
        if dn is None or LIMITED in dn:
            return None
        owner = Identity(dn).owner
        fqans = ("/atlas/Role=production",) if self.fqans is None else tuple(self.fqans.get(owner, ()))
        return Identity(dn, fqans)

    def _by_token(self, authorization: str, origin: str | None) -> Identity:
        scheme, _, value = authorization.partition(" ")
        known = next((token for token in self.tokens if token.value.get_secret_value() == value), None)
        if scheme != "Bearer" or known is None:
            raise Forbidden("ERROR : Token authentication failed. Signature verification failed")
        if origin is None:
            raise Forbidden("ERROR : Token authentication failed. Traceback: KeyError: 'HTTP_ORIGIN'")
        vo, _, role = origin.replace(":", ".").partition(".")
        if vo != known.vo:
            raise Forbidden(f"ERROR : Token authentication failed. Unknown vo : {vo}")
        if role and role != known.role:
            raise Forbidden(f"ERROR : Token authentication failed. Not a member of the {vo}/{role} group")
        return Identity(known.name, (f"/{vo}/Role={role}",) if role else ())

"""The page: where it listens, and who may see and do what there."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from act_core.settings.quantities import FilePath, Seconds
from act_core.settings.section import Section

RoleName = Literal["viewer", "operator", "admin"]
PersonName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,47}$")]
HASH = re.compile(r"scrypt\$1[4-7]\$8\$[1-4]\$[A-Za-z0-9_-]{22}\$[A-Za-z0-9_-]{43}")


class User(Section):
    """A person who signs in."""

    role: RoleName = "viewer"
    password: SecretStr  # as `act web password` prints it, never the password itself

    @field_validator("password")
    @classmethod
    def _hashed(cls, value: SecretStr) -> SecretStr:
        if not HASH.fullmatch(value.get_secret_value()):
            raise ValueError("what `act web password` prints is wanted, not the password itself")
        return value


class ApiToken(Section):
    """A program that asks /api."""

    role: RoleName = "viewer"
    tokenfile: FilePath | None = None  # a file that holds it, of which only we can read
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")  # or its digest: `act web token` prints both

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.tokenfile is None) == (self.sha256 is None):
            raise ValueError("one of tokenfile and sha256 is wanted (`act web token` makes a token)")
        return self


class Web(Section):
    """The operator's page."""

    enabled: bool = True  # `act up` starts it
    host: str = "127.0.0.1"  # another one only with users
    port: int = Field(default=4280, ge=0, le=65535)  # 0: a free one
    hosts: tuple[str, ...] = ()  # names by which browsers reach it, beside its own: those of a proxy before it
    rootpath: str = Field(default="", pattern=r"^(/[A-Za-z0-9._~-]+)*$")  # where a proxy shows it: /act
    proxies: tuple[str, ...] = ()  # addresses whose X-Forwarded-For and -Proto are believed
    secure: bool = False  # browsers speak TLS to the proxy: cookies go by nothing else
    title: str = Field(default="ACT", max_length=40)
    anonymous: Literal["none", "viewer"] = "none"  # what those may who have not signed in
    users: Mapping[PersonName, User] = Field(default_factory=dict)  # none: admin, with the password in web/password
    tokens: Mapping[PersonName, ApiToken] = Field(default_factory=dict)
    idle: Seconds = timedelta(hours=2)  # a session ends when its page was not open for so long
    session: Seconds = timedelta(hours=12)  # and after so long in any case

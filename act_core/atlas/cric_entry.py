"""An entry of CRIC's pandaqueue feed as far as the tower reads it: some twenty of about 130 keys, typed."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from act_core.atlas.lenient import Flag, Text, Whole, csv, present, text

LARGEST_COREPOWER = 1000


def _tools(value: object) -> tuple[str, ...]:
    """A list, or an object whose keys matter."""
    value = present(value)
    if value is None:
        return ()
    if isinstance(value, Mapping | list):
        return tuple(str(item) for item in value)
    raise ValueError("neither a list nor an object")


def _object(value: object) -> object:
    value = present(value)
    if value is not None and not isinstance(value, Mapping):
        raise ValueError("no object")
    return {} if value is None else value


def _power(value: object) -> float | None:
    """HS06 or HS23 of a core; None for what is none."""
    try:
        power = float(str(value))
    except ValueError:
        return None
    return power if 0 < power <= LARGEST_COREPOWER else None


def _list(value: object) -> object:
    value = present(value)
    if value is not None and not isinstance(value, list):
        raise ValueError("no list")
    return [] if value is None else value


def _name(value: object) -> str | None:
    """The name of a site; what is none is left out: nothing but a downtime looks at it."""
    try:
        return text(value)
    except ValueError:
        return None


Name = Annotated[str | None, BeforeValidator(_name)]


class Params(BaseModel):
    pilot_args: Text = None
    pilot_url: Text = None


class Acopytools(BaseModel):
    pr: Annotated[tuple[str, ...], BeforeValidator(_tools)] = ()


class Entry(BaseModel):
    """One queue, as CRIC has it (panda.md 5)."""

    state: Annotated[str | None, BeforeValidator(text)] = None
    status: Text = None
    is_virtual: Flag = False
    type: Text = None
    workflow: Text = None
    capability: Text = None
    resource_type: Text = None
    pilot_manager: Text = None
    harvester: Text = None
    pilot_version: Text = None
    python_version: Text = None
    corecount: Whole = None
    corepower: Annotated[float | None, BeforeValidator(_power)] = None
    maxrss: Whole = None
    maxtime: Whole = None  # seconds
    catchall: Annotated[list[str | None], BeforeValidator(csv)] = Field(default_factory=list)
    params: Annotated[Params, BeforeValidator(_object)] = Params()
    copytools: Annotated[tuple[str, ...], BeforeValidator(_tools)] = ()
    acopytools: Annotated[Acopytools, BeforeValidator(_object)] = Acopytools()
    queues: Annotated[list[object], BeforeValidator(_list)] = Field(default_factory=list)
    atlas_site: Name = None
    site: Name = None
    rc: Name = None
    rc_site: Name = None
    gocname: Name = None

    @property
    def sites(self) -> tuple[str, ...]:
        """What the site is called, in any of its spellings."""
        names = (self.atlas_site, self.site, self.rc, self.rc_site, self.gocname)
        return tuple(dict.fromkeys(name for name in names if name))

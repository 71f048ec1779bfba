"""Which back ends there are, and how one is opened for a configured CE."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from act_core.ce.base import ComputingElement
from act_core.credentials.places import proxy_of, token_of
from act_core.errors import ConfigError
from act_core.ids import TowerId
from act_core.settings.complaints import sentences
from act_core.settings.load import BadSettings
from act_core.settings.model import Settings, Site

GROUP = "act.ces"
Options = TypeVar("Options", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Place:
    """What a back end is told of the CE that it is opened for."""

    name: str
    site: Site
    where: str  # file:line of the CE's configuration
    line: Callable[[str], str]  # of one of its keys, such as options.slots
    state_dir: Path  # a directory of the tower's own
    ca_dir: Path  # OpenSSL hash directory
    proxy: Path | None  # None: there is none, or the CE is not shown one
    token: Path | None  # a bearer token in a file (0600) that is renewed; None: the CE is not shown one
    now: Callable[[], datetime]
    tower: TowerId | None = None  # None: nobody's, as when a CE is only looked at

    def options(self, model: type[Options]) -> Options:
        """The CE's `options`, validated by the back end's own model. Raises BadSettings with every problem."""
        try:
            return model.model_validate(self.site.options)
        except ValidationError as err:
            told = sentences(model, err, above=f"sites.{self.name}.options.")
            raise BadSettings([f"{self.line(f'options.{key}')}: {words}" for key, words in told]) from err


Opener = Callable[[Place], ComputingElement]


def kinds() -> tuple[str, ...]:
    """The names of all back ends, ours and those of installed packages."""
    return tuple(sorted(point.name for point in entry_points(group=GROUP)))


def open_ce(
    settings: Settings,
    name: str,
    now: Callable[[], datetime],
    site: Site | None = None,
    tower: TowerId | None = None,
) -> ComputingElement:
    """The CE of this name, ready for calls. `site`: for CEs that are not in the configuration (CRIC).

    Raises ConfigError: no such CE, no such back end, or options that its back end does not take.
    """
    site = site or settings.arc.sites.get(name)
    if site is None:
        raise ConfigError(f"CE {name!r} is not configured; known: {', '.join(sorted(settings.arc.sites)) or 'none'}")

    def line(key: str) -> str:
        return settings.where(f"sites.{name}.{key}")

    for point in entry_points(group=GROUP, name=site.kind):
        opener: Opener = point.load()
        where, ca_dir = settings.where(f"sites.{name}"), settings.arc.voms.cacertdir
        proxy, token = proxy_of(settings, name, site), token_of(settings, name, site)
        return opener(Place(name, site, where, line, settings.state_dir, ca_dir, proxy, token, now, tower))
    raise ConfigError(f"{line('kind')}: sites.{name}.kind: no back end {site.kind!r}; there are {', '.join(kinds())}")


def same_place(old: Settings, new: Settings, name: str, known: Site | None = None) -> bool:
    """Whether a CE that was opened with the old settings is the same one with the new. `known`: what its row says."""
    return _place(old, name, known) == _place(new, name, known) is not None


def _place(settings: Settings, name: str, known: Site | None) -> tuple[object, ...] | None:
    """All that a back end is told which may change; None: it could not be opened."""
    site = settings.arc.sites.get(name, known)
    if site is None:
        return None
    try:
        return site, settings.arc.voms.cacertdir, proxy_of(settings, name, site), token_of(settings, name, site)
    except ConfigError:
        return None

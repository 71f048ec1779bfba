"""Which applications the configuration names, and that they fit together."""

import re
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType

from act_core.apps import Application, instance_of, options_of
from act_core.errors import ConfigError
from act_core.settings.model import Settings
from act_core.timetable import STAGES, Stage

GROUP = "act.apps"
NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
STAGE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_STAGE = 24  # a part's lease bears the stage and the verb
NOT_A_STAGE = ("all", "now")


def applications(settings: Settings) -> tuple[Application, ...]:
    """What the configuration names, with their instances. Raises ConfigError for one that cannot be had or clashes."""
    for directory in settings.app.modules.path:
        if (found := str(directory.absolute())) not in sys.path:
            sys.path.append(found)
    named = [_loaded(settings, name) for name in settings.app.modules.app]
    try:
        _fit(named, settings)
    except ValueError as err:
        raise ConfigError(f"{settings.where('modules.app')}: modules.app: {err}") from err
    for app in named:
        if app.options is not None:
            options_of(settings, app.name, app.options)
    instances = settings.app.instances
    return tuple(one for app in named for one in (app, *(instance_of(app, i) for i in instances if app.several)))


def named(settings: Settings) -> object:
    """What `applications` depends on."""
    return settings.app.modules, tuple(settings.app.instances), settings.app.apps


def stages_of(apps: Sequence[Application]) -> dict[str, Stage]:
    """Ours and the applications' own, by name."""
    return STAGES | {stage.name: stage for app in apps for stage in app.stages}


def _loaded(settings: Settings, name: str) -> Application:
    known = _entry_points()
    place, _, attribute = known.get(name, name).partition(":")
    told = f"{settings.where('modules.app')}: modules.app: "
    module = _module(told, name, place, sorted(known))
    found = getattr(module, attribute or "APP", None)
    if found is None:
        raise ConfigError(f"{told}{name!r}: {module.__file__ or place} has no {attribute or 'APP'}")
    if not isinstance(found, Application):
        wrong = type(found).__name__
        raise ConfigError(f"{told}{name!r}: {attribute or 'APP'} of {place} is no act_core.apps.Application ({wrong})")
    return found


@cache
def _entry_points() -> Mapping[str, str]:
    """Name and place of what is installed: to find it, the metadata of every distribution is read."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


def _module(told: str, name: str, place: str, known: Sequence[str]) -> ModuleType:
    if not all(word.isidentifier() for word in place.split(".")):
        raise ConfigError(f"{told}{name!r} is neither the name of an application nor the dotted path of a package")
    try:
        return import_module(place)
    except ModuleNotFoundError as err:
        if err.name is None or not f"{place}.".startswith(f"{err.name}."):
            raise ConfigError(f"{told}{name!r} cannot be loaded: {_last_words(err)}") from err
        where = "modules.path names directories of packages that are not installed"
        raise ConfigError(f"{told}no application {name!r}; installed: {', '.join(known)}; {where}") from err
    except Exception as err:
        raise ConfigError(f"{told}{name!r} cannot be loaded: {_last_words(err)}") from err


def _last_words(err: Exception) -> str:
    """What Python says last, and of which line."""
    frames = traceback.extract_tb(err.__traceback__)
    file, line = (
        (err.filename, err.lineno) if isinstance(err, SyntaxError) else (frames[-1].filename, frames[-1].lineno)
    )
    if "importlib" in str(file):  # the import of a module that is not there: the line that asked for it
        file, line = next(
            ((f.filename, f.lineno) for f in reversed(frames) if "importlib" not in f.filename), (file, line)
        )
    return f"{file}:{line}: {traceback.format_exception_only(err)[-1].strip()}"


def _fit(apps: Sequence[Application], settings: Settings) -> None:
    """Raises ValueError for what cannot be beside one another: jobs, stages and leases bear these names."""
    names: set[str] = set()
    for app in apps:
        if not NAME.fullmatch(app.name):
            raise ValueError(f"{app.name!r} is no name of an application: a-z, 0-9 and _ are, at most 32 of them")
        if app.name in names:
            raise ValueError(f"two applications are named {app.name!r}")
        if app.name in settings.app.instances:
            raise ValueError(f"{app.name!r} is the name of an application and of an instance (instances.{app.name})")
        names.add(app.name)
    _stages_fit(apps)


def _stages_fit(apps: Sequence[Application]) -> None:
    owner = dict.fromkeys(STAGES, "the tower")
    for app in apps:
        for stage in app.stages:
            ends_badly = stage.name.rpartition("-")[2] in NOT_A_STAGE
            if not STAGE.fullmatch(stage.name) or len(stage.name) > LONGEST_STAGE or ends_badly:
                raise ValueError(
                    f"{app.name}: a stage cannot be named {stage.name!r}: words of a-z and 0-9 with dashes"
                )
            if stage.name in owner:
                raise ValueError(f"{app.name}: the stage {stage.name!r} is one of {owner[stage.name]}")
            owner[stage.name] = app.name
    _parts_fit(apps, owner)


def _parts_fit(apps: Sequence[Application], stages: Collection[str]) -> None:
    verbs: dict[tuple[str, str], str] = {}
    for app in apps:
        for part in app.parts:
            if part.stage not in stages:
                raise ValueError(f"{app.name}: a part ({part.verb!r}) is of stage {part.stage!r}, which is nobody's")
            lease = part.stage, f"{part.stage}/{part.verb}"[:32]
            if lease in verbs:
                raise ValueError(f"{app.name}: {verbs[lease]} has a part {part.verb!r} of stage {part.stage!r}, too")
            verbs[lease] = app.name

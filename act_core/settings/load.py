"""How the configuration is read: two YAML files, the environment on top, every problem told at once."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from pydantic import ValidationError

from act_core.errors import ConfigError
from act_core.settings.app_model import AppSettings
from act_core.settings.complaints import MODELS, NAMES, annotation_at, complaints
from act_core.settings.document import Tree, read_document, shown
from act_core.settings.environment import Overlay
from act_core.settings.legacy import legacy_reason, modules_today
from act_core.settings.model import ArcSettings, Settings
from act_core.settings.odds import at_odds
from act_core.settings.section import Section

VARIABLES = {"arc": "ACTCONFIGARC", "app": "ACTCONFIGAPP"}
MAX_BYTES, MAX_TOLD = 1_000_000, 50
IN_BOTH = {"db", "monitor", "jobs"}  # sections that the original has in either file


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and what the operator should know of how they came about."""

    settings: Settings
    warnings: tuple[str, ...]
    files: tuple[Path, ...]


class BadSettings(ConfigError):
    """Everything that is wrong with the configuration, a sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        more = [f"… and {len(problems) - MAX_TOLD} more"] if len(problems) > MAX_TOLD else []
        super().__init__("\n".join([*problems[:MAX_TOLD], *more]))


@dataclass(slots=True)
class _Reading:
    """What has been found so far."""

    lines: dict[str, dict[str, str]] = field(default_factory=lambda: {kind: {} for kind in MODELS})  # by file
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)

    def places(self) -> dict[str, str]:
        """Where each key that holds comes from: a section of the other file's name has no say."""
        return {
            key: where
            for kind, lines in self.lines.items()
            for key, where in lines.items()
            if key.partition(".")[0] in MODELS[kind].model_fields
        }


def load_settings(
    arc_file: Path | None = None, app_file: Path | None = None, env: Mapping[str, str] | None = None
) -> Loaded:
    """Read both files and the environment. Raises BadSettings with every problem, its file and line."""
    env = os.environ if env is None else env
    reading = _Reading()
    trees = {kind: _tree(kind, given, env, reading) for kind, given in (("arc", arc_file), ("app", app_file))}
    overlay = Overlay(trees, reading.lines, reading.problems)
    overlay.apply(env)
    arc, app = (_validated(kind, trees[kind], reading) for kind in ("arc", "app"))
    directory = _noted(env, reading)
    if reading.problems:
        raise BadSettings(reading.problems)
    settings = Settings(
        state_dir=directory,
        arc=cast(ArcSettings, arc),
        app=cast(AppSettings, app),
        lines=reading.places() | _named_by(env),
        files={kind: path.absolute() for kind, path in reading.files.items()},
    )
    return Loaded(settings, (*reading.warnings, *at_odds(settings)), tuple(reading.files.values()))


def find(kind: str, given: Path | None, env: Mapping[str, str]) -> Path | None:
    """The file that is used, in the original's order (act.md 16). Raises ConfigError if a named one is missing."""
    name, variable = NAMES[kind], VARIABLES[kind]
    named = given or (Path(env[variable]) if env.get(variable) else None)
    venv = [Path(env["VIRTUAL_ENV"]) / "etc" / "act" / name] if env.get("VIRTUAL_ENV") else []
    for path in (named,) if named else (*venv, Path("/etc/act") / name, Path(name)):
        try:
            if path.is_file():
                return path
            if named and path.exists():
                raise ConfigError(f"{path}: is not a regular file")
        except OSError as err:
            raise ConfigError(f"{path}: cannot be read: {err.strerror}") from err
    if named:
        by = "the command line" if given and str(given) != env.get(variable) else f"${variable}"
        raise ConfigError(f"{named}: there is no such file (named by {by})")
    return None


def kind_of(path: Path) -> str:
    """Which of the two files this is, by what stands in it: arc or app. Raises ConfigError if it cannot be read."""
    tree = read_document(_text(path), str(path)).value
    names = set(tree) if isinstance(tree, dict) else set()
    arc, app = ((names - IN_BOTH) & set(MODELS[kind].model_fields) for kind in ("arc", "app"))
    return "app" if len(app - arc) > len(arc - app) else "arc"


def state_directory(env: Mapping[str, str]) -> Path:
    """What the environment alone says: known even where the files are bad. Raises ConfigError.

    $ACT_STATE_DIR, else $XDG_STATE_HOME/act-flows (if absolute, says the XDG), else ~/.local/state/act-flows.
    """
    try:
        if given := env.get("ACT_STATE_DIR"):
            return Path(given).expanduser().absolute()
        if (base := Path(env.get("XDG_STATE_HOME", ""))).is_absolute():
            return base / "act-flows"
        home = Path(env["HOME"]) if env.get("HOME") else Path.home()
        return home / ".local" / "state" / "act-flows"
    except (RuntimeError, OSError) as err:
        raise ConfigError(f"$ACT_STATE_DIR: no state directory: {err}") from err


def _noted(env: Mapping[str, str], reading: _Reading) -> Path:
    """The state directory; that there is none is a problem beside those of the files."""
    try:
        return state_directory(env)
    except ConfigError as err:
        reading.problems.append(str(err))
        return Path()


def _named_by(env: Mapping[str, str]) -> dict[str, str]:
    """The variable that names the state directory."""
    if env.get("ACT_STATE_DIR"):
        return {"state_dir": "$ACT_STATE_DIR"}
    return {"state_dir": "$XDG_STATE_HOME"} if Path(env.get("XDG_STATE_HOME", "")).is_absolute() else {}


def _tree(kind: str, given: Path | None, env: Mapping[str, str], reading: _Reading) -> Tree:
    """What the file says, without what means nothing; problems are noted, so that the other file is read too."""
    try:
        path = find(kind, given, env)
        if path is None:
            return {}
        reading.files[kind] = path
        document = read_document(_text(path), str(path))
    except ConfigError as err:
        reading.problems.append(str(err))
        return {}
    reading.lines[kind] |= document.lines
    reading.problems += document.problems
    if document.value is None:
        return {}
    if not isinstance(document.value, dict):
        reading.problems.append(f"{path}:1: sections with keys are wanted")
        return {}
    if kind == "app":
        _translate_modules(document.value, reading)
    return _meaningful(kind, document.value, (), reading)


def _translate_modules(tree: Tree, reading: _Reading) -> None:
    """Its second generation had a list in the place of the section."""
    modules = tree.get("modules")
    named = modules.get("app") if isinstance(modules, dict) else modules
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return
    found, reasons = modules_today(named)
    lines = reading.lines["app"]
    where = lines.setdefault("modules.app", lines["modules"])
    reading.warnings += (f"{where}: modules.app: {shown(reason)}" for reason in reasons)
    tree["modules"] = (modules if isinstance(modules, dict) else {}) | {"app": found or None}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as err:
        raise ConfigError(f"{path}: cannot be read: {err.strerror}") from err
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8") from err


def _meaningful(kind: str, tree: Tree, above: tuple[str, ...], reading: _Reading) -> Tree:
    """Without empty keys (the default holds) and the original's keys without a meaning (a warning says why)."""
    kept: Tree = {}
    for name, value in tree.items():
        keys = (*above, name)
        dotted = ".".join(keys)
        reason = legacy_reason(kind, keys) if annotation_at(MODELS[kind], keys) is None else None
        if reason:
            reading.warnings.append(f"{reading.lines[kind][dotted]}: {shown(dotted)} has no effect: {reason}")
        elif value is None and annotation_at(MODELS[kind], keys) is not None:
            del reading.lines[kind][dotted]
        else:
            kept[name] = _meaningful(kind, value, keys, reading) if isinstance(value, dict) else value
    return kept


def _validated(kind: str, tree: Tree, reading: _Reading) -> Section:
    try:
        return MODELS[kind].model_validate(tree)
    except ValidationError as err:
        reading.problems += complaints(kind, err, reading.lines[kind])
        return MODELS[kind]()


__all__ = ["BadSettings", "Loaded", "find", "kind_of", "load_settings", "state_directory"]

"""The application's own keys: `apps: {simple: …}` in aCTConfigAPP.yaml."""

from datetime import timedelta
from pathlib import Path

from act_core.apps import options_of
from act_core.settings.model import Settings
from act_core.settings.quantities import FilePath, Seconds
from act_core.settings.section import Section
from act_core.simple.tables import NAME


class Options(Section):
    dir: FilePath | None = None  # results of campaigns that name no directory; default: simple in the state directory
    keep: Seconds = timedelta(days=30)  # a campaign that is over leaves the lists then; its results stay


def options(settings: Settings) -> Options:
    return options_of(settings, NAME, Options)


def directory_of(settings: Settings, campaign: str, given: Path | None) -> Path:
    """Where a campaign's results go."""
    return given or (options(settings).dir or settings.state_dir / NAME).absolute() / campaign

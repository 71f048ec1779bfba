"""What all lives of a process share: to make it costs more than to live one. Nothing in it remembers a life."""

from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import URL

from act_core.apps import Application
from act_core.db import session
from act_core.db.session import Database, engine_url
from act_core.installed import applications
from act_core.settings.app_model import AppSettings
from act_core.settings.model import Settings
from tests.fixtures.statements import unshared

_OPEN: dict[URL, Database] = {}


def connections(settings: Settings) -> Database:
    """To these state tables, and none is open yet; the statements that were compiled for earlier lives are kept."""
    url = engine_url(settings)
    if url not in _OPEN:
        with pytest.MonkeyPatch.context() as patch:  # troubles strike the statements of one dialect: of this engine
            patch.setattr(session, "open_engine", unshared)
            _OPEN[url] = Database(settings)
    hang_up(settings)
    return _OPEN[url]


def hang_up(settings: Settings) -> None:
    """None is open: the tables may be replaced."""
    _OPEN[engine_url(settings)].engine.dispose()


@cache
def apps() -> tuple[Application, ...]:
    """To find them, the metadata of every installed distribution is read."""
    return applications(Settings(state_dir=Path(), app=AppSettings.model_validate({"modules": {"app": ["atlas"]}})))

"""The configuration: typed, checked, and able to say where each value comes from."""

from act_core.settings.app_model import AppSettings
from act_core.settings.load import BadSettings, Loaded, load_settings, state_directory
from act_core.settings.model import ArcSettings, Settings, Site

__all__ = [
    "AppSettings",
    "ArcSettings",
    "BadSettings",
    "Loaded",
    "Settings",
    "Site",
    "load_settings",
    "state_directory",
]

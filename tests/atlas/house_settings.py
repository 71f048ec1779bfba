"""The configuration of the tower that the tests of the ATLAS application walk through."""

from dataclasses import dataclass

from act_core.settings.app_model import AppSettings
from act_core.settings.model import Jobs, Settings, Site
from act_core.settings.policy import Clean, Voms


@dataclass(frozen=True, slots=True)
class Urls:
    """Where the servers around it are."""

    panda: str
    cric: str
    wrapper: str
    storage: str


def house_settings(base: Settings, urls: Urls, voms: Voms, ce: str, slots: int) -> Settings:
    """One local CE, no pauses. Workers are registered only where a test is about them."""
    panda = {"server": urls.panda, "minjobs": 1000, "fetchpause": "0", "timeout": "20 s", "workers": False}
    replicas = urls.storage + "/replicas/{scope}/{lfn}"
    app = {
        "modules": {"app": ["atlas"]},
        "panda": panda,
        "cric": {"server": urls.cric},
        "executable": {"wrapperurl": urls.wrapper, "queuedata": "", "replicas": replicas},
    }
    arc = {
        "sites": {ce: Site(kind="local", options={"slots": slots})},
        "jobs": Jobs(checkinterval="0", checkmintime="0", archiveafter="0"),
        "voms": voms,
        "clean": Clean(keepfailed="0"),
    }
    changed = {"arc": base.arc.model_copy(update=arc), "app": AppSettings.model_validate(app)}
    return base.model_copy(update=changed)

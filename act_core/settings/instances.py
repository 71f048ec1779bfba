"""What holds for one instance of the ATLAS application: its own keys over the common ones."""

from typing import TypeVar

from act_core.settings.app_model import AppSettings, Instance, JobLog
from act_core.settings.section import Section

S = TypeVar("S", bound=Section)


def settings_of(app: AppSettings, name: str) -> AppSettings:
    """The application's settings as this instance has them; a name that is none of `instances` has the common ones."""
    own = app.instances.get(name)
    if own is None:
        return app
    sections = {key: _over(getattr(app, key), getattr(own, key)) for key in Instance.model_fields}
    # What follows is each instance's own: queues, the last good copy of its CRIC, the place of its logs.
    sections["panda"] = sections["panda"].model_copy(update={"sites": own.panda.sites})
    sections["cric"] = sections["cric"].model_copy(update={"jsonfilename": own.cric.jsonfilename})
    sections["joblog"] = _logs(app.joblog, own.joblog, name)
    return app.model_copy(update={**sections, "instances": {}})


def _over(common: S, own: S) -> S:
    return common.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


def _logs(common: JobLog, own: JobLog, name: str) -> JobLog:
    """Two servers may give the same number to a job: each instance's logs lie below its name."""
    found = _over(common, own)
    inherited = {
        "urlprefix": f"{found.urlprefix.rstrip('/')}/{name}" if found.urlprefix else "",
        "dir": found.dir / name if found.dir else None,
    }
    return found.model_copy(update={key: at for key, at in inherited.items() if key not in own.model_fields_set})

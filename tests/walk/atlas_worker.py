"""A worker of the ATLAS walk: its CE, PanDA and storage are the world's; and what is configured there."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

from act_core.atlas.panda_server import PandaServer
from act_core.ce.base import ComputingElement
from act_core.runtime import Closable
from act_core.settings.app_model import AppSettings
from act_core.settings.model import ArcSettings, Db, Jobs, Settings, Site
from act_core.settings.policy import Brake, Clean, Disk
from act_core.simulators.cric_queues import CeDescription, QueueDescription, entry_of
from act_core.storage.storage import Storage
from tests.walk.fake_panda import AtlasWorld, FakePanda, FakeStorage, PilotCe
from tests.walk.worker import Worker, own_directory

QUEUES = ("NATIVE", "TRUE")
C = TypeVar("C", bound=Closable)


class AtlasWorker(Worker):
    """A runtime whose CE, PanDA and storage are the world's."""

    world: AtlasWorld

    async def ce(self, name: str) -> ComputingElement:
        return PilotCe(self.world)

    def kept(self, kind: type[C], make: Callable[[Settings], C], of: Callable[[Settings], object] | None = None) -> C:
        if issubclass(kind, PandaServer):
            return cast(C, FakePanda(self.world))
        if issubclass(kind, Storage):
            return cast(C, Storage({"https": FakeStorage(self.world)}))
        return super().kept(kind, make, of)


def settings_in(directory: Path) -> Settings:
    jobs = Jobs.model_validate(
        {"checkinterval": 5, "checkmintime": 0, "spread": 0, "attempts": 1, "archiveafter": "30 d"}
    )
    policy = {
        "clean": Clean(keepfailed=timedelta(0)),
        "brake": Brake(floor=1000),
        "disk": Disk(fetchjobs=0, downloads=0),
    }
    arc = ArcSettings(
        db=Db(pool=2), sites={"ce": Site(kind="local", patience=timedelta(minutes=2))}, jobs=jobs, **policy
    )
    app = {
        "modules": {"app": ["atlas"]},
        "cric": {"server": str(feed())},
        "panda": {"fetchpause": "0", "workers": False},
    }
    return Settings(state_dir=directory, arc=arc, app=AppSettings.model_validate(app))


@cache
def feed() -> Path:
    """CRIC's two queues, as a file."""
    path = own_directory() / "cric.json"
    ce = CeDescription(name="ce", endpoint="localhost", flavour="LOCAL-CE")
    entries = {name: entry_of(QueueDescription(name=name, ces=(ce,), native=name == "NATIVE")) for name in QUEUES}
    path.write_text(json.dumps(entries))
    return path

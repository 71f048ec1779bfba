"""A tower whose only CE is a real A-REX, and witnesses that do not ask the tower."""

import http.client
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arex import Arex
from base_house import BaseHouse
from relay import Relay

from act_core import manual
from act_core.credentials.tls import client_context
from act_core.db import bootstrap
from act_core.db.models import CeJob
from act_core.db.session import Database
from act_core.runtime import Runtime
from act_core.settings.model import ArcSettings, Jobs, Settings, Site
from act_core.settings.policy import Clean, Voms
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.storage_files import Files, Inputs
from act_core.simulators.storage_http import Manners, Shelf
from act_core.stages import Tower
from act_core.states import FINAL

CE, REST = "real", "/arex/rest/1.0/jobs"


@dataclass(slots=True)
class House(BaseHouse):
    """A tower with one real CE and a storage that both reach."""

    arex: Arex
    files: Files
    storage: str
    relay: Relay

    async def to_the_end(self, *names: str) -> dict[str, CeJob]:
        """Until the jobs rest, and the CE lets go of all of them."""

        def over(rows: Mapping[str, CeJob]) -> bool:
            settled = all(row.state in FINAL and row.ce_clean_at is not None for row in rows.values())
            return settled and not self.left(*(row.remote_id for row in rows.values() if row.remote_id))

        return await self.until(over, *names)

    def left(self, *ids: str) -> set[str]:
        """Which of these jobs the CE still lists, asked beside the tower."""
        context = client_context(self.arex.ca_dir, self.arex.proxies["alice"])
        with closing(http.client.HTTPSConnection("localhost", self.arex.port, timeout=20, context=context)) as wire:
            wire.request("GET", REST, headers={"Accept": "application/json"})
            body = wire.getresponse().read()
        jobs = json.loads(body or b"{}").get("job", [])
        listed = {job["id"] for job in (jobs if isinstance(jobs, list) else [jobs])}
        return listed & set(ids)

    def accepted(self) -> int:
        """How many descriptions the CE keeps."""
        return sum(1 for path in self.arex.control_dir.rglob("*description*") if path.is_file())


@asynccontextmanager
async def open_house(arex: Arex, state_dir: Path, **site: Any) -> AsyncIterator[House]:
    """Everything that lives as long as one test; the A-REX stays."""
    pki, files = TestPki(arex.home / "pki"), Files(None)
    arex.renew_proxies()
    storage = Simulator(Shelf(files, Inputs(), Manners()).app(), tls=server_context(pki.host, pki.ca_dir))
    async with storage, Relay(arex.port) as relay:
        settings = _settings(arex, relay.port, state_dir, site)
        db = Database(settings)
        bootstrap.bootstrap(db, datetime.now(UTC))
        db.close()
        async with Runtime.open(settings) as rt:
            url = storage.url.replace("127.0.0.1", "localhost")
            witness = arex.home / "tmp/witness", f"{arex.inner}/tmp/witness"
            yield House(Tower(rt, apps=(manual.APP,)), *witness, arex, files, url, relay)


def _settings(arex: Arex, port: int, state_dir: Path, site: Mapping[str, Any]) -> Settings:
    options = {"endpoint": f"https://localhost:{port}/arex", "deadline": "15 s", "options": {"grace": 1}}
    pace = {"checkinterval": "2 s", "checkmintime": "0.5", "senddeadline": "15 s", "fetchbackoff": "1 s"}
    arc = ArcSettings(
        sites={CE: Site.model_validate({**options, **site})},
        jobs=Jobs.model_validate(pace),
        voms=Voms(proxypath=arex.proxies["alice"], cacertdir=arex.ca_dir),
        clean=Clean(keepfailed="0"),
    )
    return Settings(state_dir=state_dir, arc=arc)

"""A tower whose only CE is a real A-REX, and witnesses that do not ask the tower."""

import asyncio
import http.client
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arex import Arex
from relay import Relay

from act_core import manual
from act_core.credentials.tls import client_context
from act_core.db import bootstrap, listing, wishes
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.models import CeJob
from act_core.db.session import Database
from act_core.engine.fetch import result_dir
from act_core.jobspec import InputFile, JobSpec
from act_core.runtime import Runtime
from act_core.settings.model import ArcSettings, Jobs, Settings, Site, Voms
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Simulator
from act_core.simulators.storage_files import Files, Inputs
from act_core.simulators.storage_http import Manners, Shelf
from act_core.stages import Tower, sweep
from act_core.states import FINAL, Request

PATIENCE_S, PAUSE_S = 150.0, 0.3
STAGES = ("submit", "sweep-status", "fetch-validate", "clean")
REST = "/arex/rest/1.0/jobs"


@dataclass(slots=True)
class House:
    """A tower with one real CE and a storage that both reach."""

    arex: Arex
    tower: Tower
    files: Files
    storage: str
    relay: Relay

    @property
    def rt(self) -> Runtime:
        return self.tower.rt

    @property
    def witness(self) -> Path:
        return self.arex.home / "tmp/witness"

    def executed(self) -> Counter[str]:
        """How often each payload ran, by its own word."""
        return Counter(self.witness.read_text().split()) if self.witness.exists() else Counter()

    def spec(self, name: str, script: str = "", **wanted: Any) -> JobSpec:
        """A shell script that first testifies that it runs."""
        text = f"#!/bin/sh\necho {name} >> {self.arex.inner}/tmp/witness\n{script}\n"
        inputs = (InputFile(name="payload.sh", content=text, executable=True), *wanted.pop("inputs", ()))
        return JobSpec(name=name, executable="payload.sh", inputs=inputs, **wanted)

    async def add(self, *specs: JobSpec) -> None:
        jobs = [NewJob("manual", spec.name, spec, frozenset({"real"}), attempts_left=0) for spec in specs]
        await self.rt.write(add_jobs, self.rt.tower, jobs, self.rt.now())

    async def wish(self, request: Request, *names: str) -> None:
        await self.rt.write(wishes.wish, "manual", names, request, self.rt.now())

    async def rows(self, *names: str) -> dict[str, CeJob]:
        found = await self.rt.read(listing.jobs, listing.Filter(ids=names, newest=False), 1000)
        return {row.app_job_id: row for row in found}

    async def until(
        self, reached: Callable[[dict[str, CeJob]], bool], *names: str, stages: tuple[str, ...] = STAGES
    ) -> dict[str, CeJob]:
        """Let the stages go round until the rows are as wanted."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            for stage in stages:
                await sweep(self.tower, stage)
            rows = await self.rows(*names)
            if reached(rows):
                return rows
            said = {name: (row.state, row.native_state, row.error) for name, row in rows.items()}
            assert asyncio.get_running_loop().time() < end, f"never came true: {said}"
            await asyncio.sleep(PAUSE_S)

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

    def output(self, row: CeJob, name: str) -> str:
        """A file that came home."""
        home = result_dir(self.rt.settings, "manual", row.app_job_id, row.attempt, row.created)
        return (home / name).read_text()

    def accepted(self) -> int:
        """How many descriptions the CE keeps."""
        return sum(1 for path in self.arex.control_dir.rglob("*description*") if path.is_file())


@asynccontextmanager
async def open_house(arex: Arex, state_dir: Path) -> AsyncIterator[House]:
    """Everything that lives as long as one test; the A-REX stays."""
    pki, files = TestPki(arex.home / "pki"), Files(None)
    arex.renew_proxies()
    storage = Simulator(Shelf(files, Inputs(), Manners()).app(), tls=server_context(pki.host, pki.ca_dir))
    async with storage, Relay(arex.port) as relay:
        settings = _settings(arex, relay.port, state_dir)
        db = Database(settings)
        bootstrap.bootstrap(db, datetime.now(UTC))
        db.close()
        async with Runtime.open(settings) as rt:
            url = storage.url.replace("127.0.0.1", "localhost")
            yield House(arex, Tower(rt, apps=(manual.APP,)), files, url, relay)


def _settings(arex: Arex, port: int, state_dir: Path) -> Settings:
    options = {"endpoint": f"https://localhost:{port}/arex", "deadline": "15 s", "options": {"grace": 1}}
    pace = {"checkinterval": "2 s", "checkmintime": "0.5", "senddeadline": "15 s", "fetchbackoff": "1 s"}
    arc = ArcSettings(
        sites={"real": Site.model_validate(options)},
        jobs=Jobs.model_validate(pace),
        voms=Voms(proxypath=arex.proxies["alice"], cacertdir=arex.ca_dir),
    )
    return Settings(state_dir=state_dir, arc=arc)

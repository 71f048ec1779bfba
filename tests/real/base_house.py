"""A tower over a real server: jobs that testify by themselves, and waiting for what becomes of them."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from act_core.db import listing, wishes
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.models import CeJob
from act_core.engine.results import result_dir
from act_core.jobspec import InputFile, JobSpec
from act_core.runtime import Runtime
from act_core.stages import Tower, sweep
from act_core.states import Request

PATIENCE_S, PAUSE_S = 240.0, 0.3
STAGES = ("submit", "sweep-status", "fetch-validate", "clean")


@dataclass(slots=True)
class BaseHouse:
    """`witness`: the file in which payloads testify; `inner_witness`: the same, as a payload sees it."""

    tower: Tower
    witness: Path
    inner_witness: str

    @property
    def rt(self) -> Runtime:
        return self.tower.rt

    def executed(self) -> Counter[str]:
        """How often each payload ran, by its own word."""
        return Counter(self.witness.read_text().split()) if self.witness.exists() else Counter()

    def spec(self, name: str, script: str = "", **wanted: Any) -> JobSpec:
        """A shell script that first testifies that it runs."""
        text = f"#!/bin/sh\necho {name} >> {self.inner_witness}\n{script}\n"
        inputs = (InputFile(name="payload.sh", content=text, executable=True), *wanted.pop("inputs", ()))
        return JobSpec(name=name, executable="payload.sh", inputs=inputs, **wanted)

    async def add(self, ce: str, *specs: JobSpec) -> None:
        jobs = [NewJob("manual", spec.name, spec, frozenset({ce}), attempts_left=0) for spec in specs]
        await self.rt.write(add_jobs, self.rt.tower, jobs, self.rt.now())

    async def wish(self, request: Request, *names: str) -> None:
        await self.rt.write(wishes.wish, "manual", names, request, self.rt.now())

    async def rows(self, *names: str) -> dict[str, CeJob]:
        found = await self.rt.read(listing.jobs, listing.Filter(ids=names, newest=True), 1000)
        return {row.app_job_id: row for row in found}

    async def until(
        self, reached: Callable[[dict[str, CeJob]], bool], *names: str, stages: tuple[str, ...] = STAGES
    ) -> dict[str, CeJob]:
        """Let the stages go round until the rows are as wanted."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            self.before_round()
            for stage in stages:
                await sweep(self.tower, stage)
            rows = await self.rows(*names)
            if reached(rows):
                return rows
            said = {name: (row.state, row.native_state, row.error) for name, row in rows.items()}
            assert asyncio.get_running_loop().time() < end, f"never came true: {said} {self.told()}"
            await asyncio.sleep(PAUSE_S)

    def before_round(self) -> None:
        """What the server's jobs need each time."""

    def told(self) -> str:
        """What the server knows, for who waits in vain."""
        return ""

    def output(self, row: CeJob, name: str) -> str:
        """A file that came home."""
        home = result_dir(self.rt.settings, "manual", row.app_job_id, row.attempt, row.created)
        return (home / name).read_text()

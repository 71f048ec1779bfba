"""The information provider: what `action=status` and `info` read is as old as its last run."""

import asyncio

from act_core.simulators.arc_records import Books, Job, rest_state


class Provider:
    """Writes the late file of each job that has changed, once a period. Period 0: the file is never late."""

    def __init__(self, books: Books, period: float) -> None:
        self._books, self._period = books, period
        self._changed: dict[str, None] = {}
        self._new_period = asyncio.Event()

    def note(self, job: Job) -> None:
        self._changed[job.id] = None

    def picked_up(self, job: Job) -> None:
        """A-REX writes the first file itself, and not again."""
        job.told = job.told or "ACCEPTED"

    def seen_state(self, job: Job) -> str:
        """Without a file the state is computed, from what A-REX itself knows."""
        return rest_state(job) if self._period == 0 or not job.told else job.told

    def documented(self, job: Job) -> bool:
        """Whether the file has more than a few lines."""
        return bool(job.told) and (job.documented or self._period == 0)

    def set_period(self, period: float) -> None:
        self._period = period
        self._new_period.set()

    def write(self) -> int:
        """One run; how many files it wrote."""
        jobs = [job for job_id in self._changed if (job := self._books.jobs.get(job_id)) is not None]
        for job in jobs:
            if job.told:
                job.told, job.documented = rest_state(job), True
        self._changed = {job.id: None for job in jobs if not job.told}
        return len(jobs) - len(self._changed)

    async def run(self) -> None:
        """Runs for ever."""
        while True:
            self._new_period.clear()
            try:
                async with asyncio.timeout(self._period or None):  # wait_for can swallow a cancel
                    await self._new_period.wait()
            except TimeoutError:
                self.write()

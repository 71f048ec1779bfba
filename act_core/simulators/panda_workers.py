"""Harvester instances and their workers, as PanDA keeps them."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from act_core.simulators.panda_books import Books

FINAL = ("finished", "failed", "cancelled", "missed")


class Workers:
    """Heartbeats and workers by harvester id. A final status stays."""

    def __init__(self, books: Books) -> None:
        self.instances: dict[str, datetime] = {}
        self.workers: dict[str, dict[int, dict[str, object]]] = {}
        self._books = books

    def heartbeat(self, harvester: str, now: datetime) -> bool:
        """False at the first sign of a new instance, which is known from then on."""
        known = harvester in self.instances
        self.instances[harvester] = now
        return known

    def update(self, harvester: str, workers: Iterable[object], now: datetime) -> list[bool]:
        return [self._update(harvester, worker, now) for worker in workers]

    def _update(self, harvester: str, news: object, now: datetime) -> bool:
        if not isinstance(news, dict) or not isinstance(number := news.get("workerID"), int):
            return False
        worker = self.workers.setdefault(harvester, {}).setdefault(number, {})
        status = worker.get("status")
        worker.update(news)
        if status in FINAL:
            worker["status"] = status
        self._link(harvester, number, worker, now)
        return True

    def _link(self, harvester: str, number: int, worker: Mapping[str, object], now: datetime) -> None:
        ce = worker.get("computingElement")
        self._books.worker_ce[harvester, number] = ce if isinstance(ce, str) else None
        listed = worker.get("pandaid_list")
        numbers = [one for one in listed if isinstance(one, int)] if isinstance(listed, list) else []
        for one in numbers:
            if (job := self._books.jobs.get(one)) is None:
                continue
            job.worker = (harvester, number)
            if worker.get("errorCode"):
                job.columns.update(supErrorCode=worker["errorCode"], supErrorDiag=worker.get("diagMessage"))
        if worker.get("syncLevel") == 1 and worker.get("status") in FINAL:
            self._books.worker_ended(numbers, now)

    def current_id(self, harvester: str) -> int:
        """The largest worker number seen; 0: none."""
        return max(self.workers.get(harvester, {}), default=0)

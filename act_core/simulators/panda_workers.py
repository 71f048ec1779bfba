"""Harvester instances and their workers, as PanDA keeps them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from act_core.simulators.panda_books import Books

STATUSES = ("submitted", "ready", "running", "idle", "finished", "failed", "cancelled", "missed", "pending")
FINAL = ("finished", "failed", "cancelled", "missed")
STICKY = timedelta(hours=3)  # a final status stays so long
STAMP = "datetime/%Y-%m-%d %H:%M:%S.%f"
LONGEST_DIAG = 500

_TIMES = ("submitTime", "startTime", "endTime")
_NUMBERS = ("nCore", "nativeExitCode", "nJobs", "errorCode", "minRamCount", "syncLevel")
_TEXTS = (
    "batchID", "queueName", "computingSite", "nodeID", "jobType", "resourceType", "nativeStatus", "diagMessage",
    "computingElement", "submissionHost", "harvesterHost", "stdOut", "stdErr", "batchLog", "jdl",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """One update of a worker as it came; `refused`: why nothing of it was applied."""

    at: datetime
    harvester: str
    worker: Mapping[str, object]
    refused: str | None = None


class Workers:
    """Heartbeats and workers by harvester id, and the book of all that was told."""

    def __init__(self, books: Books) -> None:
        self.instances: dict[str, datetime] = {}
        self.workers: dict[str, dict[int, dict[str, object]]] = {}
        self.told: list[Told] = []
        self.bad: set[int] = set()  # numbers of workers that are not taken, whatever is said of them
        self._ended: dict[tuple[str, int], datetime] = {}
        self._books = books

    def heartbeat(self, harvester: str, now: datetime) -> bool:
        """False at the first sign of a new instance, which is known from then on."""
        known = harvester in self.instances
        self.instances[harvester] = now
        return known

    def update(self, harvester: str, workers: Iterable[object], now: datetime) -> list[bool]:
        return [self._update(harvester, worker, now) for worker in workers]

    def _update(self, harvester: str, news: object, now: datetime) -> bool:
        given = news if isinstance(news, dict) else {}
        refused = self._fault(news)
        self.told.append(Told(now, harvester, given, refused))
        if refused is None:
            self._apply(harvester, given, now)
        return refused is None

    def _fault(self, news: object) -> str | None:
        """Why the database takes none of it. Unknown keys are ignored."""
        if not isinstance(news, dict) or not _whole(news.get("workerID")):
            return "no workerID"
        if news["workerID"] in self.bad:
            return "this one is not taken"
        if news.get("status") not in STATUSES:
            return f"status {news.get('status')!r}"
        wrong = [name for name in _NUMBERS if name in news and not _whole(news[name])]
        wrong += [name for name in _TEXTS if not isinstance(news.get(name, ""), str)]
        wrong += [name for name in _TIMES if name in news and not _stamp(news[name])]
        listed = news.get("pandaid_list", [])
        if not isinstance(listed, list) or not all(map(_whole, listed)):
            wrong.append("pandaid_list")
        return ", ".join(wrong) or None

    def _apply(self, harvester: str, news: Mapping[str, object], now: datetime) -> None:
        number = news["workerID"]
        assert isinstance(number, int)
        worker = self.workers.setdefault(harvester, {}).setdefault(number, {})
        ended = self._ended.get((harvester, number))
        kept = {"status": worker["status"]} if ended and now - ended < STICKY else {}
        worker.update({**news, **kept})
        if "diagMessage" in news:
            worker["diagMessage"] = str(news["diagMessage"])[:LONGEST_DIAG]
        if worker["status"] not in FINAL:
            self._ended.pop((harvester, number), None)
        elif not kept:
            self._ended[harvester, number] = now
        self._link(harvester, number, worker, _listed(news), now)

    def _link(
        self, harvester: str, number: int, worker: Mapping[str, object], linked: list[int], now: datetime
    ) -> None:
        """A job shows the worker that was linked to it last."""
        ce = worker.get("computingElement")
        self._books.worker_ce[harvester, number] = ce if isinstance(ce, str) else None
        for one in linked:
            if job := self._books.jobs.get(one):
                job.worker = (harvester, number)
        if worker.get("errorCode"):
            for job in filter(None, map(self._books.jobs.get, _listed(worker))):
                job.columns.update(supErrorCode=worker["errorCode"], supErrorDiag=worker.get("diagMessage"))
        if worker.get("syncLevel") == 1 and worker.get("status") in FINAL:
            self._books.worker_ended(_listed(worker), now)

    def of_job(self, number: int) -> dict[int, dict[str, object]]:
        """The workers that were ever linked to a job, by their number."""
        linked = {
            (one.harvester, one.worker["workerID"])
            for one in self.told
            if one.refused is None and number in _listed(one.worker)
        }
        return {
            worker: held
            for harvester, known in self.workers.items()
            for worker, held in known.items()
            if (harvester, worker) in linked
        }

    def current_id(self, harvester: str) -> int:
        """The largest worker number seen; 0: none."""
        return max(self.workers.get(harvester, {}), default=0)


def _listed(worker: Mapping[str, object]) -> list[int]:
    listed = worker.get("pandaid_list")
    return [one for one in listed if isinstance(one, int)] if isinstance(listed, list) else []


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _stamp(value: object) -> bool:
    try:
        datetime.strptime(str(value), STAMP)  # noqa: DTZ007 (only its form matters)
    except ValueError:
        return False
    return True

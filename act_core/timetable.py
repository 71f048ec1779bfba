"""The stages: what is deployed, and how often it is done."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Stage:
    """One deployed flow. `every` is for stages that run now and then; None: a window each minute."""

    name: str
    says: str
    every: timedelta | None = None


STAGES = {
    stage.name: stage
    for stage in (
        Stage("refresh-queues", "read CRIC into the tables of PanDA queues and CEs", timedelta(minutes=10)),
        Stage("fetch-jobs", "take jobs from PanDA, up to what each queue can hold"),
        Stage("translate", "describe PanDA jobs for their CEs"),
        Stage("submit", "cancel, resubmit, rerun, reconcile, submit, send inputs"),
        Stage("sweep-status", "ask the CEs about their jobs; applications hear the news"),
        Stage("fetch-validate", "bring outputs and logs home; check size and checksum on storage"),
        Stage("clean", "leave nothing of ours on the CEs; archive"),
        Stage("heartbeat", "heartbeats, final reports, kill orders"),
        Stage("renew-credentials", "renew proxies, tokens, delegations; tell what ends early", timedelta(minutes=10)),
        Stage("reconcile-ces", "compare our rows with the CEs' own lists", timedelta(minutes=30)),
        Stage("report", "count jobs, write the report", timedelta(minutes=10)),
        Stage("close-books", "close the books of days that are over", timedelta(minutes=20)),
    )
}

"""A job in words: what `act jobs show` tells of it."""

from typing import Any

from act_core.atlas.books import app_of
from act_core.atlas.joblog import links
from act_core.cli.job_words import meant, summary
from act_core.db import listing
from act_core.db.listing import Filter
from act_core.db.models import AttemptColumns, CeJobEvent
from act_core.db.session import Database
from act_core.engine.results import result_dir
from act_core.errors import BadInput
from act_core.jobspec import JobSpec
from act_core.monitor.explain_read import read_unbound
from act_core.monitor.times import at
from act_core.monitor.views.descriptions import masked
from act_core.settings import Settings
from act_core.states import CeState
from act_core.words import redacted


def story(db: Database, settings: Settings, one: str, app: str | None = None) -> dict[str, Any]:
    """All that is known of a job, by any of its ids. Raises BadInput for an unknown one, and for two of one id."""
    one = meant(db, settings, one)
    wanted = Filter(ids=(one,), app=app, newest=False)
    found: list[AttemptColumns] = [*db.read(listing.jobs, wanted, 1000), *db.read(listing.resting, wanted, 1000)]
    if len(apps := sorted({row.app for row in found})) > 1:
        raise BadInput(f"{one} is a job of {' and of '.join(apps)}: --app says which is meant")
    if not found:
        known = db.read(read_unbound, settings, one)
        raise BadInput(f"PanDA job {one} has no attempt: `act explain {one}`" if known else f"no job with id {one}")
    app, job = found[0].app, found[0].app_job_id
    all_of_it = Filter(ids=(job,), app=app, newest=False)
    rows: list[AttemptColumns] = [*db.read(listing.resting, all_of_it, 1000), *db.read(listing.jobs, all_of_it, 1000)]
    rows.sort(key=lambda row: row.attempt)
    events = db.read(listing.events, [row.id for row in rows])
    text = db.read(listing.description, rows[-1].description_id)
    spec = JobSpec.model_validate_json(text) if text else None
    return {
        "id": job,
        "app": app,
        "name": spec.name if spec else "",
        "candidates": list(db.read(listing.candidates, rows[-1].placement_id)),
        "logs": _logs(db, settings, app, job),
        "description": _shown(spec) if spec else None,
        "attempts": [_attempt(settings, row, [event for event in events if event.job_id == row.id]) for row in rows],
    }


def _logs(db: Database, settings: Settings, app: str, job: str) -> list[dict[str, Any]]:
    """Where people may read of a PanDA job."""
    instances = {app_of(seen): seen for seen in settings.everybody()}
    return db.read(links, instances[app], job) if app in instances else []


def _shown(spec: JobSpec) -> dict[str, Any]:
    """A description for people and programs; its secrets are nobody's business."""
    return redacted(masked(spec).model_dump(mode="json", exclude_defaults=True))


def _attempt(settings: Settings, row: AttemptColumns, events: list[CeJobEvent]) -> dict[str, Any]:
    here = result_dir(settings, row.app, row.app_job_id, row.attempt, row.created)
    fetched = CeState(row.state) in (CeState.DONE, CeState.DONEFAILED) and here.exists()
    return summary(row) | {
        "native_state": row.native_state,
        "exit_code": row.exit_code,
        "wall_s": row.wall_s,
        "cpu_s": row.cpu_s,
        "memory_kb": row.memory_kb,
        "node": row.node,
        "batch_id": row.batch_id,
        "inputs_sent_at": at(row.inputs_sent_at),
        "cleaned_at": at(row.ce_clean_at),
        "outputs": str(here) if fetched else None,
        "events": [
            {"at": at(e.at), "from": e.from_state, "to": e.to_state, "reason": e.reason, "actor": e.actor}
            for e in events
        ],
    }

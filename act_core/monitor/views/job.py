"""A job's whole story."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy.orm import Session

from act_core.ce.registry import kinds
from act_core.db import credentials, finding, histories, ledger, listing, pages
from act_core.db.histories import Told as History
from act_core.db.models import AttemptColumns
from act_core.engine.results import result_dir
from act_core.jobspec import JobSpec
from act_core.monitor.explain_case import Case
from act_core.monitor.explain_jobs import explain_job
from act_core.monitor.explain_panda import unbound
from act_core.monitor.explain_read import ATLAS, read_job, read_unbound
from act_core.monitor.panda_names import panda_names, server_of
from act_core.monitor.views import lines
from act_core.monitor.views.descriptions import sent_text, shown
from act_core.monitor.views.figures import EventLine, Explained, JobLine, Told
from act_core.monitor.views.files import FileLine, home_files
from act_core.monitor.views.panda import PandaSide, is_private, panda_side
from act_core.settings.model import Settings

__all__ = ["AttemptStory", "FileLine", "JobStory", "PandaSide", "job"]


@dataclass(frozen=True, slots=True)
class AttemptStory:
    """One attempt. `events` in order; `files`: at most so many, `files_more` when there are others."""

    line: JobLine
    events: tuple[EventLine, ...]
    decisions: tuple[Told, ...]
    request_at: datetime | None
    attempts_left: int
    due_at: datetime | None
    submit_before: datetime | None
    inputs_sent_at: datetime | None
    absent_since: datetime | None
    native_since: datetime | None
    started_at: datetime | None
    wall_s: int | None
    cpu_s: int | None
    memory_kb: int | None
    cleaned_at: datetime | None
    superseded_by: str | None
    released_at: datetime | None
    identity: str | None  # the subject that submitted it
    proxy_until: datetime | None
    directory: str | None  # None: nothing came home
    files: tuple[FileLine, ...]
    files_more: bool


@dataclass(frozen=True, slots=True)
class JobStory:
    """`private_logs`: what its payload printed is for its owner and for operators only."""

    now: datetime
    app: str
    app_job_id: str
    name: str
    newest: JobLine | None  # None: a PanDA job without an attempt
    explained: Explained
    panda: PandaSide | None
    candidates: tuple[str, ...]
    attempts: tuple[AttemptStory, ...]  # the first one first, rows at rest included
    standing: tuple[Told, ...]
    description: Mapping[str, Any] | None
    sent_text: str | None  # the description as its CE gets it; None: it cannot be told
    sent_form: str  # ADL, ClassAd, …; empty: none
    private_logs: bool


def job(session: Session, settings: Settings, one: str, now: datetime, app: str | None = None) -> JobStory | None:
    """By any of its ids; None: nobody knows it. `app`: where two applications have a job of this id."""
    named = _meant(session, settings, one, app)
    if named is None:
        return None
    owner, name = named
    known = histories.histories(session, owner, [name]).get(name, [])
    panda = panda_side(session, settings, owner, name)
    if not known and panda is None:
        return None
    spec = _spec(session, known[-1].attempt) if known else None
    case = read_job(session, settings, known[-1].attempt.submission_key, kinds(), now) if known else None
    archived = {n: old for n, (_, old) in pages.attempts(session, [one.attempt.id for one in known]).items()}
    newest = known[-1].attempt if known else None
    sent = sent_text(spec, newest, case.site) if spec and newest and case else None
    standing = ledger.standing(session, job_ids=[newest.id]) if newest else []
    return JobStory(
        now=now,
        app=owner,
        app_job_id=name,
        name=spec.name if spec else "",
        newest=lines.job_line(newest, archived[newest.id]) if newest else None,
        explained=_explained(session, settings, case, name, now),
        panda=panda,
        candidates=tuple(listing.candidates(session, newest.placement_id)) if newest else (),
        attempts=_attempts(session, settings, known, archived, now),
        standing=tuple(lines.told_line(line, now, newest) for line in standing),
        description=shown(spec) if spec else None,
        sent_text=sent.text if sent else None,
        sent_form=sent.form if sent else "",
        private_logs=is_private(settings, owner, panda),
    )


def _meant(session: Session, settings: Settings, one: str, app: str | None) -> tuple[str, str] | None:
    """Application and its name of the job: an attempt that goes by this, else a PanDA job."""
    found = [named for named in finding.named(session, one, 100) if app in (None, named.app)]
    if found:
        return found[0].app, found[0].app_job_id
    owners = {server_of(held): held.instance or ATLAS for held in settings.everybody()}
    mine = [(owners[server], name) for server, name in panda_names(session, settings, one)]
    return next((pair for pair in mine if app in (None, pair[0])), None)


def _explained(session: Session, settings: Settings, case: Case | None, name: str, now: datetime) -> Explained:
    if case is not None:
        return lines.explained(explain_job(case, now))
    story = read_unbound(session, settings, name)
    return lines.explained(unbound(name, story, now)) if story else Explained(f"job {name}", (), None, (), ())


def _attempts(
    session: Session, settings: Settings, known: Sequence[History], archived: Mapping[int, bool], now: datetime
) -> tuple[AttemptStory, ...]:
    rows = [one.attempt for one in known]
    events = lines.event_lines(session, [e for one in known for e in one.events], {row.id: row for row in rows})
    whose = credentials.subjects(session, {row.credential_id for row in rows if row.credential_id})
    made = []
    for one in known:
        row = one.attempt
        directory = result_dir(settings, row.app, row.app_job_id, row.attempt, row.created)
        files, more = home_files(directory)
        names = (
            "request_at", "attempts_left", "due_at", "submit_before", "inputs_sent_at", "absent_since", "native_since",
            "started_at", "wall_s", "cpu_s", "memory_kb", "superseded_by", "released_at", "proxy_until",
        )  # fmt: skip
        held: dict[str, Any] = {name: getattr(row, name) for name in names}
        made.append(
            AttemptStory(
                line=lines.job_line(row, archived.get(row.id, False)),
                events=tuple(event for event in events if event.job_id == row.id),
                decisions=tuple(lines.told_line(line, now, row) for line in one.lines),
                cleaned_at=row.ce_clean_at,
                identity=whose.get(row.credential_id or 0),
                directory=str(directory) if files else None,
                files=files,
                files_more=more,
                **held,
            )
        )
    return tuple(made)


def _spec(session: Session, row: AttemptColumns) -> JobSpec | None:
    """None: it is no longer kept, or of another version of this program."""
    text = listing.description(session, row.description_id)
    try:
        return JobSpec.model_validate_json(text) if text else None
    except ValidationError:
        return None

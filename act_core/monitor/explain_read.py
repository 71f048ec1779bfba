"""What an explanation is made of, read from the tables in one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from act_core.credentials.places import proxy_of, token_of
from act_core.db import brakes, explaining, ledger, listing, operator_modes, panda_story
from act_core.db.listing import Filter
from act_core.db.models import AttemptColumns, Ce
from act_core.db.panda_story import PandaStory
from act_core.db.policy_models import BrakeRow
from act_core.engine.results import result_dir
from act_core.errors import ConfigError
from act_core.monitor.explain_case import Case
from act_core.monitor.explain_ces import Look
from act_core.monitor.panda_names import server_of
from act_core.runtime import site_of
from act_core.settings.model import Settings, Site
from act_core.states import CeState

ATLAS = "atlas"
_MOST = 1000  # attempts of one job


def read_ce(session: Session, settings: Settings, name: str, back_ends: Collection[str], now: datetime) -> Look:
    """A CE with its jobs, what waits for it, and the credential that it is shown."""
    (look,) = read_ces(session, settings, [name], back_ends, now)
    shown = _shown(settings, name, look.row)
    return replace(
        look,
        shown=shown,
        jobs=tuple(explaining.at_ce(session, name)),
        waiting=tuple(explaining.waiting_for(session, name)),
        missing=tuple(explaining.missing(session, name)),
        credential=explaining.credential(session, shown) if shown else None,
    )


def read_ces(
    session: Session, settings: Settings, names: Sequence[str], back_ends: Collection[str], now: datetime
) -> list[Look]:
    """CEs as they are, in this order; a constant number of statements."""
    rows = explaining.ce_rows(session, names)
    standing = explaining.held_up(session, names)
    holding, downtimes = brakes.on(session), explaining.downtimes(session, now)
    stands, words = explaining.stands(session, names), operator_modes.standing(session, now)
    endpoints = {name: rows[name].endpoint if name in rows else "" for name in names}
    return [
        Look(
            name,
            rows.get(name),
            back_ends,
            tuple(one for one in standing if one.ce == name),
            tuple(one for one in holding if _of(one, name)),
            tuple(one for one in downtimes if explaining.concerns(one, name, endpoints[name])),
            settings.arc.breaker.longest,
            settings.arc.downtime.stopsubmission,
            stands=tuple(stands.get(name, ())),
            words=words,
        )
        for name in names
    ]


def _of(one: BrakeRow, ce: str) -> bool:
    """Whether a brake holds jobs of this CE; one on PanDA's word holds jobs of a queue, wherever they are."""
    return f"{brakes.CE}{ce}" in (one.scope, one.source) or not one.source.startswith(brakes.CE)


def read_job(session: Session, settings: Settings, one: str, back_ends: Collection[str], now: datetime) -> Case | None:
    """A job by any of its ids; None: nobody knows it."""
    found = _by_id(session, Filter(ids=(one,), newest=False), 1)
    if not found:
        return None
    asked, archived = found[-1]
    family = _by_id(session, Filter(ids=(asked.app_job_id,), app=asked.app, newest=False), _MOST)
    attempts = sorted((row for row, _ in family), key=lambda row: row.attempt)
    newest = attempts[-1]
    archived = any(old for row, old in family if row is newest)
    waits = newest.state == CeState.TOSUBMIT.value
    names = listing.candidates(session, newest.placement_id) if waits else [newest.ce] if newest.ce else []
    looks = read_ces(session, settings, names, back_ends, now)
    if newest.attempt > 1:  # a tower that is drained sends what was tried before
        looks = [replace(look, words=replace(look.words, tower=None)) for look in looks]
    here = result_dir(settings, newest.app, newest.app_job_id, newest.attempt, newest.created)
    return Case(
        newest,
        settings,
        asked.attempt,
        archived,
        site=_site(settings, looks[0].name, looks[0].row) if looks and not waits else Site(),
        grace=timedelta(seconds=60) if settings.arc.jobs.grace is None else settings.arc.jobs.grace,
        looks=tuple(looks),
        standing=tuple(ledger.standing(session, job_ids=[newest.id])),
        events=tuple(listing.events(session, [newest.id])),
        earlier=tuple(attempts[:-1]),
        outputs=here if here.exists() else None,
        panda=_panda(session, settings, newest, [row.id for row in attempts[:-1]]),
        orphan=explaining.orphan(session, [one for one in (newest.submission_key, newest.remote_id) if one]),
    )


def _panda(session: Session, settings: Settings, job: AttemptColumns, earlier: Sequence[int]) -> PandaStory | None:
    """Of a job of the ATLAS application, or of an instance of it."""
    if job.app != ATLAS and job.app not in settings.app.instances:
        return None
    held = settings if job.app == ATLAS else settings.seen_by(job.app)
    return panda_story.story(session, server_of(held), job.app_job_id, earlier)


def read_unbound(session: Session, settings: Settings, name: str) -> PandaStory | None:
    """A PanDA job by the engine's name of it; None: none is known."""
    found = (panda_story.story(session, server_of(held), name, ()) for held in settings.everybody())
    return next(filter(None, found), None)


def _by_id(session: Session, wanted: Filter, limit: int) -> list[tuple[AttemptColumns, bool]]:
    """Attempts, and whether they are at rest: those first."""
    found: list[tuple[AttemptColumns, bool]] = [(row, False) for row in listing.jobs(session, wanted, limit)]
    return [*((row, True) for row in listing.resting(session, wanted, limit)), *found]


def _site(settings: Settings, name: str, row: Ce | None) -> Site:
    return settings.arc.sites.get(name) or (site_of(row) if row else Site())


def _shown(settings: Settings, name: str, row: Ce | None) -> str:
    """The file of the credential that a CE is shown; empty: it is shown none, or the configuration is wrong."""
    site = _site(settings, name, row)
    if site.kind == "local":
        return ""
    try:
        return str(proxy_of(settings, name, site) or token_of(settings, name, site) or "")
    except ConfigError:
        return ""

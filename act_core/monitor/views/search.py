"""One field that finds anything: jobs by any id, CEs, queues."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from act_core.db import explaining, finding, panda_pages, panda_story
from act_core.db.bootstrap import tower_id
from act_core.db.finding import Named
from act_core.db.models import Ce
from act_core.monitor.explain_read import ATLAS
from act_core.monitor.panda_names import panda_names, server_of
from act_core.monitor.views.health import TOWER
from act_core.settings.model import Settings

LONGEST, MOST = 512, 50
SHORTEST_PART = 3  # of a name that is found by a part of it
KEY = 26  # characters of a submission key behind the tower's id
OURS = "act-"  # all submission keys begin so


@dataclass(frozen=True, slots=True)
class Hit:
    """`kind`: job, panda job (without an attempt), ce, queue, orphan or tower; `by`: what of it the text was.

    `name` leads to its page: app_job_id with `app`, a CE's name, a queue's name with `server`.
    """

    kind: str
    name: str
    by: str
    app: str = ""
    server: str = ""
    ce: str | None = None
    state: str | None = None
    since: datetime | None = None
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    text: str
    hits: tuple[Hit, ...]
    more: bool


def search(session: Session, settings: Settings, text: str) -> Found:
    """What goes by this name; the last part of an address too."""
    text = text.strip()[:LONGEST]
    if not text:
        return Found("", (), more=False)
    hits = dict.fromkeys(_hits(session, settings, text))
    if not hits:
        hits = dict.fromkeys(_job(one) for one in finding.in_batch(session, text, MOST))
    return Found(text, tuple(hits)[:MOST], more=len(hits) > MOST)


def _hits(session: Session, settings: Settings, text: str) -> Iterator[Hit]:
    for name in _names(session, text):
        yield from _jobs(session, settings, name)
        orphan = explaining.orphan(session, [name])
        if orphan is not None:
            by = "id on the CE" if orphan.remote_id == name else "submission key"
            yield Hit("orphan", orphan.submission_key, by, ce=orphan.ce, since=orphan.first_seen)
    if text.startswith(OURS):
        yield from map(_job, finding.begun(session, text, MOST + 1))
    yield from _places(session, text)


def _names(session: Session, text: str) -> list[str]:
    """What a job may be called by this text: itself, the end of an address, a key without the tower's name."""
    found = [text]
    if "/" in text:
        found.append(text.partition("?")[0].rstrip("/").rpartition("/")[2])
    if len(text) == KEY and text.isalnum():
        found.append(f"{OURS}{tower_id(session)}-{text}")
    return [one for one in dict.fromkeys(found) if one]


def _jobs(session: Session, settings: Settings, name: str) -> Iterator[Hit]:
    """By any id, PandaIDs included."""
    yield from map(_job, finding.named(session, name, MOST + 1))
    apps = {server_of(held): held.instance or ATLAS for held in settings.everybody()}
    for server, job in panda_names(session, settings, name):
        with_attempts = finding.named(session, job, MOST) if job != name else []
        for one in with_attempts:
            yield _job(one, "PandaID")
        if not with_attempts and not finding.named(session, job, 1):
            story = panda_story.story(session, server, job, ())
            since, state = (story.state_since, story.state.value) if story else (None, None)
            yield Hit("panda job", job, "PandaID", apps.get(server, ""), server, state=state, since=since)


def _job(one: Named, by: str = "") -> Hit:
    by = by or one.by
    return Hit("job", one.app_job_id, by, one.app, "", one.ce, one.state, one.state_since, one.archived)


def _places(session: Session, text: str) -> Iterator[Hit]:
    """CEs and queues by a part of their name or of their endpoint, and this tower."""
    part = text.lower()
    for row in session.execute(select(Ce.name, Ce.endpoint, Ce.mode).order_by(Ce.name)):
        if row.name.lower() == part or (len(part) >= SHORTEST_PART and part in row.name.lower()):
            yield Hit("ce", row.name, "name", state=row.mode)
        elif len(part) >= SHORTEST_PART and part in row.endpoint.lower():
            yield Hit("ce", row.name, "endpoint", state=row.mode)
    for one in panda_pages.names(session):
        if one.name.lower() == part or (len(part) >= SHORTEST_PART and part in one.name.lower()):
            yield Hit("queue", one.name, "name", server=one.server, state=one.status)
    if text == tower_id(session):
        yield Hit(TOWER, text, "tower id")

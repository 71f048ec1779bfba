"""Pages of what was written down: decisions, the audit, the files of a job."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from act_core.db import audit
from act_core.monitor.views import decisions as ledger
from act_core.monitor.views.logs import LogText, read_log
from act_core.web.pages import Cursor, Reader, story
from act_core.web.people import Role
from act_core.web.render import page
from act_core.web.seat import Unknown, need, seat_of

router = APIRouter()
LINES = 100
Short = Annotated[str, Query(max_length=128)]


@router.get("/decisions")
def decisions(request: Request, _who: Reader, ce: Short = "", topic: Short = "", cursor: Cursor = None) -> Response:
    seat = seat_of(request)
    view = seat.read(ledger.decisions, seat.now(), ce or None, topic or None, cursor, LINES)
    return page(request, "decisions.html", view=view, ce=ce, topic=topic, cursor=cursor)


@router.get("/audit")
def audit_lines(request: Request, _who: Reader, who: Short = "", deed: Short = "") -> Response:
    seat = seat_of(request)
    lines = seat.read(audit.lines, LINES, who=who or None, deed=deed or None)
    return page(request, "audit.html", lines=lines, who_did=who, deed=deed)


@router.get("/files/{app}/{one:path}")
def file(
    request: Request,
    app: str,
    one: str,
    name: Annotated[str, Query(max_length=1000)],
    attempt: int,
    part: Literal["head", "tail"] = "tail",
) -> Response:
    """What a job printed; of an analysis job for operators only, since it is its owner's."""
    need(request, Role.VIEWER, "see this page")
    found = story(request, app, one)
    if found.private_logs:
        need(request, Role.OPERATOR, "read what the job of a user printed")
    text: LogText | None = read_log(found, name, part, attempt)
    if text is None:
        raise Unknown("This file is not here, or no longer.")
    return page(request, "file.html", view=found, log=text)

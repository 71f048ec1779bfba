"""The way from an event to the run of Prefect's that did it."""

import base64
import pathlib
import re
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import RedirectResponse, Response

from act_core.db import runs
from act_core.db.models import CeJobEvent
from act_core.processes import standing
from act_core.web.pages import LARGEST, Reader
from act_core.web.render import page
from act_core.web.seat import Seat, Unknown, seat_of

router = APIRouter()
DEADLINE_S = 3.0
ANSWER = 1 << 20
UUID = re.compile(r"[0-9a-f-]{36}")


@router.get("/runs/{number}")
def run(request: Request, number: Annotated[int, Path(ge=0, le=LARGEST)], _who: Reader) -> Response:
    """Prefect's own page of it; or, when Prefect has forgotten it, what our events say."""
    seat = seat_of(request)
    row = seat.read(runs.of, [number]).get(number)
    if row is None:
        raise Unknown(f"Run {number} is of a time that is no longer kept.")
    where, why = prefects_page(seat, row.flow_run)
    if where:
        return RedirectResponse(where, 303)
    events: list[CeJobEvent] = list(seat.read(runs.events, row, 50))
    return page(request, "run.html", row=row, why=why, events=events)


def prefects_page(seat: Seat, flow_run: str) -> tuple[str, str]:
    """The address, or why there is none."""
    tower = standing(seat.settings.state_dir)
    url = tower and tower.get("prefect")
    if not url:
        return "", "No tower is up in this state directory, so that Prefect cannot be asked."
    if not UUID.fullmatch(flow_run):
        return "", "This run has no number of Prefect's."
    try:
        ask = urllib.request.Request(f"{url}/api/flow_runs/{flow_run}", headers=_key(seat.settings.state_dir))  # noqa: S310 - our own server
        with urllib.request.urlopen(ask, timeout=DEADLINE_S) as answer:  # noqa: S310
            answer.read(ANSWER)
    except urllib.error.HTTPError as err:
        if err.code == 404:
            return "", "Prefect keeps runs for six hours, and this one is forgotten."
        return "", f"Prefect does not tell of it (HTTP {err.code})."
    except (OSError, HTTPException):
        return "", "Prefect does not answer just now."
    return f"{url}/runs/flow-run/{flow_run}", ""


def _key(state_dir: pathlib.Path) -> dict[str, str]:
    try:
        said = (state_dir / "prefect" / "password").read_bytes().strip()
    except OSError:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(said).decode()}"}

"""How long what is over is kept (docs/retention.md)."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, TypeAdapter, ValidationError

from act_core.settings.quantities import Seconds
from act_core.settings.section import Section

DAY = timedelta(days=1)
_SECONDS: TypeAdapter[timedelta] = TypeAdapter(Seconds)


def _a_day(kept: timedelta) -> timedelta:
    if kept < DAY:
        raise ValueError("a day is the least")
    return kept


def _a_month(kept: timedelta) -> timedelta:
    if kept < 30 * DAY:
        raise ValueError("30 days are the least: of a CE that comes back with a job, only this tells that it is over")
    return kept


Kept = Annotated[Seconds, AfterValidator(_a_day)]


class Retention(Section):
    """From when it happened, ended or was last written. What is at work, and what books need, is kept all the same."""

    events: Kept = 30 * DAY  # what happened to attempts
    ledger: Kept = 14 * DAY  # why things were as they were
    archive: Annotated[Seconds, AfterValidator(_a_month)] = 400 * DAY  # attempts at rest, and their descriptions
    logs: Kept = 14 * DAY  # files of the log; the original's `logger.rotate` says the same in days
    runs: Kept = 30 * DAY  # runs of stages; never shorter than `events`, which name them
    audit: Kept = 1100 * DAY  # what people did
    hourly: Kept = 1100 * DAY  # what CEs held, by the hour


def one_meaning(document: Any) -> Any:
    """`logger.rotate` and `retention.logs` agree, whichever is given. Raises ValueError where they do not."""
    if not isinstance(document, dict):
        return document
    logger, retention = document.get("logger", {}), document.get("retention", {})
    if not isinstance(logger, dict) or not isinstance(retention, dict):
        return document
    try:
        days = -(-_SECONDS.validate_python(retention["logs"]) // DAY) if "logs" in retention else None
        rotate = int(logger["rotate"]) if "rotate" in logger else None
    except (ValidationError, ValueError, TypeError):
        return document  # said better of the key itself
    if days is not None and rotate is not None and days != rotate:
        raise ValueError(f"logger.rotate ({rotate} d) and retention.logs ({days} d) are the same: give one of them")
    if days is not None:
        return {**document, "logger": {**logger, "rotate": days}}
    if rotate is not None:
        return {**document, "retention": {**retention, "logs": rotate * DAY}}
    return document

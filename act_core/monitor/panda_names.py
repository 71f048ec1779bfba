"""Which PanDA job somebody means who types a number."""

from sqlalchemy.orm import Session

from act_core.db import panda_story
from act_core.settings.model import Settings


def panda_names(session: Session, settings: Settings, one: str) -> list[tuple[str, str]]:
    """Server and engine's name of the PanDA jobs that a PandaID, or PandaID.attemptNr, means."""
    return panda_story.numbered(session, [server_of(held) for held in settings.everybody()], one)


def server_of(settings: Settings) -> str:
    return settings.app.panda.server.removeprefix("https://").rstrip("/")

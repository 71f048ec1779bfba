"""The operators' page as a child of `act up`. The tower stays up without it."""

import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any

from act_core.errors import ActError
from act_core.logs import log
from act_core.settings import Settings
from flows.children import PER_S, Child, free_port
from flows.environment import configuration

logger = log(__name__)
NAME = "page"


class Page:
    """Its process, and where it is. `port`: instead of the configured one."""

    def __init__(self, settings: Settings, logs: Path, port: int | None = None) -> None:
        web = settings.arc.web
        self.settings, self.port = settings, (web.port if port is None else port) or free_port()
        command = [sys.executable, "-m", "act_core.web", web.host, str(self.port)]
        self.child = Child(NAME, command, configuration(settings), logs / "page.log")
        self._rests_until = 0.0

    @property
    def url(self) -> str:
        host = self.settings.arc.web.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}{self.settings.arc.web.rootpath}/"

    def words(self) -> str:
        return f"page: {self.url}   ({entrance(self.settings)})"

    def start(self) -> None:
        """What keeps it from starting keeps nothing else from it."""
        try:
            self.child.start()
        except OSError as err:
            self._rests(f"the page does not start: {err}")

    def look(self) -> bool:
        """Start it again when it died; after many deaths in a minute, once a minute. True: it was started."""
        lives = self.child.process is not None and not self.child.died()
        if lives or monotonic() < self._rests_until:
            return False
        try:
            self.child.again()
        except (ActError, OSError) as err:
            self._rests(str(err))
            return False
        return True

    def _rests(self, why: str) -> None:
        logger.warning("%s; it is tried again in a minute, and the tower works without it", why)
        self.child.deaths.clear()
        self._rests_until = monotonic() + PER_S

    def stop(self) -> None:
        self.child.stop()


def seen_at(settings: Settings, said: Mapping[str, Any] | None) -> str:
    """Its address for people: by the name that browsers use, else where it listens. Empty: there is none.

    `said`: what the supervisor wrote of itself.
    """
    web = settings.arc.web
    if web.hosts and web.enabled:
        return f"{'https' if web.secure else 'http'}://{web.hosts[0]}{web.rootpath}/"
    return str((said or {}).get("page") or "")


def entrance(settings: Settings) -> str:
    """How a person gets in."""
    if settings.arc.web.users:
        return "users: web.users"
    return f"user admin, password: {settings.page_password}"


def described(settings: Settings, said: dict[str, Any], runs: bool) -> dict[str, Any] | None:
    """For `act status`; None: it is not part of this tower."""
    if not said.get("page"):
        return None
    return {"url": said["page"], "runs": runs, "entrance": entrance(settings)}

"""PanDA in trouble is asked ever more rarely. Remembered in the process: losing it costs requests, never jobs."""

from datetime import datetime, timedelta

from act_core.runtime import Runtime

LONGEST = timedelta(minutes=5)


class Pauses:
    """Which kinds of questions wait until when, and how often each has failed in a row."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}
        self._failures: dict[str, int] = {}

    def begin(self, kind: str, first: timedelta, now: datetime) -> datetime:
        """After a failure: `first`, then twice as long as after the last one. Returns the pause's end."""
        failures = self._failures.get(kind, 0)
        self._failures[kind] = failures + 1
        self._until[kind] = now + min(first * int(2 ** min(failures, 10)), LONGEST)
        return self._until[kind]

    def end(self, kind: str) -> None:
        """It went well."""
        self._until.pop(kind, None)
        self._failures.pop(kind, None)

    def lasts(self, kind: str, now: datetime) -> bool:
        return now < self._until.get(kind, now)

    async def close(self) -> None:
        """Nothing is open."""


def pauses(rt: Runtime) -> Pauses:
    return rt.kept(Pauses, lambda _settings: Pauses())

"""How often somebody may try a password."""

import threading
import time
from collections import deque
from collections.abc import Callable

WITHIN_S = 300.0
OF_ONE, OF_ADDRESS, OF_ALL = 5, 20, 100  # failures within that time
KEPT = 1000  # addresses and names, at most


class Guessing:
    """Failures by name and address, by address, and of everybody; of a `browser` that its owner has signed in from
    before, by itself: who guesses elsewhere cannot lock anybody out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._failures: dict[str, deque[float]] = {}

    def wait_s(self, name: str, address: str, browser: str = "") -> int:
        """How long this one has to wait; 0: may try."""
        with self._lock:
            return max(self._left(key, most) for key, most in _keys(name, address, browser))

    def failed(self, name: str, address: str, browser: str = "") -> None:
        with self._lock:
            if len(self._failures) > KEPT:
                self._failures = {key: times for key, times in self._failures.items() if self._recent(times)}
            for key, most in _keys(name, address, browser):
                self._failures.setdefault(key, deque(maxlen=most)).append(self._clock())

    def succeeded(self, name: str, address: str, browser: str = "") -> None:
        with self._lock:
            self._failures.pop(_keys(name, address, browser)[0][0], None)

    def _left(self, key: str, most: int) -> int:
        times = self._failures.get(key, deque())
        if len(times) < most or not self._recent(times):
            return 0
        return max(0, int(times[0] + WITHIN_S - self._clock()) + 1) if self._clock() - times[0] < WITHIN_S else 0

    def _recent(self, times: "deque[float]") -> bool:
        return bool(times) and self._clock() - times[-1] < WITHIN_S


def _keys(name: str, address: str, browser: str) -> tuple[tuple[str, int], ...]:
    if browser:
        return ((f"browser {browser}", OF_ONE),)
    return (f"{address} {name[:100]}", OF_ONE), (address, OF_ADDRESS), ("", OF_ALL)

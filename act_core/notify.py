"""What systemd is told of a service (sd_notify(3)): a datagram to the socket that it names. Without one, nothing."""

import os
import socket
import time
from collections.abc import Mapping

VARIABLE, WATCHDOG = "NOTIFY_SOCKET", "WATCHDOG_USEC"
SEND_S = 2.0
LONGEST = 200  # characters of a status


class Notifier:
    """Where the service manager listens. What it does not hear stops nobody's work."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        env = os.environ if env is None else env
        name = env.get(VARIABLE, "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name if name.startswith("/") else ""
        self.watchdog = _seconds(env)

    def tell(self, *lines: str) -> bool:
        """Whether it was sent."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.settimeout(SEND_S)
                out.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True

    def status(self, words: str) -> bool:
        """One line for `systemctl status`."""
        return self.tell(_status(words))

    def ready(self, words: str) -> bool:
        return self.tell("READY=1", _status(words))

    def reloading(self) -> bool:
        """READY ends it. systemd wants to know when it began, by the clock that nobody sets."""
        return self.tell(
            "RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", _status("reading configuration")
        )

    def stopping(self, words: str) -> bool:
        return self.tell("STOPPING=1", _status(words))

    def alive(self) -> bool:
        """Feed the watchdog."""
        return self.tell("WATCHDOG=1")


def _status(words: str) -> str:
    return f"STATUS={' '.join(words.split())[:LONGEST]}"


def _seconds(env: Mapping[str, str]) -> float | None:
    """After how long without a sign of life the service is ended; None: nobody watches, or another process is meant."""
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(env.get(WATCHDOG, "")) / 1e6 or None
    except ValueError:
        return None

"""What a back end can find out about a CE before any job is sent: step by step, each with what to do."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

CONNECT_S = 15.0


class Verdict(StrEnum):
    OK = "ok"
    ODD = "look"  # it works, and somebody should look at it
    BAD = "bad"
    SKIPPED = "-"  # this back end has no notion of it, or it was not asked for


@dataclass(frozen=True, slots=True)
class Finding:
    """One step. `do`: what mends it, for people."""

    step: str
    verdict: Verdict
    words: str
    do: str = ""

    @property
    def bad(self) -> bool:
        return self.verdict is Verdict.BAD


@runtime_checkable
class Diagnosable(Protocol):
    """A back end that can tell what stands between us and a job."""

    def diagnose(self, environments: Collection[str] = ()) -> AsyncIterator[Finding]:
        """The steps in their order, as they are done; none after one that makes the next ones senseless.

        `environments`: runtime environments that jobs will ask for. Raises no verdicts: they are findings.
        """
        ...


async def reached(host: str, port: int, name: str) -> Finding:
    """Whether the name resolves and the port answers. `name`: the CE's, for what to do."""
    try:
        async with asyncio.timeout(CONNECT_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            _, writer = await asyncio.open_connection(host, port)
    except (socket.gaierror, UnicodeError) as err:
        why = f"no address is known for {host}: {getattr(err, 'strerror', err)}"
        return Finding("address", Verdict.BAD, why, f"Is the name in sites.{name}.endpoint right?")
    except TimeoutError:
        why = f"{host}:{port} does not answer within {CONNECT_S:g} s"
        return Finding("address", Verdict.BAD, why, "A firewall on the way? Ask the site to open the port for us.")
    except OSError as err:
        why = f"nobody listens at {host}:{port}: {os.strerror(err.errno) if err.errno else err}"
        return Finding("address", Verdict.BAD, why, "Is the port right, and does the CE run? Ask the site.")
    writer.close()
    addresses = ", ".join(dict.fromkeys(str(one[4][0]) for one in found))
    return Finding("address", Verdict.OK, f"{host} is {addresses}, and port {port} answers")


def environments_there(wanted: Collection[str], there: Collection[str], *, whole: bool = False) -> Finding:
    """Whether the runtime environments that jobs will ask for are there. `whole`: a CE that names none has none."""
    if not wanted:
        words = f"none is needed; there are {', '.join(there) or 'none that it tells'}"
        return Finding("RTEs", Verdict.SKIPPED, words)
    if not there and not whole:
        return Finding("RTEs", Verdict.ODD, "the CE tells none", f"Ask the site for {', '.join(wanted)}.")
    missing = [one for one in wanted if not any(_same(one, name) for name in there)]
    if missing:
        do = "Ask the site to enable them (arcctl rte enable)."
        words = f"not there: {', '.join(missing)}; there are {', '.join(there) or 'none'}"
        return Finding("RTEs", Verdict.BAD, words, do)
    return Finding("RTEs", Verdict.OK, f"{', '.join(wanted)}: there")


def _same(wanted: str, there: str) -> bool:
    """A name without version is met by any version of it; case does not count."""
    low, known = wanted.lower(), there.lower()
    return known == low or known.startswith(f"{low}-")

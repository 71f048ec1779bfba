"""The tower's end of a `htcondor_worker`: one call at a time, each with a deadline, and never a process left over."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from act_core import meters
from act_core.ce import htcondor_worker
from act_core.errors import ActError, CredentialError, Transient

LONGEST = 1 << 28  # bytes of an answer
CLOSE_S = 5.0
_CREDENTIAL = ("AUTHENTICATE:", "SECMAN:2010", "Failed to authenticate", "PERMISSION DENIED")


class Lost(ActError):
    """The request was read, and no answer came: it may have had an effect."""


class NotSent(Transient):
    """Provably without effect."""


def refuses_credential(text: str) -> bool:
    return any(words in text for words in _CREDENTIAL)


def verdict(text: str, sent: bool) -> ActError:
    """What an error means for a call that must not be repeated."""
    if sent:
        return Lost(text)
    return (CredentialError if refuses_credential(text) else NotSent)(text)


class Pipe:
    """Starts its worker when there is something to ask, and again after it has ended."""

    def __init__(self, start: Mapping[str, Any], config: Path | None, seconds: float, name: str = "") -> None:
        self.seconds = seconds
        self._name = name  # of the CE, in what is measured
        self.answers = 0
        self._start, self._config = start, config
        self._turn = asyncio.Lock()
        self._worker: asyncio.subprocess.Process | None = None
        self._used = 0.0  # by the loop's clock

    async def call(self, do: str, seconds: float | None = None, **words: Any) -> Any:
        """The answer. Raises NotSent, Lost, CredentialError."""
        with meters.ce_call(self._name, do):
            return await self._called(do, self.seconds if seconds is None else seconds, words)

    async def _called(self, do: str, limit: float, words: Mapping[str, Any]) -> Any:
        written = False
        try:
            async with asyncio.timeout(limit), self._turn:
                worker = await self._ready()
                written = True
                line = await self._ask(worker, json.dumps({"do": do, **words}).encode() + b"\n")
        except TimeoutError as err:
            words_ = f"HTCondor does not answer to {do} within {limit:g} s"
            raise Lost(words_) if written else NotSent(words_) from err
        if not line.endswith(b"\n"):
            await self._end()
            raise Lost(f"HTCondor's library ended its process during {do}")
        said = json.loads(line)
        if "error" in said:
            raise verdict(said["error"], said["sent"])
        self.answers += 1
        return said["is"]

    async def _ask(self, worker: asyncio.subprocess.Process, line: bytes) -> bytes:
        """One request and its answer; who is interrupted in between leaves no worker that is out of step."""
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(line)
            await worker.stdin.drain()
            return await worker.stdout.readline()
        except ConnectionError:
            return b""
        except ValueError as err:
            await asyncio.shield(self._end())
            raise Lost(f"HTCondor's answer is longer than {LONGEST} bytes") from err
        except BaseException:
            await asyncio.shield(self._end())
            raise

    async def _ready(self) -> asyncio.subprocess.Process:
        loop = asyncio.get_running_loop()
        idle, self._used = loop.time() - self._used, loop.time()
        if self._worker is not None and (self._worker.returncode is not None or idle > htcondor_worker.IDLE_S / 2):
            await self._end()  # it is about to end by itself
        if self._worker is None:
            environment = {**os.environ, **({"CONDOR_CONFIG": str(self._config)} if self._config else {})}
            self._worker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", htcondor_worker.__name__, stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, limit=LONGEST, env=environment,
                start_new_session=True,
            )  # fmt: skip
            assert self._worker.stdin is not None
            self._worker.stdin.write(json.dumps(self._start).encode() + b"\n")
        return self._worker

    async def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        with contextlib.suppress(ProcessLookupError):
            worker.kill()
        if worker.stdin is not None:
            worker.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await worker.wait()

    async def close(self) -> None:
        await self._end()

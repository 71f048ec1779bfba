"""Stage-in and stage-out by the CE: real transfers over https, or a pretence."""

import asyncio
import io
import re
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from act_core.simulators.arc_delegations import Delegations, Expired
from act_core.simulators.arc_records import Job

DEADLINE_S = 120.0  # of one transfer
TRIES = 3
PAUSE_S = 0.2
AT_ONCE = 20
# What A-REX has transfers for. Those that are not https are pretended.
SPOKEN = {"https", "http", "davs", "dav", "root", "gsiftp", "srm", "rucio", "s3", "file", "ldap", "rfio", "acix"}
_OPTIONS = re.compile(r"^([a-z]+://[^/;]+)(?:;[^/]*)?(/.*)?$")
_RUCIO = re.compile(r"^/replicas/")
_LINE = re.compile(r'^\s*(?:"([^"]*)"|(\S+))\s+(\S+)\s*$')


class TransferFailed(Exception):
    """After all tries, or for good."""


@dataclass(frozen=True)
class StagingOptions:
    """`really`: files are fetched and sent; otherwise all of it goes well at once. `rucio`: base URL of replicas."""

    really: bool = False
    rucio: str = ""


class Transfers:
    """Opened and closed with the CE; call inside a running loop."""

    def __init__(self, options: StagingOptions, delegations: Delegations) -> None:
        self._options, self._delegations = options, delegations
        self._places = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE_S))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def shown(self, job: Job) -> tuple[bytes, str]:
        """The proxy that a job asked for, and where the authorities are."""
        proxy = self._delegations.proxy(job.owner, job.about.delegations) if job.about.proxy else b""
        return proxy, str(self._delegations.ca_dir)

    async def stage_in(self, job: Job) -> str:
        """All inputs with a source, into the session directory. What went wrong; empty: all is there."""
        for one in job.about.inputs:
            if self._options.really and one.sources and urlsplit(one.sources[0]).scheme not in SPOKEN:
                return f"Data download failed: {one.name}: no way to {one.sources[0]}"
            url = self._location(one.sources[0]) if one.sources else None
            if url is None or one.name in job.session.files:
                continue
            try:
                content = await self._transfer(job, "GET", url)
            except TransferFailed as failed:
                return f"Data download failed: {one.name}: {failed}"
            job.session.put(one.name, content)
        return ""

    async def stage_out(self, job: Job, failed: bool) -> str:
        """All outputs with a target, which are removed once they are there. What went wrong; empty: all is sent."""
        for name, target in list(uploads(job, failed)):
            content = job.session.files.get(name)
            if content is None:
                return f"Data upload failed: {name}: no such file"
            url = self._location(target)
            try:
                if url is not None:
                    await self._transfer(job, "PUT", url, content)
            except TransferFailed as problem:
                return f"Data upload failed: {name}: {problem}"
            job.session.delete(name)
        return ""

    def _location(self, url: str) -> str | None:
        """Where to really go to; None: pretend. Options of the host part (`;cache=check`) are ARC's own."""
        match = _OPTIONS.match(url)
        if not self._options.really or match is None:
            return None
        plain = match[1] + (match[2] or "/")
        parts = urlsplit(plain)
        if parts.scheme == "rucio" and self._options.rucio and _RUCIO.match(parts.path):
            return self._options.rucio.rstrip("/") + parts.path
        return plain.replace("davs://", "https://", 1) if parts.scheme in ("https", "davs") else None

    async def _transfer(self, job: Job, method: str, url: str, content: bytes | None = None) -> bytes:
        try:
            context = await asyncio.to_thread(self._delegations.context, job.owner, job.delegations)
        except Expired as err:
            raise TransferFailed(str(err)) from err
        problem = ""
        for attempt in range(TRIES):
            await asyncio.sleep(attempt * PAUSE_S)
            try:
                async with self._places:
                    status, got = await self._once(method, url, context, content)
            except (aiohttp.ClientError, OSError, TimeoutError) as err:
                problem = str(err) or type(err).__name__
                continue
            if status < 300:
                return got
            problem = f"{status} of {url}"
            if status < 500:
                break
        raise TransferFailed(problem)

    async def _once(self, method: str, url: str, context: ssl.SSLContext, content: bytes | None) -> tuple[int, bytes]:
        assert self._session is not None
        body = None if content is None else io.BytesIO(content)
        async with self._session.request(method, URL(url, encoded=True), ssl=context, data=body) as answer:
            return answer.status, await answer.read()


def uploads(job: Job, failed: bool) -> Iterator[tuple[str, str]]:
    """Names and targets: those declared, and those of the lists (`@file`: lines `name URL`) that the job wrote."""
    for output in job.about.outputs:
        if output.name.startswith("@") and not failed:
            yield from listed(job.session.files, output.name.removeprefix("@")).items()
        elif output.target is not None and (output.on_failure or not failed):
            yield output.name, output.target


def listed(files: Mapping[str, bytes], name: str) -> Mapping[str, str]:
    text = files.get(name, b"").decode("utf-8", "replace")
    matches = (_LINE.match(line) for line in text.splitlines())
    return {match[1] or match[2]: match[3] for match in matches if match}

"""What `act doctor` asks others over the network: CEs, PanDA, Prefect, and each of them for the time."""

import asyncio
import os
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp

from act_core.atlas import panda_check
from act_core.atlas.panda_server import open_panda
from act_core.ce.diagnosis import Finding
from act_core.ce.diagnosis import Verdict as Step
from act_core.ce.registry import open_ce
from act_core.cli.context import now
from act_core.credentials.places import proxy_of
from act_core.credentials.tls import client_context
from act_core.engine.trial import Plan, Trial
from act_core.errors import ActError
from act_core.ids import TowerId
from act_core.monitor.doctor import Check, bad, ok, skipped, warn
from act_core.monitor.sentences import told
from act_core.settings import Settings
from act_core.settings.model import Site

DEADLINE_S, CLOCK_S = 45.0, 10.0
AT_A_TIME = 20  # CEs
TELLING = ("identity", "version", "answer", "queue")  # steps whose words say something of a CE that is well
T = TypeVar("T")


async def guarded(name: str, probe: Awaitable[T], instead: Callable[[Check], T], seconds: float = DEADLINE_S) -> T:
    """What the probe found in time; whatever breaks in it is found out about this one alone."""
    try:
        async with asyncio.timeout(seconds):
            return await probe
    except TimeoutError:
        return instead(bad(name, f"no end of it within {seconds:g} s", "Is it there, and is the line to it well?"))
    except Exception as err:  # noqa: BLE001 - one broken check must not hide the others
        return instead(bad(name, f"the check itself broke: {type(err).__name__}: {err}", "Report this with its words."))


async def aside(call: Callable[[], T]) -> T:
    """In a thread that nobody waits for at the end: a disk that hangs, or a database, keeps no command from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(setter: Callable[[Any], None], what: Any) -> None:
        if not done.done():
            setter(what)

    def run() -> None:
        try:
            found = call()
        except Exception as err:  # noqa: BLE001 - raised where it is awaited
            loop.call_soon_threadsafe(tell, done.set_exception, err)
        else:
            loop.call_soon_threadsafe(tell, done.set_result, found)

    threading.Thread(target=run, daemon=True).start()
    return await done


async def ce(held: Settings, name: str, site: Site, tower: TowerId, gate: asyncio.Semaphore) -> Check:
    """The steps of `act ces test --quick`: the first one that is bad is what is wrong."""
    label = f"CE {name}"
    findings: list[Finding] = []
    async with gate:
        try:
            end = open_ce(held, name, now, site)
        except ActError as err:
            return bad(label, str(err), "Mend it in aCTConfigARC.yaml.")
        try:
            async with asyncio.timeout(DEADLINE_S):
                await Trial(end, tower, Plan(quick=True), now, findings.append).run()
        except TimeoutError:
            after = f" after {findings[-1].step}" if findings else ""
            return bad(label, f"no answer within {DEADLINE_S:g} s{after}", "Is it there? Ask the site.")
        finally:
            await end.close()
    return of_findings(label, findings)


def of_findings(label: str, findings: Sequence[Finding]) -> Check:
    for found in findings:
        if found.verdict is Step.BAD:
            return bad(label, f"{found.step}: {found.words}", found.do)
    for found in findings:
        if found.verdict is Step.ODD:
            return warn(label, f"{found.step}: {found.words}", found.do)
    words = [found.words for found in findings if found.step in TELLING and found.verdict is Step.OK]
    return ok(label, "; ".join(words) or "it answers")


async def panda(held: Settings) -> Check:
    """Whether PanDA is there, and takes us for who we must be."""
    server = held.app.panda.server
    label = f"PanDA {urlsplit(server).netloc or server}"
    if panda_check.only_handed(held):
        return skipped(label, "all jobs come from a Harvester, and nobody here is known to PanDA")
    try:
        async with open_panda(held) as client:
            said: Any = await client.attributes()
    except ActError as err:
        said = err
    line = panda_check.line_of(server, said)
    if line.reason is None:
        return ok(label, f"it takes {said.dn} for a production manager")
    tell = told(line.code, {"share": server, **line.facts}, now())
    return bad(label, tell.why, tell.do)


async def prefect(url: str, log: Path) -> Check:
    """Whether the clock of the tower answers."""
    try:
        status, _ = await _asked(f"{url}/api/health", None)
    except (aiohttp.ClientError, OSError, TimeoutError) as err:
        do = (
            f"`act up` starts it again when it dies; why it does not answer stands in {log}. Is its port still its own?"
        )
        return bad("Prefect", f"its server does not answer at {url}: {err or type(err).__name__}", do)
    if status in (200, 401, 403):
        return ok("Prefect", f"its server answers at {url}")
    return bad("Prefect", f"{url} answers {status}", f"Is that Prefect's server? See {log}, and prefect.port.")


def prefect_url(standing: Mapping[str, Any] | None) -> str | None:
    """Of the tower that is up here, else of the stock worker's environment."""
    found = standing["prefect"] if standing else os.environ.get("PREFECT_API_URL", "").removesuffix("/api")
    return found or None


async def clock(url: str, contexts: Sequence[Callable[[], ssl.SSLContext]]) -> float | None:
    """By how many seconds its clock is ahead of ours, from the `Date` of an answer; None: it does not tell."""
    for context in contexts:
        try:
            before = datetime.now(UTC)
            _, date = await _asked(url, await asyncio.to_thread(context))
            after = datetime.now(UTC)
            theirs = parsedate_to_datetime(date) if date else None
        except (ActError, aiohttp.ClientError, OSError, TimeoutError, ValueError):
            continue
        if theirs is not None:
            theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
            # a `Date` has whole seconds
            return (theirs - before - (after - before) / 2).total_seconds() + 0.5
    return None


async def _asked(url: str, context: ssl.SSLContext | None) -> tuple[int, str]:
    timeout = aiohttp.ClientTimeout(total=CLOCK_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, ssl=context or True, allow_redirects=False) as answer,
    ):
        return answer.status, answer.headers.get("Date", "")


def contexts(held: Settings, name: str | None, site: Site | None) -> list[Callable[[], ssl.SSLContext]]:
    """As ourselves; where one of us is not believed, as nobody: the time alone is wanted, and nothing is sent."""

    def ours() -> ssl.SSLContext:
        proxy = proxy_of(held, name, site) if name and site else None
        return client_context(held.arc.voms.cacertdir, proxy)

    def nobody() -> ssl.SSLContext:
        blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE
        return blind

    return [ours, nobody]

"""What can be told of an HTCondor CE before any job: our schedd, the CE's address, what it will be shown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from act_core.ce.base import Capacity
from act_core.ce.diagnosis import Finding, Verdict, reached
from act_core.ce.registry import Place
from act_core.credentials.proxy import load_proxy
from act_core.credentials.tokens import load_token
from act_core.errors import ActError, CredentialError

LATER = "the CE is asked by the grid manager: the first job shows it"


async def steps(place: Place, grid: bool, capacity: Callable[[], Awaitable[Capacity]]) -> AsyncIterator[Finding]:
    """See :class:`act_core.ce.diagnosis.Diagnosable`. `grid`: jobs go on to a CE, not to the schedd's own pool."""
    try:
        said = await capacity()
    except ActError as err:
        do = f"Does the schedd run, and may we use it? See sites.{place.name}.options: schedd, collector, config."
        yield Finding("schedd", Verdict.BAD, str(err), do)
        return
    slots = f", {said.total_slots} slots" if said.total_slots is not None else ""
    yield Finding("schedd", Verdict.OK, f"{said.version or 'it answers'}{slots}")
    host, _, port = place.site.endpoint.rpartition(":")
    if grid and host and port.isdecimal():
        found = await reached(host, int(port), place.name)
        yield found
        if found.bad:
            return
    yield await _identity(place)
    for step in ("mapping", "version", "queue") if grid else ():
        yield Finding(step, Verdict.SKIPPED, LATER)


async def _identity(place: Place) -> Finding:
    now, told = place.now(), []
    try:
        if place.proxy is not None:
            held = await asyncio.to_thread(load_proxy, place.proxy, now)
            told.append(f"{held.subject}, good until {held.expires:%Y-%m-%d %H:%M}Z")
        if place.token is not None:
            token = await asyncio.to_thread(load_token, place.token, now)
            told.append(f"a token of {token.subject}, good until {token.expires:%Y-%m-%d %H:%M}Z")
    except CredentialError as err:
        return Finding("identity", Verdict.BAD, str(err), "Renew it: `act sweep renew-credentials`, or whoever does.")
    if not told:
        return Finding("identity", Verdict.SKIPPED, "no proxy and no token is shown")
    return Finding("identity", Verdict.OK, "; ".join(told))

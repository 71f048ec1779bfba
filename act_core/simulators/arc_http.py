"""The REST door of the simulated A-REX: who asks, for what, in which version."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from act_core.credentials.tokens import bearer
from act_core.errors import CredentialError
from act_core.simulators.arc_delegations import NotAccepted, certificate_request, new_key
from act_core.simulators.arc_info import Load, computing_element
from act_core.simulators.arc_job_files import job_files
from act_core.simulators.arc_jobs import Handler, jobs
from act_core.simulators.arc_records import Batch, Internal
from act_core.simulators.arc_service import Call, Service, unsupported
from act_core.simulators.arc_submission import LARGEST_BODY
from act_core.simulators.arc_wire import Flavour, Refusal, Tree, answer, refused

FORBIDDEN = "User can't be assigned configuration"
PEM = "application/x-pem-file"
ROOT = "/arex/rest"

PeerName = Callable[[web.BaseRequest], str | None]


class Door:
    """`peer`: the name (slash form, without proxy parts) of a verified client certificate, or None. `mapped`: whom the
    CE lets in; empty: everybody with a certificate. `issuers`: those whose tokens are believed, without a look at the
    signature; a certificate goes before them."""

    def __init__(
        self,
        service: Service,
        peer: PeerName,
        mapped: frozenset[str] = frozenset(),
        issuers: frozenset[str] = frozenset(),
    ) -> None:
        self._service, self._peer, self._mapped, self._issuers = service, peer, mapped, issuers

    def app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.Response:
        try:
            return await self._answered(request)
        except Refusal as refusal:
            return refused(refusal, self._service.flavour)

    async def _answered(self, request: web.Request) -> web.Response:
        owner = self._peer(request) or token_subject(request, self._issuers)
        if owner is None or (self._mapped and owner not in self._mapped):
            raise Refusal(403, FORBIDDEN)
        owner = self._service.books.accounts.get(owner, owner)
        if request.path != ROOT and not request.path.startswith(f"{ROOT}/"):
            raise Refusal(404, "Not Found")
        parts = [part for part in request.path.removeprefix(ROOT).split("/") if part]
        if not parts:
            return self._versions(request)
        version, *rest = parts
        if version not in self._service.traits.versions:
            raise Refusal(404, "Version Not Supported")
        functionality = rest[0] if rest else ""
        if functionality not in _FUNCTIONS:
            raise Refusal(404, "Functionality Not Supported" if rest else "Not Found")
        return await _FUNCTIONS[functionality](Call(self._service, request, owner, version, tuple(rest[1:])))

    def _versions(self, request: web.Request) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            raise unsupported()
        versions: list[Tree] = list(self._service.traits.versions)
        return answer(request, self._service.flavour, "versions", {"version": versions})


def token_subject(request: web.BaseRequest, issuers: frozenset[str]) -> str | None:
    """Whom a bearer token of one of these issuers speaks for, as `issuer/sub`; None: there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not issuers:
        return None
    try:
        found = bearer(Path("token"), token)
    except CredentialError:
        return None
    known = found.subject.rpartition("/")[0] in issuers and found.expires > datetime.now(UTC)
    return found.subject if known else None


async def _info(call: Call) -> web.Response:
    if call.rest:
        raise Refusal(404, "Not Found")
    if not call.reads():
        raise unsupported()
    if call.request.query.get("schema", "glue2") != "glue2":
        raise Refusal(501, "Schema not implemented")
    service = call.service
    living = [job for job in service.books.jobs.values() if not job.over]
    waiting = sum(job.state is Internal.INLRMS and job.batch is Batch.QUEUED for job in living)
    load = Load(service.life.pace.slots, service.life.running, waiting, len(living))
    url = f"https://{call.request.host}{ROOT.removesuffix('/rest')}"
    tree = computing_element(service.place, url, service.queues, load)
    return call.answer("InfoRoot", {"Domains": tree})


async def _jobs(call: Call) -> web.Response:
    return await (job_files(call) if call.rest else jobs(call))


async def _delegations(call: Call) -> web.Response:
    if call.rest:
        return await _delegation(call)
    if call.reads():
        typed, asked = call.service.flavour is Flavour.V7, call.request.query.get("type", "")
        mine: list[Tree] = [
            {"id": one.id, **({"type": one.kind} if typed else {})}
            for one in call.service.delegations.of(call.owner)
            if not typed or asked in ("", one.kind)
        ]
        return call.answer("delegations", {"delegation": mine})
    if call.method != "POST":
        raise unsupported()
    if call.action != "new":
        raise Refusal(501, "Action not implemented")
    if call.version != "1.0" and call.request.query.get("type") == "jwt":
        return _token_kept(call)
    return await _offered(call, None)


def _token_kept(call: Call) -> web.Response:
    token = call.request.headers.get("X-Token-Delegation")
    if not token:
        raise Refusal(501, "Missing X-Token-Delegation header in delegation request")
    one = call.service.delegations.keep_token(call.owner, token)
    return web.Response(status=201, headers={"Location": f"{ROOT}/{call.version}/delegations/{one.id}"})


async def _offered(call: Call, delegation_id: str | None) -> web.Response:
    """A request for a certificate; a new key is made for it."""
    key = await asyncio.to_thread(new_key)
    one = call.service.delegations.request(call.owner, delegation_id, key)
    request = certificate_request(key, call.service.traits.csr_version)
    headers = {"Content-Type": PEM}
    if delegation_id is None:
        between = "?action=new/" if call.service.flavour is Flavour.V6 else "/"
        headers["Location"] = f"{ROOT}/{call.version}/delegations{between}{one.id}"
    return web.Response(status=201, body=request, headers=headers)


async def _delegation(call: Call) -> web.Response:
    if len(call.rest) > 1:
        raise Refusal(404, "Not Found")
    delegation_id = call.rest[0]
    if call.method == "PUT":
        return await _accepted(call, delegation_id)
    if call.method != "POST":
        raise unsupported()
    if call.action == "renew":
        return await _offered(call, delegation_id)
    if call.action == "get":
        return _chain(call, delegation_id)
    if call.action == "delete":
        return _deleted(call, delegation_id)
    raise Refusal(501, "Action not implemented")


def _chain(call: Call, delegation_id: str) -> web.Response:
    one = call.service.delegations.find(call.owner, delegation_id)
    if one is None or not one.chain:
        raise Refusal(404, "No delegation found")
    return web.Response(body=one.chain, headers={"Content-Type": PEM})


def _deleted(call: Call, delegation_id: str) -> web.Response:
    if call.service.delegations.find(call.owner, delegation_id) is None:
        raise Refusal(404, "No such delegation")
    if call.service.books.holds(call.owner, delegation_id):
        raise Refusal(500, "Failed deleting delegation")
    call.service.delegations.delete(call.owner, delegation_id)
    return web.Response(status=202)


async def _accepted(call: Call, delegation_id: str) -> web.Response:
    content = await call.request.read()
    if not content:
        raise Refusal(500, "Missing payload")
    try:
        call.service.delegations.accept(call.owner, delegation_id, content)
    except NotAccepted:
        raise Refusal(500, "Failed accepting delegation") from None
    return web.Response()


_FUNCTIONS: Mapping[str, Handler] = {"info": _info, "delegations": _delegations, "jobs": _jobs}

"""The HTTP half of the simulated storage: WebDAV as XRootD, dCache and friends answer it, as far as a tower asks."""

import asyncio
import re
from dataclasses import dataclass
from urllib.parse import unquote
from xml.sax.saxutils import escape

from aiohttp import web

from act_core.simulators.storage_files import Files, Inputs, IsDirectory, NotThere, digest_of

LARGEST_FILE = 1024 * 1024 * 1024  # bytes
REPLICAS = "/replicas/"
REDIRECTED = "redirected"
VERBS = ("GET", "HEAD", "PUT", "DELETE", "PROPFIND")
KINDS = ("adler32", "md5")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass
class Manners:
    """How the storage behaves; the control port changes it."""

    digest: bool = True  # False: 200 without Digest, whatever was wanted
    digests: tuple[str, ...] = KINDS  # the checksums that it knows
    redirect: bool = False  # the first answer is a 307 to the same server
    redirect_to: str | None = None  # each answer is a 307 to the same path there: `https://host:port`
    token: str | None = None  # who does not show this bearer token gets a 401
    propfind: bool = True  # False: 405
    recursive: bool = False  # DELETE of a directory takes everything in it, as dCache and StoRM do; else 409
    forbidden: tuple[str, ...] = ()  # path prefixes where nobody may do anything
    read_only: tuple[str, ...] = ()  # path prefixes where nobody may write


class Shelf:
    """GET, HEAD, PUT, DELETE, PROPFIND of files, and `/replicas/<scope>/<lfn>` for registered inputs."""

    def __init__(self, files: Files, inputs: Inputs, manners: Manners) -> None:
        self.files, self.inputs, self.manners = files, inputs, manners

    def app(self) -> web.Application:
        app = web.Application(client_max_size=LARGEST_FILE)
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if (elsewhere := self._elsewhere(request)) is not None:
            await request.read()
            return web.Response(status=307, headers={"Location": elsewhere})
        if (refusal := self._refusal(request)) is not None:
            return refusal
        try:
            return await self._verb(request)
        except NotThere:
            return _empty(404, request)
        except IsDirectory:
            return _empty(409, request)

    def _elsewhere(self, request: web.Request) -> str | None:
        """Where the request is sent to, if anywhere."""
        if self.manners.redirect_to is not None:
            return self.manners.redirect_to + request.path_qs
        if self.manners.redirect and REDIRECTED not in request.query:
            return str(request.url.update_query({REDIRECTED: "1"}))
        return None

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.method not in VERBS or (request.method == "PROPFIND" and not self.manners.propfind):
            return web.Response(status=405, headers={"Allow": ", ".join(VERBS)})
        if self.manners.token is not None and request.headers.get("Authorization") != f"Bearer {self.manners.token}":
            return _empty(401, request)
        writes = request.method in ("PUT", "DELETE")
        closed = self.manners.forbidden + (self.manners.read_only if writes else ())
        if any(request.path.startswith(prefix) for prefix in closed) or (writes and request.path.startswith(REPLICAS)):
            return _empty(403, request)
        return None

    async def _verb(self, request: web.Request) -> web.Response:
        if request.method == "PUT":
            await asyncio.to_thread(self.files.put, request.path, await request.read())
            return web.Response(status=201)
        if request.method == "DELETE":
            await asyncio.to_thread(self._delete, request.path)
            return web.Response(status=200)
        if request.method == "PROPFIND":
            collection = await asyncio.to_thread(self.files.is_directory, request.path)
            return _properties(request.path, collection)
        return self._shown(request, await self._content(request))

    def _delete(self, path: str) -> None:
        if self.manners.recursive and self.files.is_directory(path):
            self.files.delete_tree(path)
        else:
            self.files.delete(path)

    async def _content(self, request: web.Request) -> bytes:
        if request.path.startswith(REPLICAS):
            scope, _, lfn = request.path.removeprefix(REPLICAS).partition("/")
            return self.inputs.get(unquote(scope), unquote(lfn))
        return await asyncio.to_thread(self.files.get, request.path)

    def _shown(self, request: web.Request, content: bytes) -> web.Response:
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        wanted = request.headers.get("Want-Digest")
        if wanted and self.manners.digest and (digest := digest_of(content, wanted, self.manners.digests)):
            headers["Digest"] = digest
        if request.method == "HEAD":
            return web.Response(headers=headers | {"Content-Length": str(len(content))})
        part = _range(request.headers.get("Range"), len(content))
        if part is None:
            return web.Response(body=content, headers=headers)
        first, last = part
        if first > last:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return web.Response(status=206, body=content[first : last + 1], headers=headers)


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte; first > last: cannot be satisfied; None: no (single) range asked for."""
    match = _RANGE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        return max(0, size - int(last)), size - 1
    return int(first), min(size - 1, int(last)) if last else size - 1


def _properties(path: str, collection: bool) -> web.Response:
    """Of depth 0, whatever was asked for; as XRootD, which tells no resourcetype of a file."""
    kind = "<D:resourcetype><D:collection/></D:resourcetype>" if collection else "<D:iscollection>0</D:iscollection>"
    text = (
        '<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:"><D:response>'
        f"<D:href>{escape(path)}</D:href><D:propstat><D:prop>{kind}</D:prop><D:status>HTTP/1.1 200 OK</D:status>"
        "</D:propstat></D:response></D:multistatus>"
    )
    return web.Response(status=207, text=text, content_type="application/xml")


def _empty(status: int, request: web.Request) -> web.Response:
    response = web.Response(status=status)
    if status == 404 and request.method == "HEAD":
        response.force_close()
        response.headers["Connection"] = "Close"
    return response

"""`/jobs/<id>/session/…` and `/jobs/<id>/diagnose/<name>`."""

import re
from xml.sax.saxutils import escape

from aiohttp import web

from act_core.simulators.arc_diagnose import CONTROL_FILES
from act_core.simulators.arc_records import Job
from act_core.simulators.arc_service import Call, unsupported
from act_core.simulators.arc_session import WrongPath, canonical
from act_core.simulators.arc_wire import ATTRIBUTES, TEXT, XML, Refusal, Tree, accepted, to_xml

OCTETS = "application/octet-stream"
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


async def job_files(call: Call) -> web.Response:
    """`rest` begins with the job's id."""
    job_id, *rest = call.rest
    if not rest:
        raise Refusal(404, "Missing job sub-resource")
    if rest[0] not in ("session", "diagnose"):
        raise Refusal(404, "Wrong job sub-resource requested")
    job = call.job(job_id)
    if rest[0] == "diagnose":
        return _diagnose(call, job, "/".join(rest[1:]))
    if job is None:
        raise Refusal(404, "OK")  # as A-REX says it
    try:
        path = canonical("/".join(rest[1:]))
    except WrongPath:
        raise Refusal(404, "Wrong path") from None
    return await _session(call, job, path)


def _diagnose(call: Call, job: Job | None, name: str) -> web.Response:
    if name not in CONTROL_FILES and name != "xml":
        raise Refusal(404, "Diagnostic item not found")
    if not call.reads():
        raise unsupported()
    if job is None:
        raise Refusal(404, "OK")  # as A-REX says it
    if name == "xml":
        return _shown(call, to_xml("ComputingActivity", call.service.document(job)).encode(), XML)
    text = CONTROL_FILES[name](job)
    if text is None:
        raise Refusal(404, "Not found")
    return _shown(call, text.encode(), "text/plain")


async def _session(call: Call, job: Job, path: str) -> web.Response:
    if call.reads():
        return _read(call, job, path)
    if call.method == "PUT":
        return await _write(call, job, path)
    if call.method == "DELETE":
        if not job.session.delete(path):
            raise Refusal(500, "Failed to delete")
        return web.Response(status=202)
    if call.method == "PROPFIND":
        return _properties(call, job, path)
    raise unsupported()


def _read(call: Call, job: Job, path: str) -> web.Response:
    if (content := job.session.files.get(path)) is not None:
        return _shown(call, content, OCTETS)
    listing = job.session.listing(path)
    if listing is None:
        raise Refusal(404, "Not found")
    files, folders = listing
    sized: list[Tree] = [{ATTRIBUTES: {"size": str(size)}, TEXT: name} for name, size in files.items()]
    in_xml = accepted(call.request.headers.getall("Accept", [])) == XML
    return call.answer("list", {"file": sized if in_xml else list(files), "dir": folders})


def _shown(call: Call, content: bytes, kind: str) -> web.Response:
    headers = {"Content-Type": kind}
    part = _RANGE.fullmatch(call.request.headers.get("Range", ""))
    if part is None or call.method == "HEAD":
        return web.Response(body=content, headers=headers)
    first, last = int(part[1]), min(int(part[2] or len(content)), len(content) - 1)
    if first > last:
        return web.Response(status=416, reason="Range Not Satisfiable")
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return web.Response(status=206, body=content[first : last + 1], headers=headers)


async def _write(call: Call, job: Job, path: str) -> web.Response:
    """Also after the end of the job."""
    if not path or job.session.listing(path) is not None:
        raise Refusal(500, "Error creating file")
    content = await call.request.read()
    part = _CONTENT_RANGE.fullmatch(call.request.headers.get("Content-Range", ""))
    whole = True
    if part is None:
        job.session.put(path, content)
    else:
        whole = job.session.put_part(path, int(part[1]), content, int(part[3]))
    if whole:
        call.service.life.uploaded(job, path)
    return web.Response()


def _properties(call: Call, job: Job, path: str) -> web.Response:
    """WebDAV, one level deep."""
    base = call.request.path.rstrip("/")
    content, listing = job.session.files.get(path), job.session.listing(path)
    if content is not None:
        responses = [_property(base, len(content))]
    elif listing is not None:
        files, folders = listing
        responses = [_property(f"{base}/", None)]
        if call.request.headers.get("Depth") != "0":
            responses += [_property(f"{base}/{name}", size) for name, size in files.items()]
            responses += [_property(f"{base}/{name}/", None) for name in folders]
    else:
        responses = [
            f"<d:response><d:href>{escape(base)}</d:href><d:status>HTTP/1.1 404 Not Found</d:status></d:response>"
        ]
    body = f'<d:multistatus xmlns:d="DAV:">{"".join(responses)}</d:multistatus>'
    return web.Response(body=body.encode(), headers={"Content-Type": XML})


def _property(href: str, size: int | None) -> str:
    name = escape(href.rstrip("/").rpartition("/")[2])
    folder = "<d:resourcetype><d:collection/></d:resourcetype>"
    kind = folder if size is None else f"<d:resourcetype/><d:getcontentlength>{size}</d:getcontentlength>"
    return (
        f"<d:response><d:href>{escape(href)}</d:href><d:propstat><d:status>HTTP/1.1 200 OK</d:status>"
        f"<d:prop><d:displayname>{name}</d:displayname>{kind}</d:prop></d:propstat></d:response>"
    )

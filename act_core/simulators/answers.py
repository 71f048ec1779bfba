"""An answer taken apart, so that a fault can spoil it."""

from aiohttp import web

_OF_THE_WIRE = ("Content-Length", "Transfer-Encoding", "Date", "Server")  # made anew for another body


def hang_up(request: web.Request) -> web.Response:
    """End the connection; what is returned reaches nobody."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def body_of(answer: web.StreamResponse) -> bytes:
    """Empty where it is a stream."""
    body = answer.body if isinstance(answer, web.Response) else None
    return bytes(body) if isinstance(body, bytes | bytearray) else b""


def headers_of(answer: web.StreamResponse) -> dict[str, str]:
    """Those that another body bears, too."""
    return {key: value for key, value in answer.headers.items() if key not in _OF_THE_WIRE}


async def half_of(request: web.Request, whole: web.StreamResponse) -> web.StreamResponse:
    """The right headers and half of the body; then the connection ends."""
    body = body_of(whole)
    half = web.StreamResponse(status=whole.status, reason=whole.reason, headers=headers_of(whole))
    half.content_length = max(len(body), 2)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    hang_up(request)
    return half

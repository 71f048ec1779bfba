"""One connection that speaks HTTP/1.1 over TLS, for a thread that waits for its answers; httptools reads them."""

import select
import socket
import ssl
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

CONNECT_S, ANOTHER_S = 15.0, 2.0  # where there are further addresses, they have their turn sooner
PIECE = 1 << 16  # bytes that are read or written at a time
LONGEST_HEAD = 1 << 16  # bytes
NO_BODY = {204, 304}
WIRE_ERRORS = (OSError, HttpParserError)


class Cut(OSError):
    """An answer, or a file of ours, that ended too early."""


class Answer:
    """What httptools finds in the bytes of one answer; its callbacks take nothing of what follows that."""

    def __init__(self) -> None:
        self.status, self.reason = 0, ""
        self.headers: dict[str, str] = {}  # names in small letters
        self.pieces: deque[bytes] = deque()
        self.headed = self.complete = self.keeps = self.more = False
        self.early = False  # it came before all was sent
        self._parser = HttpResponseParser(self)
        self._seen = 0

    @property
    def size(self) -> int | None:
        """Bytes of its body, where that is told."""
        told = self.headers.get("content-length", "")
        return 0 if self.status in NO_BODY else int(told) if told else None

    def feed(self, piece: bytes) -> None:
        """Raises HttpParserError for what is no answer."""
        self._seen += len(piece)
        try:
            self._parser.feed_data(piece)
        except (HttpParserError, HttpParserUpgrade) as err:
            if not self.complete:
                changes = isinstance(err, HttpParserUpgrade)
                raise HttpParserError("it changes to another protocol" if changes else str(err)) from err
            self.more = True
        if self._seen > LONGEST_HEAD:
            raise HttpParserError(f"more than {LONGEST_HEAD} bytes of it are no body")

    def end(self) -> None:
        """The CE has hung up: that is how an answer without a length ends. Raises Cut, ConnectionResetError."""
        if not self.headed:
            raise ConnectionResetError("it hangs up")
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            raise Cut("an answer ends too early")
        self.complete = True

    def on_message_begin(self) -> None:
        self.more = self.complete

    def on_status(self, reason: bytes) -> None:
        if not self.complete:
            self.reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.headed:  # what follows the body is of no interest
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self.complete:
            self.status = self._parser.get_status_code()
            self.headed = self.status >= 200  # what is below only announces an answer

    def on_body(self, piece: bytes) -> None:
        if not self.complete:
            self.pieces.append(piece)
            self._seen = 0

    def on_message_complete(self) -> None:
        if self.complete:
            return
        if self.headed:
            self.complete, self.keeps = True, self._parser.should_keep_alive()
        else:
            self.reason, self.headers = "", {}


@dataclass(slots=True)
class Peer:
    """Where a CE is. `seconds`: that each wait for it may take; `reached`: the address that was the right one."""

    host: str
    port: int
    seconds: float
    reached: Any = None

    def addresses(self) -> "list[tuple[int, int, int, str, Any]]":
        """The one that was right before first. Raises OSError."""
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return sorted(found, key=lambda one: one[4] != self.reached)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Line:
    """One request at a time; it connects when there is something to ask. Only `abort` is for other threads.

    Raises WIRE_ERRORS.
    """

    def __init__(self, peer: Peer, context: ssl.SSLContext) -> None:
        self._peer, self._context = peer, context
        self._socket: socket.socket | None = None
        self.aborted = False

    @property
    def open(self) -> bool:
        return self._socket is not None

    def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: BinaryIO | None = None, size: int = 0
    ) -> Answer:
        """The head of an answer, and what came with it of its body. `size`: bytes of `body`."""
        length = {} if body is None else {"Content-Length": str(size)}
        told = {"Host": str(self._peer), "Accept-Encoding": "identity", **headers, **length}
        head = _lines(f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()))
        found = self._socket or self._connected()
        answer = Answer()
        answer.early = not self._sent(found, head, body, size)
        while not answer.headed:
            self._hear(answer)
        if not answer.complete:
            hurry(found)
        return answer

    def piece(self, answer: Answer) -> bytes:
        """What comes next of its body; nothing at its end."""
        while not answer.pieces and not answer.complete:
            self._hear(answer)
        return answer.pieces.popleft() if answer.pieces else b""

    def through(self, answer: Answer) -> None:
        """Nothing more is wanted of it: what cannot serve another request is closed."""
        if not (answer.complete and answer.keeps) or answer.more or answer.early:
            self.close()

    def quiet(self) -> bool:
        """Whether nothing has come that nobody asked for: the CE hung up, or answered twice. False: it is closed."""
        if self._socket is not None and _speaks(self._socket):
            self.close()
        return self._socket is not None

    def abort(self) -> None:
        """Whatever a thread waits for here, and whatever it begins later, ends with an error."""
        self.aborted = True
        if (found := self._socket) is not None:
            with suppress(OSError):  # it is not connected, or has been closed
                socket.socket.shutdown(found, socket.SHUT_RDWR)

    def close(self) -> None:
        found, self._socket = self._socket, None
        if found is not None:
            found.close()

    def _sent(self, found: socket.socket, head: bytes, body: BinaryIO | None, size: int) -> bool:
        """False: the CE takes no more of it, and has said something: an answer, as it seems."""
        left = size
        try:
            if body is not None:
                body.seek(0)
                piece = body.read(min(left, PIECE))
                head, left = head + piece, left - len(piece)
            self._alive()
            found.sendall(head)
            while body is not None and left:
                self._alive()
                if not (piece := body.read(min(left, PIECE))):
                    raise Cut("a file became shorter while it was sent")
                found.sendall(piece)
                left -= len(piece)
        except OSError as err:
            if isinstance(err, Cut) or self.aborted or not _speaks(found):
                raise
            return False
        return True

    def _alive(self) -> None:
        if self.aborted or self._socket is None:
            raise ConnectionAbortedError("it was broken off")

    def _hear(self, answer: Answer) -> None:
        self._alive()
        assert self._socket is not None
        if piece := self._socket.recv(PIECE):
            answer.feed(piece)
        else:
            answer.end()

    def _connected(self) -> socket.socket:
        if self.aborted:
            raise ConnectionAbortedError("it was broken off")
        plain = self._reached()
        plain.settimeout(self._peer.seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        secured = self._context.wrap_socket(plain, server_hostname=self._peer.host, do_handshake_on_connect=False)
        self._socket = secured
        self._alive()
        secured.do_handshake()
        return secured

    def _reached(self) -> socket.socket:
        found: OSError = OSError("it has no address")
        addresses = self._peer.addresses()
        for number, (family, kind, protocol, _, address) in enumerate(addresses, 1):
            try:
                self._socket = one = socket.socket(family, kind, protocol)
                self._alive()
                one.settimeout(CONNECT_S if number == len(addresses) else ANOTHER_S)
                one.connect(address)
            except OSError as err:
                found = err
                self.close()
                if self.aborted:
                    break
            else:
                self._peer.reached = address
                return one
        raise found


def _speaks(found: socket.socket) -> bool:
    """Whether there is something to read, if only the end."""
    if isinstance(found, ssl.SSLSocket) and found.pending():
        return True
    asked = select.poll()
    asked.register(found, select.POLLIN)
    return bool(asked.poll(0))


def hurry(found: socket.socket | None) -> None:
    """A-REX writes header and body apart, and the body waits for our ACK of the header: it goes out at once.

    Without this an answer takes 40 ms (Nagle there, delayed ACK here). The option holds for one moment only.
    """
    if found is not None and hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _lines(*words: str) -> bytes:
    """Raises ValueError where something would be another line."""
    if any("\r" in one or "\n" in one or "\x00" in one for one in words):
        raise ValueError("a line break in the head of a request")
    return ("\r\n".join(words) + "\r\n\r\n").encode("latin-1")

"""Answers on one connection: whole or not at all, and none is taken for that of another request."""

import socket
import ssl
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from httptools import HttpParserError

from act_core.ce.arc_lanes import DRAINED, Reply
from act_core.ce.arc_line import LONGEST_HEAD, PIECE, WIRE_ERRORS, Answer, Cut, Line, Peer
from act_core.errors import ProtocolError, Transient

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"Content-Length: 3\r\n\r\nabc"


class _Wire:
    endpoint = "https://ce.example"

    def verdict(self, err: BaseException) -> Exception:
        return Transient(f"{type(err).__name__}: {err}")


class Pair:
    """A line whose other end is in the test's hand, without TLS."""

    def __init__(self) -> None:
        ours, self.ce = socket.socketpair()
        ours.settimeout(5)
        self.line = Line(Peer("ce.example", 443, 5), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        self.line._socket = ours

    def says(self, words: bytes, hangs_up: bool = False) -> None:
        self.ce.sendall(words)
        if hangs_up:
            self.ce.shutdown(socket.SHUT_WR)

    def ask(self, **more: Any) -> Answer:
        return self.line.ask("GET", "/a", {}, **more)

    def reply(self, said: bytes, hangs_up: bool = False) -> Reply:
        self.says(said, hangs_up)
        wire: Any = _Wire()
        return Reply(wire, self.line, self.ask())


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    with made.ce:
        yield made
    made.line.close()


def test_what_is_asked(pair: Pair) -> None:
    pair.says(WHOLE)
    pair.line.ask("PUT", "/a%20b", {"Accept": "*/*"}, BytesIO(b"xyz"), 3)
    head, _, body = pair.ce.recv(1000).partition(b"\r\n\r\n")
    assert body == b"xyz"
    assert head.split(b"\r\n") == [
        b"PUT /a%20b HTTP/1.1",
        b"Host: ce.example:443",
        b"Accept-Encoding: identity",
        b"Accept: */*",
        b"Content-Length: 3",
    ]


@pytest.mark.parametrize("evil", ["/a\r\nX: 1", "/a\nX", "/a\x00"])
def test_nothing_becomes_a_line_of_its_own(pair: Pair, evil: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        pair.line.ask("GET", evil, {})
    with pytest.raises(ValueError, match="line break"):
        pair.line.ask("GET", "/a", {"X": evil})


@pytest.mark.parametrize(
    ("said", "hangs_up", "kept"),
    [
        pytest.param(WHOLE, False, True, id="by its length"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", False, True, id="in chunks"
        ),
        pytest.param(OK + b"\r\nabc", True, False, id="until it hangs up"),
        pytest.param(OK + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc", False, False, id="the last one"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", False, False, id="of an old server"),
        pytest.param(b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n" + WHOLE, False, True, id="announced"),
    ],
)
def test_an_answer_that_is_whole(pair: Pair, said: bytes, hangs_up: bool, kept: bool) -> None:
    reply = pair.reply(said, hangs_up)
    assert (reply.status, reply.reason) == (200, "OK")
    assert reply.whole(100) == b"abc"
    reply.end()
    assert pair.line.open is kept


def test_an_answer_that_comes_byte_by_byte() -> None:
    answer = Answer()
    for byte in WHOLE:
        answer.feed(bytes([byte]))
    assert (answer.status, answer.reason, answer.size, b"".join(answer.pieces)) == (200, "OK", 3, b"abc")
    assert answer.complete
    assert answer.keeps
    assert not answer.more


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(OK + b"Content-Length: 5\r\n\r\nabc", id="by its length"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", id="in a chunk"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", id="before the last chunk"),
    ],
)
def test_what_is_cut_is_not_taken_for_whole(pair: Pair, said: bytes) -> None:
    reply = pair.reply(said, hangs_up=True)
    with pytest.raises(Transient, match="ends too early"):
        reply.whole(100)
    reply.end()
    assert not pair.line.open


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"220 mail.example ESMTP\r\n", id="another protocol"),
        pytest.param(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", id="two lengths"),
        pytest.param(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", id="length and chunks"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\n", id="a negative length"),
        pytest.param(b"HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", id="an upgrade"),
        pytest.param(OK + b"X: " + b"y" * LONGEST_HEAD, id="a head without end"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 20", id="half a head"),
    ],
)
def test_what_is_no_answer(pair: Pair, said: bytes) -> None:
    pair.says(said, hangs_up=True)
    with pytest.raises(WIRE_ERRORS):
        pair.ask()


def test_what_is_packed_is_not_taken(pair: Pair) -> None:
    """Nobody asked for it, and the length that is told would be that of the package."""
    reply = pair.reply(OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")
    with pytest.raises(ProtocolError, match=r"packs what it sends \(gzip\)"):
        reply.read()
    reply.end()
    assert pair.line.open, "another request may follow"


def test_what_has_no_end_is_not_kept(pair: Pair) -> None:
    reply = pair.reply(OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 50_000)
    with pytest.raises(ProtocolError, match="more than 20 bytes"):
        reply.whole(20)
    reply.end()
    assert not pair.line.open


@pytest.mark.parametrize(("length", "kept"), [(0, True), (5, True), (DRAINED + 1, False)])
def test_what_nobody_reads_is_read_if_it_is_short(pair: Pair, length: int, kept: bool) -> None:
    reply = pair.reply(OK + f"Content-Length: {length}\r\n\r\n".encode() + b"x" * length)
    reply.end()
    assert pair.line.open is kept


@pytest.mark.parametrize("second", [WHOLE, b"HTTP/1.1 20", b"x"], ids=["twice", "half of it twice", "one byte"])
def test_an_answer_that_comes_twice_is_not_that_of_the_next_request(pair: Pair, second: bytes) -> None:
    reply = pair.reply(WHOLE + second)
    assert reply.whole(100) == b"abc"
    assert (reply.status, reply.reason, reply.size) == (200, "OK", 3)
    reply.end()
    assert not pair.line.open


def test_a_line_on_which_somebody_spoke_unasked_is_closed(pair: Pair) -> None:
    pair.reply(WHOLE).end()
    assert pair.line.quiet()
    pair.says(WHOLE)
    assert not pair.line.quiet()
    assert not pair.line.open


def test_a_line_that_the_ce_closed_is_not_quiet(pair: Pair) -> None:
    pair.reply(WHOLE).end()
    pair.ce.close()
    assert not pair.line.quiet()


def test_a_line_that_is_aborted_asks_no_more_and_does_not_connect_anew(pair: Pair) -> None:
    pair.line.abort()
    for _ in range(2):
        with pytest.raises(OSError, match=r"Broken pipe|broken off"):
            pair.ask()
        pair.line.close()


def test_who_is_aborted_while_its_host_is_looked_up_goes_no_further(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked_up(_: Peer) -> list[Any]:
        pair.line.abort()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1))] * 2

    monkeypatch.setattr(Peer, "addresses", looked_up)
    pair.line.close()
    with pytest.raises(ConnectionAbortedError):
        pair.ask()
    assert not pair.line.open


def test_the_next_address_is_tried_and_the_right_one_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = server.getsockname()
        places: list[Any] = [
            (12345, socket.SOCK_STREAM, 6, "", ("nowhere", 1)),  # a family that the kernel does not have
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 1)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", here),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
        peer = Peer("ce.example", 443, 5)
        line = Line(peer, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        line._reached()
        line.close()
    assert peer.reached == here
    assert peer.addresses()[0][4] == here


def test_an_answer_that_comes_before_all_is_sent_is_heard(pair: Pair) -> None:
    """A refusal of a large file, of which the CE reads no more."""
    assert pair.line._socket is not None
    pair.line._socket.settimeout(0.1)
    pair.says(b"HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n")
    large = BytesIO(b"x" * (64 * PIECE))
    answer = pair.line.ask("PUT", "/a", {}, large, 64 * PIECE)
    assert answer.status == 413
    assert large.tell() < 64 * PIECE
    pair.line.through(answer)
    assert not pair.line.open, "what was left of the file would be taken for a request"


def test_an_answer_of_a_ce_that_hung_up_while_all_was_sent_is_heard(pair: Pair) -> None:
    pair.says(b"HTTP/1.1 404 Not found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    pair.ce.close()
    assert pair.line.ask("PUT", "/a", {}, BytesIO(b"x" * 4 * PIECE), 4 * PIECE).status == 404


def test_no_more_is_sent_than_was_told(pair: Pair) -> None:
    """A file that grows: what is too much would be the next request, in the tower's name."""
    pair.says(WHOLE)
    pair.line.ask("PUT", "/a", {}, BytesIO(b"abcdGET /b HTTP/1.1\r\n\r\n"), 4)
    assert pair.ce.recv(1000).endswith(b"\r\n\r\nabcd")


def test_a_file_that_became_shorter_is_not_sent_as_a_whole_one(pair: Pair) -> None:
    with pytest.raises(Cut, match="shorter"):
        pair.line.ask("PUT", "/a", {}, BytesIO(b"abc"), 4)


def test_what_follows_a_body_has_an_end(pair: Pair) -> None:
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    answer = Answer()
    answer.feed(chunked + b"X: 1\r\n\r\n")
    assert answer.complete
    assert answer.headers.keys() == {"transfer-encoding"}
    answer = Answer()
    answer.feed(chunked)
    with pytest.raises(HttpParserError, match="no body"):
        answer.feed(b"X: " + b"y" * (1 << 17))


def test_an_answer_with_another_protocol_behind_it_is_whole() -> None:
    answer = Answer()
    answer.feed(WHOLE + b"HTTP/1.1 101 X\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n")
    assert answer.complete
    assert answer.more

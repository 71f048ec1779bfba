"""The one place that calls the XRootD library: a child process that answers lines of JSON, many at a time.

The library starts threads, keeps connections, does not survive a fork, reads XRD_* when it is loaded, and may end its
process: so the process is not the tower's. Requests come on stdin: `{"id", "do", "server", "path", "within"}`; answers
go to stdout in any order: `{"id", "is"}`, or `{"id", "code", "errno", "text"}`. Each server has a thread of its own, as
the library looks up a server's name in the thread that asks. Without requests it ends by itself.
"""

import importlib
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from act_core.processes import requests

IDLE_S = 120.0
NO_ID = 0  # of an answer that is about none of the requests
Call = Mapping[str, Any]


class Worker:
    """`answer` takes what is to be written, from any thread."""

    def __init__(self, answer: Callable[[Mapping[str, Any]], None]) -> None:
        self._client: Any = importlib.import_module("XRootD.client")
        self._flags: Any = importlib.import_module("XRootD.client.flags")
        self._tell = answer
        self._open: set[int] = set()
        self._lanes: dict[str, queue.SimpleQueue[Call]] = {}

    @property
    def idle(self) -> bool:
        return not self._open

    def calls(self, source: BinaryIO) -> Iterator[Call]:
        """What is asked, until nobody wants anything for a while, or the other side is gone."""
        return map(json.loads, requests(source, IDLE_S, lambda: self.idle))

    def take(self, call: Call) -> None:
        server = call["server"]
        self._open.add(call["id"])
        if server not in self._lanes:
            self._lanes[server] = queue.SimpleQueue()
            threading.Thread(target=self._serve, args=(server, self._lanes[server]), daemon=True).start()
        self._lanes[server].put(call)

    def _answer(self, said: Mapping[str, Any]) -> None:
        self._tell(said)
        self._open.discard(said["id"])

    def _serve(self, server: str, lane: "queue.SimpleQueue[Call]") -> None:
        files = self._client.FileSystem(server)
        while True:
            call = lane.get()
            try:
                status = self._ask(files, call)
            except Exception as err:  # noqa: BLE001 - whatever the library raises is the answer to this one request
                self._answer({"id": call["id"], "code": 0, "errno": 0, "text": f"{type(err).__name__}: {err}"})
                continue
            if not status.ok:  # otherwise the callback is called
                self._answer(_error(call, status))

    def _ask(self, files: Any, call: Call) -> Any:
        def told(status: Any, response: Any, _hosts: Any) -> None:
            self._answer({"id": call["id"], "is": _plain(response)} if status.ok else _error(call, status))

        within, path = max(1, int(call["within"])), call["path"]
        if call["do"] == "stat":
            return files.stat(path, timeout=within, callback=told)
        if call["do"] == "remove":
            return files.rm(path, timeout=within, callback=told)
        sign = "&" if "?" in path else "?"
        code = self._flags.QueryCode.CHECKSUM
        return files.query(code, f"{path}{sign}cks.type={call['kind']}", timeout=within, callback=told)


def _error(call: Call, status: Any) -> dict[str, Any]:
    return {"id": call["id"], "code": int(status.code), "errno": int(status.errno), "text": str(status.message)}


def _plain(response: Any) -> Any:
    """Of a stat: size and flags; of a query: its text; of all else nothing."""
    if isinstance(response, bytes):
        return response.decode("utf-8", "replace")
    if hasattr(response, "size"):
        return {"size": int(response.size), "flags": int(response.flags)}
    return None


def main() -> None:
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints is no answer
    turn = threading.Lock()

    def answer(said: Mapping[str, Any]) -> None:
        with turn:
            out.write(json.dumps(said).encode() + b"\n")
            out.flush()

    try:
        worker = Worker(answer)
    except (ImportError, OSError) as err:
        answer({"id": NO_ID, "text": f"the library cannot be loaded: {err}"})
        os._exit(1)
    for call in worker.calls(sys.stdin.buffer):
        worker.take(call)
    os._exit(0)  # the library's own end may wait for servers


if __name__ == "__main__":
    main()

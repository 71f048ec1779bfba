"""`python -m flows.prefect_server HOST PORT`: Prefect's server, with its garbage collected beside the event loop.

Over SQLite a collection in the loop's own thread can stop everything for minutes: it frees a cursor whose connection is
waiting for the database's lock in another thread, and so waits too, and the holder of the lock needs the loop to go on.
Freed in a thread of its own, the cursor blocks nobody.
"""

import gc
import sys
import threading

import uvicorn

APP = "prefect.server.api.server:create_app"
YOUNG_S, ALL_EVERY = 2.0, 30  # the young generations so often, each thirtieth time everything
KEEP_ALIVE_S = 15


def _collect() -> None:
    waiter, turn = threading.Event(), 0
    while not waiter.wait(YOUNG_S):
        turn += 1
        gc.collect(2 if turn % ALL_EVERY == 0 else 1)


def main(host: str, port: int) -> None:
    """Serve until SIGTERM."""
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()
    uvicorn.run(APP, factory=True, host=host, port=port, log_level="warning", timeout_keep_alive=KEEP_ALIVE_S)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""How many files a host is asked for at a time, where some take minutes and some never end."""

import asyncio
from collections import deque

SCOUTS = 10  # that may wait beside the others


class Turns:
    """At most `most` turns. Who waits long steps aside; what the host says then tells whose turn it is.

    Nothing: it is silent, and one goes at a time, to see whether it has come back. An answer for one that stood aside:
    it is slow, not silent, and those aside count as before. An answer for another: it is back, and those who still
    stand aside are lost. `aside` False: nobody steps aside. Belongs to one event loop.
    """

    def __init__(self, most: int, aside: bool = True) -> None:
        self._most, self._may = most, aside
        self._taken = self._aside = self._lost = 0
        self._answers = 0  # that made those aside lost
        self._silent = self._slow = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> "Turn":
        """In the order of asking. The turn must be ended."""
        if self._waiting or not self._free():
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter.done() and not waiter.cancelled():  # it has just become ours
                    self._taken -= 1
                    self._wake()
                raise
        else:
            self._taken += 1
        return Turn(self)

    def _free(self) -> bool:
        if self._silent:
            return self._taken < 1
        return self._taken + (self._aside if self._slow else 0) < self._most

    def _wake(self) -> None:
        while self._waiting and self._free():
            waiter = self._waiting.popleft()
            if not waiter.done():  # else who waited has gone
                self._taken += 1
                waiter.set_result(None)

    def step_aside(self, turn: "Turn") -> None:
        """If there is room; and more room while the host is silent, for those that are sent to see."""
        room = self._most + (SCOUTS if self._silent else 0)
        if turn.aside or not self._may or self._aside + self._lost >= room:
            return
        turn.since = self._answers
        self._taken, self._aside = self._taken - 1, self._aside + 1
        self._silent = not self._slow
        self._wake()

    def end(self, turn: "Turn") -> None:
        if not turn.aside:
            self._taken -= 1
        elif turn.since == self._answers:
            self._aside -= 1
        else:
            self._lost -= 1
        if turn.heard:
            self._silent, self._slow = False, turn.aside
            if not turn.aside:
                self._answers += 1
                self._aside, self._lost = 0, self._lost + self._aside
        elif turn.aside:
            self._slow = False
        self._wake()


class Turn:
    """To be ended once. `heard`: the host has said something."""

    __slots__ = ("_of", "heard", "since")

    def __init__(self, of: Turns) -> None:
        self._of, self.heard = of, False
        self.since: int | None = None  # how many answers there had been when it stepped aside

    @property
    def aside(self) -> bool:
        """Whether others have its place."""
        return self.since is not None

    def step_aside(self) -> None:
        """What it is for takes long."""
        self._of.step_aside(self)

    def end(self) -> None:
        self._of.end(self)

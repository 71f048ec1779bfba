"""The four parts of an explanation, and how they are read: why, since when, what happens next, what you can do."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from act_core.monitor.times import UNKNOWN, at, moment

MOST = 8  # sentences of a part; further ones are counted
GOES_ON = "It goes on by itself."
NOTHING = "Nothing: it goes on by itself."


@dataclass(frozen=True, slots=True)
class Part:
    """One reason. `stops`: no new jobs are sent because of it; `there`: it concerns the jobs that the CE has.

    `partly`: it stops some of the jobs that wait, and others are sent.
    """

    why: str
    next: str = ""
    do: str = ""
    since: datetime | None = None
    held: str = ""  # the share and the number of its jobs that it holds
    stops: bool = True
    there: bool = False
    partly: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What is told of one job or CE."""

    subject: str
    why: tuple[str, ...]
    since: datetime | None
    next: tuple[str, ...]
    do: tuple[str, ...]
    tower: tuple[str, ...] = ()  # what is wrong with the tower itself, whatever was asked for

    def for_programs(self) -> dict[str, Any]:
        parts = {"why": list(self.why), "next": list(self.next), "do": list(self.do)}
        tower = {"tower": list(self.tower)} if self.tower else {}
        return {"subject": self.subject, "since": at(self.since), **parts, **tower}

    def lines(self, now: datetime) -> Iterator[str]:
        """For people; times are UTC."""
        yield self.subject
        parts = {
            "why": self.why,
            "since": (moment(self.since, now),),
            "what happens next": self.next,
            "what you can do": self.do,
        }
        for title, sentences in parts.items():
            yield f"\n{title}"
            yield from (f"  {one}" for one in sentences)


@dataclass(slots=True)
class Draft:
    """An answer that is being put together; a sentence is said once."""

    why: list[str] = field(default_factory=list)
    next: list[str] = field(default_factory=list)
    do: list[str] = field(default_factory=list)

    def say(self, why: str = "", next: str = "", do: str = "") -> None:
        for part, words in ((self.why, why), (self.next, next), (self.do, do)):
            if words and words not in part:
                part.append(words)

    def add(self, parts: Iterable[Part]) -> None:
        for one in parts:
            self.say(one.why, one.next, one.do)

    def answer(self, subject: str, since: datetime | None) -> Answer:
        """None of the four parts is empty."""
        rest = [_short(part) for part in (self.why or [UNKNOWN], self.next or [GOES_ON], self.do or [NOTHING])]
        return Answer(subject, rest[0], since, rest[1], rest[2])


def _short(part: list[str]) -> tuple[str, ...]:
    more = len(part) - MOST
    return tuple(part) if more <= 0 else (*part[:MOST], f"… and {more} more.")

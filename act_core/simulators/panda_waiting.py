"""Activated jobs, waiting for somebody to acquire them: found by what they are, in no order that one may rely on."""

import random
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from act_core.simulators.panda_jobs import JobOrder

PRODUCTION = ("managed", "test", "prod_test", "install")
ANALYSIS = ("user", "panda", "install")
TESTS = ("prod_test", "install", "test")
LABEL_GROUPS: dict[str | None, tuple[str, ...]] = {
    None: PRODUCTION,
    "managed": PRODUCTION,
    "user": ANALYSIS,
    "unified": (*PRODUCTION, "user", "panda"),
}


class Traits(NamedTuple):
    """What a request can filter by."""

    label: str
    resource_type: str
    memory_mb: int
    disk_mb: int
    walltime_s: int
    task: int
    user: str
    gangarobot: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """The filters of one acquire_jobs call; None and 0 mean: no filter."""

    label: str | None = None
    computing_element: str | None = None
    memory_mb: int | None = None
    disk_mb: int | None = None
    remaining_s: int | None = None
    resource_type: str | None = None
    task: int | None = None
    user: str | None = None

    def fits(self, traits: Traits) -> bool:
        limits = (
            (self.memory_mb, traits.memory_mb),
            (self.disk_mb, traits.disk_mb),
            (self.remaining_s, traits.walltime_s),
        )
        exact = (
            (self.resource_type, traits.resource_type),
            (self.task, traits.task),
            (self.user, traits.user),
        )
        return (
            self._label_fits(traits)
            and all(not limit or value <= limit for limit, value in limits)
            and all(not wanted or value == wanted for wanted, value in exact)
        )

    def _label_fits(self, traits: Traits) -> bool:
        if self.label == "test" and self.computing_element:
            return traits.label in TESTS or traits.gangarobot
        group = LABEL_GROUPS.get(self.label)
        return traits.label in group if group else traits.label == self.label


def traits_of(order: JobOrder) -> Traits:
    return Traits(
        order.source_label,
        order.resource_type,
        order.memory_mb,
        order.disk_mb,
        order.walltime_s or 0,
        order.task,
        order.user,
        order.kind == "test",
    )


class Waiting:
    """Per queue, a bag of job numbers for each combination of traits: taking one costs the same among 100,000."""

    def __init__(self, seed: int = 0) -> None:
        self._bags: defaultdict[str, dict[Traits, list[int]]] = defaultdict(dict)
        self._chance = random.Random(seed)

    def put(self, queue: str, traits: Traits, numbers: Collection[int]) -> None:
        self._bags[queue].setdefault(traits, []).extend(numbers)

    def take(self, queue: str, wish: Wish) -> Iterator[int]:
        """Numbers that fit, each one gone from here once it is yielded; some may have moved on meanwhile."""
        bags = self._bags.get(queue, {})
        fitting = [(traits, bag) for traits, bag in bags.items() if wish.fits(traits)]
        while fitting:
            at = self._chance.randrange(len(fitting))
            traits, bag = fitting[at]
            if not bag:
                bags.pop(traits, None)
                fitting.pop(at)
                continue
            one = self._chance.randrange(len(bag))
            bag[one], bag[-1] = bag[-1], bag[one]
            yield bag.pop()

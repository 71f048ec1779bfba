"""Families of numbers that are read when somebody asks: declared once, so that docs and tests can tell them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric


@dataclass(frozen=True, slots=True)
class Family:
    """What a number says, and by what it is told apart."""

    says: str
    labels: tuple[str, ...] = ()


class Gauges:
    """Samples of declared families."""

    def __init__(self, families: Mapping[str, Family]) -> None:
        self._made = {name: GaugeMetricFamily(name, one.says, labels=one.labels) for name, one in families.items()}

    def set(self, name: str, value: float, *labels: str) -> None:
        """KeyError for a family that is not declared: a bug of ours."""
        self._made[name].add_metric(labels, value)

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._made.values())


def summed(found: Iterable[tuple[tuple[str, ...], float]]) -> dict[tuple[str, ...], float]:
    """The sums by key."""
    sums: dict[tuple[str, ...], float] = {}
    for key, value in found:
        sums[key] = sums.get(key, 0) + value
    return sums

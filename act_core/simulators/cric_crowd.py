"""A pandaqueue feed as large as the real one, with broken entries of many kinds among the good ones."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from act_core.simulators.cric_queues import CeDescription, QueueDescription, entry_of

PADDING = 80  # keys that nobody reads, as the real entries have them
BROKEN: Mapping[str, object] = {  # what stands in place of an entry
    "nothing": None,
    "a list": [],
    "a text": "not an entry",
    "a number": 7,
}
FIELDS: Mapping[str, Mapping[str, object]] = {  # keys of an entry that make it unreadable
    "cores in words": {"corecount": "many"},
    "a list of cores": {"corecount": [8]},
    "a time that is an object": {"maxtime": {}},
    "an absurd memory": {"maxrss": 10**400},
    "an unknown type": {"type": "strange"},
    "two statuses": {"status": ["online", "offline"]},
    "params as a text": {"params": "x"},
    "copytools as a number": {"copytools": 5},
    "CEs as a text": {"queues": "x"},
    "perhaps virtual": {"is_virtual": "perhaps"},
    "no name of a manager": {"pilot_manager": {"name": "aCT"}},
    "flags in a list": {"catchall": ["per_core_attr"]},
}
NAMES = ("a name", "caf\u00e9", " ", "tab\tbed")  # how no queue may be called


@dataclass(frozen=True, slots=True)
class Crowd:
    """`broken`: name of an entry that cannot be read → what is wrong with it."""

    entries: dict[str, object]
    broken: Mapping[str, str]


def crowd(n: int, broken: float, seed: int = 1) -> Crowd:
    """So many entries, this part of them broken in turn in each of the ways; every run makes the same ones."""
    dice = random.Random(seed)
    bad = set(dice.sample(range(n), round(n * broken)))
    ways = (*BROKEN, *FIELDS, *NAMES)
    entries: dict[str, object] = {}
    found: dict[str, str] = {}
    for number in range(n):
        name = f"QUEUE_{number:05}"
        entry: object = _good(name, number, dice)
        if number in bad:
            way = ways[len(found) % len(ways)]
            name, entry = _spoilt(name, entry, way, number)
            found[name] = way
        entries[name] = entry
    return Crowd(entries, found)


def _spoilt(name: str, entry: object, way: str, number: int) -> tuple[str, object]:
    if way in BROKEN:
        return name, BROKEN[way]
    if way in FIELDS:
        assert isinstance(entry, dict)
        return name, {**entry, **FIELDS[way]}
    return f"{way}{number}", entry


def _good(name: str, number: int, dice: random.Random) -> dict[str, object]:
    """A queue with one to three CEs; each third is native, each fifth is managed by somebody else."""
    site = f"site{number % 400:03}"
    native = number % 3 == 0
    flavours = ("ARC-CE",) if native else ("ARC-CE", "HTCONDOR-CE")
    ces = tuple(
        CeDescription(
            name=f"ce{i}.{site}.example",
            endpoint=f"https://ce{i}.{site}.example:443/arex" if flavour == "ARC-CE" else f"ce{i}.{site}.example:9619",
            flavour=flavour,
        )
        for i in range(dice.randint(1, 3))
        for flavour in (dice.choice(flavours),)
    )
    fields: dict[str, object] = {
        f"key_{key:03}": f"a value that nobody reads, {number:05} {key}" for key in range(PADDING)
    }
    if number % 5 == 0:
        fields["pilot_manager"] = "Harvester"
    return entry_of(QueueDescription(name=name, ces=ces, native=native, fields=fields))

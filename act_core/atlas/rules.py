"""What a native ARC job asks of its CE: the rules that turn PanDA's numbers into ours, as a table.

Rows apply from top to bottom. Sources are the sections of the description of the original's behaviour ("PanDA job to
xRSL"). Its quirks for single sites are rows here where they still make sense, or are left out; chance decides nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from act_core.atlas.cric import Queue
from act_core.atlas.wire import PandaJob

MINUTES_A_DAY = 24 * 60
HIGH_MEMORY_MB = 2000  # per core: above it the resource type is _HIMEM
LONGEST_CPUTIME = 366 * MINUTES_A_DAY  # beyond it no limit is asked for


@dataclass(frozen=True, slots=True)
class Case:
    """What the rules look at."""

    job: PandaJob
    queue: Queue

    def at(self, prefix: str) -> bool:
        return self.queue.name.startswith(prefix)


@dataclass(frozen=True, slots=True)
class Needs:
    """What the rules work out. Times in minutes; `memory` in MB, of the whole job until it is divided by the cores."""

    cores: int = 1
    walltime: float = 0
    cputime: float | None = 0
    memory: int = 0
    priority: int | None = None
    resource_type: str = ""
    runtime_environments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: where it applies, and what it makes of the needs so far."""

    name: str
    when: Callable[[Case, Needs], bool]
    then: Callable[[Case, Needs], Needs]
    source: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row: a job that is not translated."""

    when: Callable[[Case], bool]
    why: str


def _always(_case: Case, _needs: Needs) -> bool:
    return True


def _up(number: int, step: int) -> int:
    return -(-number // step) * step


def _priority(current: int | None) -> int | None:
    """PanDA's 0 to 10,000 and more, as ARC's 1 to 100."""
    if current is None:
        return None
    if current > 10_000:
        return 100
    if current > 1_000:
        return 90 + (current - 1_000) // 900
    return max(current * 90 // 1_000, 1)


def _resource_type(case: Case, needs: Needs) -> str:
    derived = "SCORE" if needs.cores == 1 else "MCORE"
    return case.job.resource_type or (f"{derived}_HIMEM" if needs.memory > HIGH_MEMORY_MB else derived)


def _cputime(needs: Needs, cores: int) -> Needs:
    minutes = needs.walltime * cores
    return replace(needs, cputime=minutes if minutes <= LONGEST_CPUTIME else None)


REFUSALS: tuple[Refusal, ...] = (
    Refusal(lambda c: c.queue.truepilot, "a true-pilot queue, which this version does not serve"),
    Refusal(lambda c: not c.queue.push, "a pull queue: it has no use for a job that PanDA has handed out"),
    Refusal(lambda c: "secrets" in c.job.secrets, "it carries secrets, which this version does not hand on"),
)

RULES: tuple[Rule, ...] = (
    Rule("cores", _always, lambda c, n: replace(n, cores=c.job.cores), "10 count"),
    # walltime
    Rule("time unknown: two days", _always, lambda _, n: replace(n, walltime=2 * MINUTES_A_DAY), "10 walltime"),
    Rule(
        "maxCpuCount",
        lambda c, _: (c.job.cpu_s or 0) > 0,
        lambda c, n: replace(n, walltime=(c.job.cpu_s or 0) // 60),
        "10 walltime",
    ),
    Rule(
        "600 s stand for a day",
        lambda c, _: c.job.cpu_s == 600,
        lambda _, n: replace(n, walltime=MINUTES_A_DAY),
        "10 walltime",
    ),
    Rule("half as much again", _always, lambda _, n: replace(n, walltime=n.walltime * 1.5), "10 walltime"),
    Rule(
        "many cores: twice as long",
        lambda _, n: n.cores > 15,
        lambda _, n: replace(n, walltime=n.walltime * 2),
        "10 walltime",
    ),
    Rule("an hour at least", _always, lambda _, n: replace(n, walltime=max(n.walltime, 60)), "10 walltime"),
    Rule(
        "Vega: six hours at least",
        lambda c, _: c.at("Vega"),
        lambda _, n: replace(n, walltime=max(n.walltime, 360)),
        "10 walltime",
    ),
    Rule(
        "BOINC: four hours at most",
        lambda c, _: c.at("BOINC") and not c.at("BOINC_LONG"),
        lambda _, n: replace(n, walltime=min(n.walltime, 240)),
        "10 walltime",
    ),
    Rule(
        "BOINC_LONG: twenty hours at most",
        lambda c, _: c.at("BOINC_LONG"),
        lambda _, n: replace(n, walltime=min(n.walltime, 1200)),
        "10 walltime",
    ),
    Rule(
        "the queue's maximum",
        _always,
        lambda c, n: replace(n, walltime=min(n.walltime, c.queue.maxwalltime)),
        "10 walltime",
    ),
    Rule("all cores all the time", _always, lambda _, n: _cputime(n, n.cores), "10 cputime"),
    Rule(
        "BOINC counts one core", lambda c, _: c.at("BOINC"), lambda _, n: replace(n, cputime=n.walltime), "10 cputime"
    ),
    # memory
    Rule("memory unknown", _always, lambda _, n: replace(n, memory=4000), "10 memory"),
    Rule(
        "memory unknown, analysis",
        lambda c, _: c.job.analysis,
        lambda _, n: replace(n, memory=2000),
        "10 memory",
    ),
    Rule(
        "minRamCount",
        lambda c, _: (c.job.memory_mb or 0) > 0,
        lambda c, n: replace(n, memory=c.job.memory_mb or 0),
        "10 memory",
    ),
    Rule("a gigabyte at least", _always, lambda _, n: replace(n, memory=max(n.memory, 1000)), "10 memory"),
    Rule(
        "BOINC_MCORE: what volunteers have",
        lambda c, _: c.at("BOINC_MCORE"),
        lambda _, n: replace(n, memory=2400),
        "10 memory",
    ),
    Rule("in steps of 500", _always, lambda _, n: replace(n, memory=_up(n.memory, 500)), "10 memory"),
    Rule(
        "4000 on many cores is meant per core",
        lambda _, n: n.cores > 1 and n.memory == 4000,
        lambda _, n: replace(n, memory=2000 * n.cores),
        "10 memory",
    ),
    Rule(
        "per core, 250 at least",
        lambda _, n: n.cores > 1,
        lambda _, n: replace(n, memory=max(-(-n.memory // n.cores), 250)),
        "10 memory",
    ),
    Rule(
        "two gigabytes at least on one core",
        lambda _, n: n.cores == 1,
        lambda _, n: replace(n, memory=max(n.memory, 2000)),
        "10 memory",
    ),
    Rule(
        "Vega: half of it on one core",
        lambda c, n: n.cores == 1 and c.queue.name in ("Vega", "Vega_largemem"),
        lambda _, n: replace(n, memory=n.memory // 2),
        "10 memory",
    ),
    # the rest
    Rule("resource type", _always, lambda c, n: replace(n, resource_type=_resource_type(c, n)), "10 arguments"),
    Rule("priority", _always, lambda c, n: replace(n, priority=_priority(c.job.priority)), "10 priority"),
    Rule("BOINC_MCORE: low", lambda c, _: c.at("BOINC_MCORE"), lambda _, n: replace(n, priority=28), "10 priority"),
    Rule(
        "the site's environment",
        _always,
        lambda _, n: replace(n, runtime_environments=("APPS/HEP/ATLAS-SITE",)),
        "10 runtimeenvironment",
    ),
    Rule(
        "analysis needs the proxy",
        lambda c, _: c.job.analysis and not c.at("BOINC"),
        lambda _, n: replace(n, runtime_environments=(*n.runtime_environments, "ENV/PROXY")),
        "10 runtimeenvironment",
    ),
)


def needs_of(case: Case, rules: Iterable[Rule] = RULES) -> Needs:
    """What the job needs, after all rows."""
    needs = Needs()
    for rule in rules:
        if rule.when(case, needs):
            needs = rule.then(case, needs)
    return needs


def refusal_of(case: Case) -> str | None:
    """Why the job is not translated."""
    return next((refusal.why for refusal in REFUSALS if refusal.when(case)), None)

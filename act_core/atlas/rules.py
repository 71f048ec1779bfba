"""What a job asks of its CE: the rules that turn PanDA's numbers into ours, as a table.

Rows apply from top to bottom. Sources are the sections of the description of the original's behaviour ("10": PanDA job
to xRSL, "11": to ClassAd). What single sites want is data (special.py); chance decides nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from act_core.atlas.cric import Queue
from act_core.atlas.modes import Mode, mode_of
from act_core.atlas.special import special_of
from act_core.atlas.wire import PandaJob
from act_core.jobspec import PROXY_ENVIRONMENT
from act_core.settings.app_model import SpecialSite, Translation

MINUTES_A_DAY = 24 * 60
A_DAY_S = 600  # maxCpuCount of jobs whose length nobody knows
HIGH_MEMORY_MB = 2000  # per core: above it the resource type is _HIMEM
LONGEST_CPUTIME = 366 * MINUTES_A_DAY  # beyond it no limit is asked for
DISK_MB, MORE_DISK_MB = 500, 2000


@dataclass(frozen=True, slots=True)
class Case:
    """What the rules look at."""

    job: PandaJob
    queue: Queue
    mode: Mode
    special: SpecialSite
    translation: Translation


@dataclass(frozen=True, slots=True)
class Needs:
    """What the rules work out. Times in minutes; `memory` in MB, of the whole job until it is divided by the cores."""

    cores: int = 1
    walltime: float = 0
    expected: float | None = None  # where more is asked for than the job will take
    cputime: float | None = 0
    memory: int = 0
    disk: int | None = None
    priority: int | None = None
    resource_type: str = ""
    runtime_environments: tuple[str, ...] = ()


When = Callable[[Case, Needs], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: where it applies (in these modes, and `when`), and what it makes of the needs so far."""

    name: str
    modes: frozenset[Mode]
    then: Callable[[Case, Needs], Needs]
    source: str
    when: When = field(default=lambda _case, _needs: True)


def case_of(job: PandaJob, queue: Queue, translation: Translation) -> Case:
    special = special_of(queue.name, job.label, translation.special)
    return Case(job, queue, mode_of(queue), special, translation)


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


def _cpu_s(case: Case) -> int:
    return max(case.job.cpu_s or 0, 0)


def _scaled(case: Case, needs: Needs) -> Needs:
    """A slow core takes longer."""
    assert case.translation.corepower is not None
    assert case.queue.corepower is not None
    return replace(needs, walltime=needs.walltime * case.translation.corepower / case.queue.corepower)


def _may_be_scaled(case: Case, _needs: Needs) -> bool:
    known = case.translation.corepower is not None and case.queue.corepower is not None
    return known and _cpu_s(case) > 0 and not (_cpu_s(case) == A_DAY_S and case.mode in ARC)


def _slot_memory(case: Case, needs: Needs) -> int:
    """The job's part of the queue's slot; harvester counts like this, too."""
    queue = case.queue
    assert queue.maxrss is not None
    whole = queue.maxrss * needs.cores
    return whole if queue.per_core else max(whole // (queue.corecount or needs.cores), 1)


ALL = frozenset(Mode)
ARC = frozenset({Mode.NATIVE, Mode.ARC})
NATIVE, PILOT, CONDOR = (frozenset({mode}) for mode in Mode)

RULES: tuple[Rule, ...] = (
    Rule("cores", ALL, lambda c, n: replace(n, cores=c.job.cores), "10 count, 11"),
    # walltime
    Rule("time unknown: two days", ARC, lambda _, n: replace(n, walltime=2 * MINUTES_A_DAY), "10 walltime"),
    Rule(
        "time unknown: the queue's maximum", CONDOR,
        lambda c, n: replace(n, walltime=c.queue.maxwalltime), "11 walltime",
    ),
    Rule(
        "maxCpuCount", ARC,
        lambda c, n: replace(n, walltime=_cpu_s(c) // 60), "10 walltime",
        when=lambda c, _: _cpu_s(c) > 0,
    ),
    Rule(
        "600 s stand for a day", ARC,
        lambda _, n: replace(n, walltime=MINUTES_A_DAY), "10 walltime",
        when=lambda c, _: c.job.cpu_s == A_DAY_S,
    ),
    Rule("half as much again", ARC, lambda _, n: replace(n, walltime=n.walltime * 1.5), "10 walltime"),
    Rule(
        "twice maxCpuCount", CONDOR,
        lambda c, n: replace(n, walltime=_up(2 * _cpu_s(c), 60) // 60), "11 walltime",
        when=lambda c, _: _cpu_s(c) > 0,
    ),
    Rule("corepower", ALL, _scaled, "setting translation.corepower", when=_may_be_scaled),
    Rule(
        "special: walltime_factor", ALL,
        lambda c, n: replace(n, walltime=n.walltime * (c.special.walltime_factor or 1)), "10 walltime",
        when=lambda c, _: c.special.walltime_factor is not None,
    ),
    Rule(
        "many cores: twice as long", ARC,
        lambda _, n: replace(n, walltime=n.walltime * 2), "10 walltime",
        when=lambda _, n: n.cores > 15,
    ),
    Rule("an hour at least", ALL, lambda _, n: replace(n, walltime=max(n.walltime, 60)), "10 walltime, 11 walltime"),
    Rule(
        "a true pilot: all that the queue allows", PILOT,
        lambda c, n: replace(n, walltime=c.queue.maxwalltime, expected=min(n.walltime, c.queue.maxwalltime)),
        "10 walltime",
        when=lambda c, _: not c.special.own_walltime,
    ),
    Rule(
        "special: walltime_least", ALL,
        lambda c, n: replace(n, walltime=max(n.walltime, c.special.walltime_least or 0)), "10 walltime",
        when=lambda c, _: c.special.walltime_least is not None,
    ),
    Rule(
        "special: walltime_most", ALL,
        lambda c, n: replace(n, walltime=min(n.walltime, c.special.walltime_most or n.walltime)), "10 walltime",
        when=lambda c, _: c.special.walltime_most is not None,
    ),
    Rule(
        "the queue's maximum", ALL,
        lambda c, n: replace(n, walltime=min(n.walltime, c.queue.maxwalltime)), "10 walltime, 11 walltime",
    ),
    Rule(
        "no maximum: four days", CONDOR,
        lambda _, n: replace(n, walltime=min(n.walltime, 4 * MINUTES_A_DAY)), "11 walltime",
        when=lambda c, _: c.queue.unlimited,
    ),
    Rule("all cores all the time", ALL, lambda _, n: _cputime(n, n.cores), "10 cputime"),
    Rule(
        "special: one_core_cputime", ALL,
        lambda _, n: _cputime(n, 1), "10 cputime",
        when=lambda c, _: bool(c.special.one_core_cputime),
    ),
    # memory
    Rule("memory unknown", ALL, lambda _, n: replace(n, memory=4000), "10 memory"),
    Rule(
        "memory unknown, analysis", ALL,
        lambda _, n: replace(n, memory=2000), "10 memory",
        when=lambda c, _: c.job.analysis,
    ),
    Rule(
        "memory unknown: the queue's maxrss", CONDOR,
        lambda c, n: replace(n, memory=_slot_memory(c, n)), "11 maxMemory",
        when=lambda c, _: c.queue.maxrss is not None,
    ),
    Rule(
        "minRamCount", ALL,
        lambda c, n: replace(n, memory=c.job.memory_mb or 0), "10 memory, 11 maxMemory",
        when=lambda c, _: (c.job.memory_mb or 0) > 0,
    ),
    Rule("a gigabyte at least", ARC, lambda _, n: replace(n, memory=max(n.memory, 1000)), "10 memory"),
    Rule(
        "special: memory_mb", ALL,
        lambda c, n: replace(n, memory=c.special.memory_mb or n.memory), "10 memory",
        when=lambda c, _: c.special.memory_mb is not None,
    ),
    Rule("in steps of 500 MB", ALL, lambda _, n: replace(n, memory=_up(n.memory, 500)), "10 memory, 11 maxMemory"),
    Rule(
        "4000 on many cores is meant per core", ARC,
        lambda _, n: replace(n, memory=2000 * n.cores), "10 memory",
        when=lambda _, n: n.cores > 1 and n.memory == 4000,
    ),
    Rule("per core", ALL, lambda _, n: replace(n, memory=max(n.memory // n.cores, 1)), "10 memory"),
    Rule(
        "250 MB at least on each of many cores", ARC,
        lambda _, n: replace(n, memory=max(n.memory, 250)), "10 memory",
        when=lambda _, n: n.cores > 1,
    ),
    Rule(
        "two gigabytes at least on one core", ARC,
        lambda _, n: replace(n, memory=max(n.memory, 2000)), "10 memory",
        when=lambda _, n: n.cores == 1,
    ),
    Rule(
        "special: one_core_memory", ALL,
        lambda c, n: replace(n, memory=max(int(n.memory * (c.special.one_core_memory or 1)), 1)), "10 memory",
        when=lambda c, n: n.cores == 1 and c.special.one_core_memory is not None,
    ),
    # the rest
    Rule(
        "special: disk", ALL,
        lambda c, n: replace(n, disk=max(c.job.disk_mb or DISK_MB, 0) + MORE_DISK_MB), "10 disk",
        when=lambda c, _: bool(c.special.disk),
    ),
    Rule("resource type", ALL, lambda c, n: replace(n, resource_type=_resource_type(c, n)), "10 arguments"),
    Rule("priority", ALL, lambda c, n: replace(n, priority=_priority(c.job.priority)), "10 priority, 11 JobPrio"),
    Rule(
        "special: priority", ALL,
        lambda c, n: replace(n, priority=c.special.priority), "10 priority",
        when=lambda c, _: c.special.priority is not None,
    ),
    Rule(
        "the site's environment", NATIVE,
        lambda c, n: replace(n, runtime_environments=(c.translation.environment,)), "10 runtimeenvironment",
        when=lambda c, _: bool(c.translation.environment),
    ),
    Rule(
        "analysis needs the proxy", NATIVE,
        lambda _, n: replace(n, runtime_environments=(*n.runtime_environments, PROXY_ENVIRONMENT)),
        "10 runtimeenvironment",
        when=lambda c, _: c.job.analysis and c.special.proxy is not False,
    ),
    Rule(
        "a true pilot needs the proxy", PILOT,
        lambda _, n: replace(n, runtime_environments=(PROXY_ENVIRONMENT,)), "10 runtimeenvironment",
    ),
)  # fmt: skip


def needs_of(case: Case, rules: Iterable[Rule] = RULES) -> Needs:
    """What the job needs, after all rows."""
    needs = Needs()
    for rule in rules:
        if case.mode in rule.modes and rule.when(case, needs):
            needs = rule.then(case, needs)
    return needs

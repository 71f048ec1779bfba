"""The lives in which the faults strike: what PanDA orders, what else happens, and how it has to end."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from act_core.simulators.arc_pace import Pace
from tests.faults.matrix.bench import ROUND, Bench
from tests.faults.matrix.striker import Strike

HOUR_S = 3600.0


@dataclass(frozen=True)
class Life:
    """`begin` before the first round, `also` after each one. `ends`: PanDA's word for its jobs in the end."""

    begin: Callable[[Bench], Awaitable[None]]
    also: Callable[[Bench], Awaitable[None]]
    ends: str = "finished"
    runs: tuple[int, ...] = (1,)  # how often a job may have been executed
    stages: tuple[str, ...] = ROUND


async def nothing(_: Bench) -> None: ...


async def two_jobs(bench: Bench) -> None:
    bench.arm()
    bench.house.order(2, run_s=0)


async def a_long_job(bench: Bench) -> None:
    bench.runs_long = True
    bench.arc.service.life.repace(_paced(bench, run_s=(HOUR_S, HOUR_S)))
    bench.house.order(1, run_s=HOUR_S)


async def kill_once_it_runs(bench: Bench) -> None:
    """PanDA wants it dead, and says so when it hears of it again; from then on the faults strike."""
    for job in bench.house.books.jobs.values():
        if job.status == "running" and job.command is None:
            bench.house.books.kill([job.number], None, bench.house.clock.now())
            bench.house.later(minutes=31)
            bench.arm()


async def a_lost_answer(bench: Bench) -> None:
    """The CE takes the jobs, and nobody hears of it."""
    bench.striker.strikes.append(Strike("arc: submit", "reply lost"))
    await two_jobs(bench)


async def a_bad_stage_in(bench: Bench) -> None:
    bench.arc.service.life.repace(_paced(bench, fail_stagein=1.0))
    await two_jobs(bench)


async def better_stage_in(bench: Bench) -> None:
    """Once the jobs have failed for it."""
    if any(job.over and job.failure for job in bench.arc.service.books.jobs.values()):
        bench.arc.service.life.repace(_paced(bench, fail_stagein=0.0))


def hidden_for(seconds: float) -> Callable[[Bench], Awaitable[None]]:
    """What was there when the tower died is not in the CE's answers for so long."""

    async def hide(bench: Bench) -> None:
        (death,) = bench.planned
        books = bench.arc.service.books
        if death.at is None:
            return
        if not bench.hid:
            bench.hid, books.hidden = True, set(books.jobs)
        elif (bench.rt.now() - death.at).total_seconds() >= seconds:
            books.hidden.clear()

    return hide


async def jobs_alone(bench: Bench) -> None:
    """The faults strike later."""
    bench.house.order(2, run_s=0)


async def lose_outputs(bench: Bench) -> None:
    """Storage loses what the jobs wrote before anybody has looked for it; from then on the faults strike."""
    files = bench.house.shelf.files
    written = [one.path for one in files.listed() if one.path.startswith("out/")]
    if written and not bench.lost:
        bench.lost = True
        for path in written:
            files.delete(path)
        bench.arm()


def _paced(bench: Bench, **pace: object) -> Pace:
    return Pace.model_validate(bench.arc.service.life.pace.model_dump() | pace)


LIVES: dict[str, Life] = {
    "good": Life(two_jobs, nothing),
    "killed": Life(a_long_job, kill_once_it_runs, ends="cancelled", runs=(0, 1)),
    "doubt": Life(a_lost_answer, nothing),
    "unlisted": Life(two_jobs, hidden_for(150), stages=(*ROUND, "reconcile-ces")),
    "listed late": Life(two_jobs, hidden_for(70)),
    "forgetful": Life(two_jobs, nothing, stages=(*ROUND, "reconcile-ces")),
    "doubled": Life(two_jobs, nothing, stages=(*ROUND, "reconcile-ces")),
    "lost outputs": Life(jobs_alone, lose_outputs, runs=(2,)),
    "rerun": Life(a_bad_stage_in, better_stage_in),
    "refreshed": Life(two_jobs, nothing, stages=("refresh-queues", *ROUND)),
}

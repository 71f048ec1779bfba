"""Who may go to a CE and why the others wait: the rules one by one, and what always holds of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from act_core.db.backlog import Waiting
from act_core.db.filling import Stands
from act_core.engine.fill import Here, Limits, Plan, Share, fill, here_of, longest_before, rate_window, whole_b
from act_core.reasons import Reason
from act_core.states import CeState
from act_core.tells import TELLS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def jobs(n: int, share: str = "x", priority: int = 50, cores: int = 1, first: int = 1) -> list[Waiting]:
    return [Waiting(first + i, share, priority, cores, None, None) for i in range(n)]


def there(jobs: int | None = None, top: int | None = 50, **shares: tuple[int, int]) -> Here:
    """`share=(queued, running)`; priority 50 is queued unless told otherwise."""
    found = {name: Share(*numbers) for name, numbers in shares.items()}
    here = Here(found, 0, top)
    return Here(found, here.queued + here.running if jobs is None else jobs, top if here.queued else None)


def sent(plan: Plan) -> list[int]:
    return [job.id for job in plan.go]


def reasons(plan: Plan) -> dict[str, Reason]:
    return {share: held.reason for share, held in plan.held.items()}


@pytest.mark.parametrize(
    ("here", "n", "reason"),
    [
        pytest.param(there(x=(0, 0)), 10, Reason.QUEUE_FULL, id="empty: b"),
        pytest.param(there(x=(4, 0)), 6, Reason.QUEUE_FULL, id="some are queued"),
        pytest.param(there(x=(10, 0)), 0, Reason.QUEUE_FULL, id="as many as may be"),
        pytest.param(there(x=(12, 0)), 0, Reason.QUEUE_FULL, id="more than may be"),
        pytest.param(there(x=(10, 20)), 3, Reason.QUEUE_FULL, id="a of what runs"),
        pytest.param(there(y=(4, 20)), 9, Reason.QUEUE_FULL, id="another share's jobs count"),
        pytest.param(there(40, x=(0, 0)), 0, Reason.FULL, id="maxjobs"),
        pytest.param(there(38, x=(0, 0)), 2, Reason.FULL, id="up to maxjobs"),
    ],
)
def test_the_limits(here: Here, n: int, reason: Reason) -> None:
    plan = fill(Limits(maxjobs=40, a=0.15, b=10), here, jobs(30), NOW)
    assert (len(plan.go), reasons(plan)) == (n, {"x": reason})


def test_in_slots_a_large_job_takes_more() -> None:
    plan = fill(
        Limits(1000, 0, 20, slots=True),
        here_of([Stands("x", CeState.SUBMITTED, 1, 4, 50)], True),
        jobs(9, cores=8),
        NOW,
    )
    assert sent(plan) == [1, 2]
    assert plan.held["x"].facts["queued"] == 20


def test_a_share_that_has_little_there_goes_first_then_priority() -> None:
    waiting = jobs(3, "a", 60) + jobs(3, "b", 90, first=11) + jobs(3, "c", 10, first=21)
    plan = fill(Limits(100, most=6), there(a=(1, 0), b=(1, 1)), waiting, NOW)
    assert [job.share for job in plan.go] == ["c", "a", "c", "b", "a", "c"]


def test_weights_of_shares() -> None:
    waiting = jobs(30, "a") + jobs(30, "b", first=101)
    plan = fill(Limits(100, a=0, b=12, weights={"a": 3}), Here(), waiting, NOW)
    assert [sum(job.share == share for job in plan.go) for share in "ab"] == [9, 3]


def test_b_is_shared_among_those_that_wait_and_each_may_queue_one() -> None:
    waiting = jobs(30, "a") + jobs(1, "b", first=101)
    plan = fill(Limits(100, a=0, b=10), there(a=(5, 0)), waiting, NOW)
    assert (sent(plan), reasons(plan)) == ([101], {"a": Reason.SHARE_FULL})
    many = [job for n in range(20) for job in jobs(2, f"s{n:02}", first=10 * n + 1)]
    plan = fill(Limits(100, a=0, b=5), Here(), many, NOW)
    assert [job.share for job in plan.go] == [f"s{n:02}" for n in range(5)]


def test_a_job_above_all_that_is_queued_passes_the_queue_but_not_maxjobs() -> None:
    waiting = jobs(2, priority=90) + jobs(1, "y", 80, first=11) + jobs(1, "z", 50, first=21)
    plan = fill(Limits(100, a=0, b=1), there(x=(7, 0)), waiting, NOW)
    assert sent(plan) == [11, 1]  # y has nothing there yet; then nobody is above 90
    assert set(reasons(plan)) == {"x", "z"}
    assert fill(Limits(7, a=0, b=1), there(x=(7, 0)), waiting, NOW).go == ()


@pytest.mark.parametrize(
    ("hours", "queued", "b"),
    [
        pytest.param(2.9, 5, 80, id="not yet"),
        pytest.param(3, 5, 40, id="three hours: half"),
        pytest.param(5.9, 5, 40, id="still half"),
        pytest.param(6, 5, 20, id="twice as long: a quarter"),
        pytest.param(90, 0, 80, id="nothing is queued"),
    ],
)
def test_without_a_start(hours: float, queued: int, b: float) -> None:
    here = Here({"x": Share(queued)}, queued, last_start=NOW - 500 * HOUR, queued_since=NOW - hours * HOUR)
    assert whole_b(Limits(100, b=80), here, NOW)[0] == b
    started = Here({"x": Share(queued)}, queued, last_start=NOW - HOUR, queued_since=NOW - 500 * HOUR)
    assert whole_b(Limits(100, b=80), started, NOW)[0] == 80


@pytest.mark.parametrize(
    ("slots", "age", "b"),
    [
        pytest.param(30, HOUR, 30, id="small CE"),
        pytest.param(500, HOUR, 100, id="large CE: never more than configured"),
        pytest.param(0, HOUR, 10, id="a CE that says it has none may be wrong"),
        pytest.param(30, 2 * HOUR, 100, id="stale: unknown"),
        pytest.param(None, HOUR, 100, id="it does not say"),
    ],
)
def test_capacity_only_lowers(slots: int | None, age: timedelta, b: float) -> None:
    here = Here(total_slots=slots, capacity_at=NOW - age)
    assert whole_b(Limits(100), here, NOW)[0] == b


def test_rate() -> None:
    before = Here(sent=((NOW - timedelta(seconds=61), 50), (NOW - timedelta(seconds=59), 7)))
    plan = fill(Limits(100, rate=10.9), before, jobs(9), NOW)
    assert (sent(plan), reasons(plan)) == ([1, 2, 3], {"x": Reason.RATE})
    assert rate_window(Limits(1, rate=0.5)) == (timedelta(minutes=2), 1)


def test_late_jobs_cost_no_room() -> None:
    late = [Waiting(90, "x", 99, 1, None, NOW)]
    plan = fill(Limits(1), Here(), late + jobs(1), NOW)
    assert (sent(plan), [job.id for job in plan.late]) == ([1], [90])


@pytest.mark.parametrize(
    ("here", "hours"),
    [
        pytest.param(Here(), 12, id="nothing queued"),
        pytest.param(there(x=(10, 20)), 8, id="half as many queued as run: a third goes"),
        pytest.param(
            Here({"x": Share(3)}, 3, queued_since=NOW - 5 * HOUR), 7, id="nothing runs: as long as they waited"
        ),
        pytest.param(Here({"x": Share(3)}, 3), 0, id="nothing runs, and nobody knows since when"),
    ],
)
def test_what_ends_before_a_downtime(here: Here, hours: float) -> None:
    assert longest_before(here, 12 * HOUR, NOW) == hours * HOUR


def test_counts_of_the_tables_in_both_units() -> None:
    stands = [
        Stands("a", CeState.SUBMITTING, 1, 8, 70),
        Stands("a", CeState.HOLDING, 2, 2, 40),
        Stands("a", CeState.RUNNING, 3, 24, 99),
        Stands("b", CeState.FAILED, 4, 4, 98),
        Stands("b", CeState.CANCELLING, 5, 5, 97),
    ]
    assert here_of(stands, False) == Here({"a": Share(3, 3)}, 15, 70)
    assert here_of(stands, True) == Here({"a": Share(10, 24)}, 15, 70)


# --- what always holds ------------------------------------------------------------------------------------------------

SHARES = ("a", "b", "c")
A_SHARE = st.builds(Share, st.integers(0, 12), st.integers(0, 40))


@st.composite
def situations(draw: st.DrawFn, slots: bool | None = None) -> tuple[Limits, Here, list[Waiting]]:
    slots = draw(st.booleans()) if slots is None else slots
    limits = Limits(
        maxjobs=draw(st.integers(0, 60)),
        a=draw(st.sampled_from((0, 0.15, 1.0))),
        b=draw(st.integers(0, 30)),
        slots=slots,
        rate=draw(st.sampled_from((None, 0.5, 5.0))),
        weights=draw(st.dictionaries(st.sampled_from(SHARES), st.sampled_from((0.5, 2.0, 10.0)))),
        most=draw(st.integers(1, 40)),
    )
    found = draw(st.dictionaries(st.sampled_from(SHARES), A_SHARE))
    queued = sum(share.queued for share in found.values())
    more = draw(st.integers(0, 10))
    here = Here(
        found,
        queued + sum(share.running for share in found.values()) + more,
        draw(st.integers(0, 100)) if queued else None,
        queued_since=NOW - draw(st.integers(0, 10)) * HOUR,
    )
    one = st.tuples(st.sampled_from(SHARES), st.integers(0, 100), st.integers(1, 8) if slots else st.just(1))
    drawn = draw(st.lists(one, max_size=30))
    return limits, here, [Waiting(n, share, top, cores, None, None) for n, (share, top, cores) in enumerate(drawn)]


def size(limits: Limits, job: Waiting) -> int:
    return job.cores if limits.slots else 1


@given(situations())
@settings(max_examples=150)
def test_never_above_a_limit_but_for_the_priority_rule(case: tuple[Limits, Here, list[Waiting]]) -> None:
    limits, here, waiting = case
    plan = fill(limits, here, waiting, NOW)
    assert len(plan.go) <= max(0, limits.maxjobs - here.jobs)
    assert len(plan.go) <= limits.most
    if limits.rate:
        assert len(plan.go) <= max(1, limits.rate)
    b, _ = whole_b(limits, here, NOW)
    queued, top = here.queued, here.top
    for job in plan.go:
        queued += size(limits, job)
        above = top is None or job.priority > top
        assert above or queued <= limits.a * here.running + b + 1e-6
        top = job.priority if top is None else max(top, job.priority)


@given(situations())
@settings(max_examples=150)
def test_each_job_is_sent_once_in_the_order_of_its_share_or_its_share_has_a_reason(
    case: tuple[Limits, Here, list[Waiting]],
) -> None:
    limits, here, waiting = case
    plan = fill(limits, here, waiting, NOW)
    assert len({job.id for job in plan.go}) == len(plan.go)
    for share in SHARES:
        line = sorted((job for job in waiting if job.share == share), key=lambda job: (-job.priority, job.id))
        gone = [job for job in plan.go if job.share == share]
        assert gone == line[: len(gone)]
        assert (share in plan.held) <= (len(gone) < len(line))
        if len(gone) < len(line) and len(plan.go) < limits.most:
            held = plan.held[share]
            facts: dict[str, Any] = {"ce": "ce1", "share": share, **held.facts}
            assert TELLS[held.reason].why.format_map(facts)


@given(situations())
@settings(max_examples=100)
def test_nobody_starves(case: tuple[Limits, Here, list[Waiting]]) -> None:
    """As jobs start and end, everything that waits is sent in the end, whatever its size and share."""
    limits, here, waiting = case
    left = {job.id: job for job in waiting if limits.maxjobs}
    on_ce: list[Waiting] = []
    for _ in range(60 + 2 * len(waiting)):
        queued = [Stands(job.share, CeState.SUBMITTED, 1, job.cores, job.priority) for job in on_ce]
        plan = fill(limits, here if here.jobs else here_of(queued, limits.slots), list(left.values()), NOW)
        if here.jobs:
            here = Here()  # what was there has ended
            continue
        on_ce = [*on_ce, *plan.go][1:]  # the oldest one has started, and ends
        for job in plan.go:
            del left[job.id]
    assert not left


@given(situations(slots=False), st.integers(1, 20))
@settings(max_examples=150)
def test_more_room_never_sends_less(case: tuple[Limits, Here, list[Waiting]], more: int) -> None:
    limits, here, waiting = case
    n = len(fill(limits, here, waiting, NOW).go)
    for name in ("maxjobs", "b", "most"):
        wider = Limits(**{key: getattr(limits, key) for key in Limits.__slots__} | {name: getattr(limits, name) + more})
        assert len(fill(wider, here, waiting, NOW).go) >= n, name

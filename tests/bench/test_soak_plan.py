"""Which faults a soak strikes: the same for the same seed, one after the other, none at the end."""

from itertools import pairwise

import pytest

from benchmarks.soak_plan import ARC, CRIC, DATABASE, FAULTS, OF_THE_DATABASE, Strike, calm, plan

CES = ("arc0", "arc1")
HALF_AN_HOUR = 1800.0
SEEDS = (1, 2, 3, 4, 5)


def in_turn(found: list[Strike]) -> list[Strike]:
    return [one for one in found if one.fault.target != CRIC]


def test_a_seed_is_a_plan() -> None:
    assert plan(7, HALF_AN_HOUR, CES, database=True) == plan(7, HALF_AN_HOUR, CES, database=True)
    assert plan(7, HALF_AN_HOUR, CES, database=True) != plan(8, HALF_AN_HOUR, CES, database=True)


@pytest.mark.parametrize("seconds", [20.0, 60.0, 600.0, HALF_AN_HOUR, 7200.0])
@pytest.mark.parametrize("seed", SEEDS)
def test_all_is_quiet_at_the_end_and_one_is_over_before_the_next(seed: int, seconds: float) -> None:
    found = plan(seed, seconds, CES, database=True)
    assert found
    assert [one.at for one in found] == sorted(one.at for one in found)
    assert max(one.at + one.lasts for one in found) <= seconds - calm(seconds)
    assert all(a.at + a.lasts < b.at for a, b in pairwise(in_turn(found)))


@pytest.mark.parametrize("seed", SEEDS)
def test_half_an_hour_has_every_fault_and_none_twice_before_all_came(seed: int) -> None:
    every = {(one.target, one.name) for one in (*FAULTS, *OF_THE_DATABASE)}
    found = [(one.fault.target, one.fault.name) for one in in_turn(plan(seed, HALF_AN_HOUR, CES, database=True))]
    assert set(found) == every
    assert set(found[: len(every)]) == every


def test_the_quiet_time_is_five_minutes_and_of_short_soaks_a_quarter() -> None:
    assert calm(HALF_AN_HOUR) == 300
    assert calm(60) == 15


@pytest.mark.parametrize("seed", SEEDS)
def test_whom_it_strikes_is_there(seed: int) -> None:
    found = plan(seed, HALF_AN_HOUR, CES, database=False)
    assert DATABASE not in {one.target for one in found}
    assert {one.target for one in found if one.fault.target == ARC} <= set(CES)
    assert all(one.fault.lasts[0] <= one.lasts <= one.fault.lasts[1] for one in found)


@pytest.mark.parametrize(("seconds", "n"), [(600.0, 0), (HALF_AN_HOUR, 1)])
def test_cric_is_struck_for_as_long_as_it_is_asked_once(seconds: float, n: int) -> None:
    found = [one for one in plan(1, seconds, CES, database=True) if one.fault.target == CRIC]
    assert len(found) == n
    assert all(one.lasts >= 600 for one in found)

"""The rules one by one: what PanDA's numbers become."""

import pytest

from act_core.atlas.cric import Queue
from act_core.atlas.rules import REFUSALS, RULES, Case, needs_of, refusal_of
from act_core.atlas.wire import PandaJob

DAY, WEEK = 1440, 7 * 1440


def case(queue: str = "Q", label: str = "managed", maxwalltime: int = WEEK, **job: object) -> Case:
    raw: dict[str, object] = {"PandaID": 1, "prodSourceLabel": label} | job
    return Case(PandaJob.parse(raw), Queue(name=queue, schedconfig=queue, maxwalltime=maxwalltime))


@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        (case(), 3 * DAY),
        (case(maxCpuCount=0), 3 * DAY),
        (case(maxCpuCount=-5), 3 * DAY),
        (case(maxCpuCount=600), 1.5 * DAY),
        (case(maxCpuCount=36000), 900),
        (case(maxCpuCount=36000, coreCount=15), 900),
        (case(maxCpuCount=36000, coreCount=16), 1800),
        (case(maxCpuCount=60), 60),
        (case(maxCpuCount=10**9), WEEK),
        (case(maxCpuCount=36000, maxwalltime=600), 600),
        (case("Vega", maxCpuCount=60), 360),
        (case("Vega", maxCpuCount=60, maxwalltime=120), 120),
        (case("BOINC_MCORE", maxCpuCount=36000), 240),
        (case("BOINC_LONG", maxCpuCount=360000), 1200),
    ],
    ids=range(1, 15),
)
def test_walltime_in_minutes(given: Case, minutes: float) -> None:
    assert needs_of(given).walltime == minutes


@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        (case(maxCpuCount=36000, coreCount=8), 7200),
        (case("BOINC_MCORE", maxCpuCount=36000, coreCount=8), 240),
        (case(maxCpuCount=10**9, coreCount=128), None),
    ],
    ids=["cores times walltime", "BOINC", "more than a year"],
)
def test_cputime_in_minutes(given: Case, minutes: float | None) -> None:
    assert needs_of(given).cputime == minutes


@pytest.mark.parametrize(
    ("given", "mb"),
    [
        (case(), 4000),
        (case(label="user"), 2000),
        (case(label="panda"), 2000),
        (case(coreCount=8), 2000),
        (case(coreCount=8, label="user"), 250),
        (case(minRamCount=1), 2000),
        (case(minRamCount=2001), 2500),
        (case(minRamCount=16000, coreCount=8), 2000),
        (case(minRamCount=16001, coreCount=8), 2063),
        (case(minRamCount=4000, coreCount=8), 2000),
        (case(minRamCount=1, coreCount=8), 250),
        (case("Vega", minRamCount=3000), 1500),
        (case("Vega_largemem", minRamCount=8000), 4000),
        (case("Vega_GPU", minRamCount=3000), 3000),
        (case("BOINC_MCORE", minRamCount=8000, coreCount=4), 625),
    ],
    ids=range(1, 16),
)
def test_memory_per_core(given: Case, mb: int) -> None:
    assert needs_of(given).memory == mb


@pytest.mark.parametrize(
    ("current", "ours"),
    [(None, None), (-5, 1), (0, 1), (5, 1), (100, 9), (1000, 90), (1001, 90), (10_000, 100), (50_000, 100)],
)
def test_priority(current: int | None, ours: int | None) -> None:
    assert needs_of(case(currentPriority=current)).priority == ours
    assert needs_of(case("BOINC_MCORE", currentPriority=current)).priority == 28


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (case(resource_type="MCORE_VHIMEM", coreCount=8), "MCORE_VHIMEM"),
        (case(minRamCount=2000), "SCORE"),
        (case(minRamCount=2500), "SCORE_HIMEM"),
        (case(minRamCount=16000, coreCount=8), "MCORE"),
        (case(minRamCount=32000, coreCount=8), "MCORE_HIMEM"),
    ],
    ids=["PanDA's own", "SCORE", "SCORE_HIMEM", "MCORE", "MCORE_HIMEM"],
)
def test_resource_type(given: Case, word: str) -> None:
    assert needs_of(given).resource_type == word


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (case(), ("APPS/HEP/ATLAS-SITE",)),
        (case(label="user"), ("APPS/HEP/ATLAS-SITE", "ENV/PROXY")),
        (case("BOINC", label="user"), ("APPS/HEP/ATLAS-SITE",)),
    ],
    ids=["production", "analysis", "BOINC"],
)
def test_runtime_environments(given: Case, names: tuple[str, ...]) -> None:
    assert needs_of(given).runtime_environments == names


def test_every_row_has_a_name_of_its_own_and_a_source() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.source for rule in RULES)
    assert all(refusal.why for refusal in REFUSALS)


def test_an_ordinary_job_is_not_refused() -> None:
    assert refusal_of(case()) is None

"""The rules one by one: what PanDA's numbers become."""

from pathlib import Path
from typing import Any

import pytest

from act_core.atlas.cric import Queue
from act_core.atlas.cric_endpoints import CeEndpoint
from act_core.atlas.labels import LABELS
from act_core.atlas.modes import Mode
from act_core.atlas.refusals import REFUSALS, refusal_of
from act_core.atlas.rules import RULES, Case, case_of, needs_of
from act_core.atlas.special import SPECIAL, special_of
from act_core.atlas.wire import PandaJob
from act_core.settings.app_model import SpecialSite, Translation

DAY, WEEK = 1440, 7 * 1440
CONDOR = CeEndpoint(name="h", endpoint="h:9619", kind="htcondor", flavour="HTCONDOR-CE")
PAGE = (Path(__file__).parents[2] / "docs" / "translation.md").read_text(encoding="utf-8")


def case(
    queue: str = "Q",
    label: str = "managed",
    site: dict[str, Any] | None = None,
    translation: Translation | None = None,
    **job: Any,
) -> Case:
    raw: dict[str, Any] = {"PandaID": 1, "prodSourceLabel": label} | job
    described = Queue.model_validate({"name": queue, "schedconfig": queue, "maxwalltime": WEEK} | (site or {}))
    return case_of(PandaJob.parse(raw), described, translation or Translation())


def true(queue: str = "Q", label: str = "managed", site: dict[str, Any] | None = None, **job: Any) -> Case:
    return case(queue, label, {"truepilot": True} | (site or {}), **job)


def condor(label: str = "managed", site: dict[str, Any] | None = None, **job: Any) -> Case:
    return case("Q", label, {"truepilot": True, "endpoints": (CONDOR,)} | (site or {}), **job)


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
        (case(maxCpuCount=36000, site={"maxwalltime": 600}), 600),
        (case("Vega", maxCpuCount=60), 360),
        (case("Vega", maxCpuCount=60, site={"maxwalltime": 120}), 120),
        (case("BOINC_MCORE", maxCpuCount=36000), 240),
        (case("BOINC_LONG", maxCpuCount=360000), 1200),
        (case("ARNES", "user", maxCpuCount=36000), 1350),
        (case("ARNES", maxCpuCount=36000), 900),
        (true(maxCpuCount=36000), WEEK),
        (true(maxCpuCount=36000, site={"maxwalltime": 600}), 600),
        (true("X_CA-SFU-T2", maxCpuCount=36000), 900),
        (true("CA-WATERLOO-T2", maxCpuCount=36000), 900),
        (true("BOINC", maxCpuCount=36000), 240),
        (condor(maxCpuCount=36000), 1200),
        (condor(maxCpuCount=36001), 1201),
        (condor(maxCpuCount=600), 60),
        (condor(maxCpuCount=36000, coreCount=64), 1200),
        (condor(), WEEK),
        (condor(maxCpuCount=-5), WEEK),
        (condor(maxCpuCount=10**9), WEEK),
        (condor(site={"unlimited": True}), 4 * DAY),
        (condor(maxCpuCount=10**9, site={"unlimited": True}), 4 * DAY),
    ],
    ids=range(1, 31),
)
def test_walltime_in_minutes(given: Case, minutes: float) -> None:
    assert needs_of(given).walltime == minutes


@pytest.mark.parametrize(
    ("given", "minutes"),
    [
        (case(maxCpuCount=36000, coreCount=8), 7200),
        (case("BOINC_MCORE", maxCpuCount=36000, coreCount=8), 240),
        (case(maxCpuCount=10**9, coreCount=128), None),
        (true(coreCount=8, site={"maxwalltime": 600}), 4800),
        (condor(coreCount=8, maxCpuCount=36000), 9600),
    ],
    ids=["cores times walltime", "BOINC", "more than a year", "true pilot", "HTCondor"],
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
        (case(minRamCount=16001, coreCount=8), 2062),
        (case(minRamCount=4000, coreCount=8), 2000),
        (case(minRamCount=1, coreCount=8), 250),
        (case("Vega", minRamCount=3000), 1500),
        (case("Vega_largemem", minRamCount=8000), 4000),
        (case("Vega_GPU", minRamCount=3000), 3000),
        (case("Vega", minRamCount=16000, coreCount=8), 2000),
        (case("BOINC_MCORE", minRamCount=8000, coreCount=4), 625),
        (true(minRamCount=16001, coreCount=8), 2062),
        (condor(minRamCount=1), 500),
        (condor(minRamCount=501), 1000),
        (condor(minRamCount=4000, coreCount=8), 500),
        (condor(minRamCount=500, coreCount=1000), 1),
        (condor(), 4000),
        (condor("user"), 2000),
        (condor(site={"maxrss": 16000, "corecount": 8}), 2000),
        (condor(coreCount=4, site={"maxrss": 16000, "corecount": 8}), 2000),
        (condor(coreCount=4, site={"maxrss": 2000, "per_core": True}), 2000),
        (condor(site={"maxrss": 3900}), 4000),
    ],
    ids=range(1, 28),
)
def test_memory_per_core(given: Case, mb: int) -> None:
    assert needs_of(given).memory == mb


@pytest.mark.parametrize(
    ("given", "mb"),
    [
        (case(maxDiskCount=900), None),
        (case("UIO_CLOUD", maxDiskCount=900), 2900),
        (case("DE-TARDIS"), 2500),
        (case("DE-TARDIS", maxDiskCount=-9), 2000),
        (condor(maxDiskCount=900), None),
    ],
    ids=["not asked for", "UIO_CLOUD", "unknown", "absurd", "HTCondor"],
)
def test_disk(given: Case, mb: int | None) -> None:
    assert needs_of(given).disk == mb


@pytest.mark.parametrize(
    ("ours", "theirs", "job", "minutes"),
    [
        (None, 5.0, {"maxCpuCount": 36000}, 900),
        (10.0, None, {"maxCpuCount": 36000}, 900),
        (10.0, 5.0, {"maxCpuCount": 36000}, 1800),
        (10.0, 20.0, {"maxCpuCount": 36000}, 450),
        (10.0, 5.0, {}, 3 * DAY),
        (10.0, 5.0, {"maxCpuCount": 600}, 1.5 * DAY),
        (10.0, 0.001, {"maxCpuCount": 36000}, WEEK),
    ],
    ids=["off", "unknown", "slow", "fast", "no time", "600", "absurd"],
)
def test_corepower(ours: float | None, theirs: float | None, job: dict[str, Any], minutes: float) -> None:
    given = case(site={"corepower": theirs}, translation=Translation(corepower=ours), **job)
    assert needs_of(given).walltime == minutes


@pytest.mark.parametrize(
    ("current", "ours"),
    [(None, None), (-5, 1), (0, 1), (5, 1), (100, 9), (1000, 90), (1001, 90), (10_000, 100), (50_000, 100)],
)
def test_priority(current: int | None, ours: int | None) -> None:
    assert {needs_of(one(currentPriority=current)).priority for one in (case, true, condor)} == {ours}
    assert needs_of(case("BOINC_MCORE", currentPriority=current)).priority == 28


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (case(resource_type="MCORE_VHIMEM", coreCount=8), "MCORE_VHIMEM"),
        (case(minRamCount=2000), "SCORE"),
        (case(minRamCount=2500), "SCORE_HIMEM"),
        (case(minRamCount=16000, coreCount=8), "MCORE"),
        (case(minRamCount=32000, coreCount=8), "MCORE_HIMEM"),
        (condor(minRamCount=2000), "SCORE"),
        (condor(minRamCount=32000, coreCount=8), "MCORE_HIMEM"),
    ],
    ids=["PanDA's own", "SCORE", "SCORE_HIMEM", "MCORE", "MCORE_HIMEM", "HTCondor", "HTCondor, HIMEM"],
)
def test_resource_type(given: Case, word: str) -> None:
    assert needs_of(given).resource_type == word


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (case(), ("APPS/HEP/ATLAS-SITE",)),
        (case(label="user"), ("APPS/HEP/ATLAS-SITE", "ENV/PROXY")),
        (case("BOINC", label="user"), ("APPS/HEP/ATLAS-SITE",)),
        (case(translation=Translation(environment="APPS/HEP/DOMA")), ("APPS/HEP/DOMA",)),
        (case(translation=Translation(environment=""), label="user"), ("ENV/PROXY",)),
        (case("X_BOINC", label="user"), ("APPS/HEP/ATLAS-SITE",)),
        (true(), ("ENV/PROXY",)),
        (condor(), ()),
    ],
    ids=["production", "analysis", "BOINC", "another's", "none", "BOINC elsewhere", "true pilot", "HTCondor"],
)
def test_runtime_environments(given: Case, names: tuple[str, ...]) -> None:
    assert needs_of(given).runtime_environments == names


def test_a_later_special_row_replaces_what_an_earlier_one_set() -> None:
    more = (
        SpecialSite(queues=("Vega*", "X"), labels=("user",), walltime_least=60, priority=5),
        SpecialSite(queues=("vega",), priority=7),
    )
    found = special_of("Vega", "user", more)
    assert (found.walltime_least, found.one_core_memory, found.priority) == (60, 0.5, 5)
    assert special_of("Vega", "managed", more).walltime_least == 360
    assert special_of("Q", "user", more) == SpecialSite(queues=("Q",))


def test_special_sites_of_the_configuration_count() -> None:
    slow = Translation(special=(SpecialSite(queues=("Q",), walltime_factor=2, memory_mb=7000, priority=3),))
    needs = needs_of(case(translation=slow, maxCpuCount=36000, coreCount=2))
    assert (needs.walltime, needs.memory, needs.priority) == (1800, 3500, 3)


def test_every_row_has_a_name_of_its_own_and_a_source_and_is_on_the_page() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    rows = [(rule.name, rule.source) for rule in RULES] + [(one.name, one.source) for one in REFUSALS]
    assert [row for row in rows if not all(row) or f"| {row[0]} |" not in PAGE or f"| {row[1]} |" not in PAGE] == []
    assert [one.pattern for one in LABELS if f"| `{one.pattern}` |" not in PAGE or not one.source] == []
    assert [name for one in SPECIAL for name in one.queues if f"`{name}`" not in PAGE or not one.why] == []
    assert [key for key in SpecialSite.model_fields if f"`{key}`" not in PAGE] == []
    assert [mode for mode in Mode if f"| {mode} |" not in PAGE] == []


def test_each_row_is_of_some_use() -> None:
    """A row that changes nothing for any of these jobs is not tested."""
    given = [
        *(case(name, label, maxCpuCount=cpu, coreCount=n, minRamCount=mb)
          for name in ("Q", "Vega", "BOINC_MCORE", "UIO_CLOUD")
          for label in ("user", "managed") for cpu in (0, 600, 1200, 10**6) for n in (1, 2, 16) for mb in (0, 1, 2001)),
        *(condor(label, {"maxrss": 3900, "unlimited": True}, maxCpuCount=cpu, minRamCount=mb)
          for label in ("user", "managed") for cpu in (0, 1200) for mb in (0, 1)),
        true(currentPriority=1), case(site={"corepower": 5.0}, translation=Translation(corepower=1), maxCpuCount=36000),
    ]  # fmt: skip
    idle = [
        rule.name for rule in RULES
        if all(needs_of(one) == needs_of(one, [other for other in RULES if other is not rule]) for one in given)
    ]  # fmt: skip
    assert idle == []


def test_an_ordinary_job_is_not_refused() -> None:
    assert [refusal_of(one()) for one in (case, true, condor)] == [None] * 3

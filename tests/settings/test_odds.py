"""Keys at odds with one another are told by name when the configuration is read; it holds all the same."""

from pathlib import Path

import pytest

from tests.settings.written import load


def _told(tmp_path: Path, arc: str) -> list[str]:
    return [one.replace(f"{tmp_path}/", "") for one in load(tmp_path, arc).warnings]


@pytest.mark.parametrize(
    ("arc", "named"),
    [
        pytest.param(
            "jobs: {maxtimequeuing: 6 h}",
            "arc.yaml:1: jobs.maxtimequeuing (6 h) kills jobs that jobs.queuetime (12 h) lets queue",
            id="the kill wins",
        ),
        pytest.param(
            "jobs:\n  queuetime: 8 d", "arc.yaml:2: jobs.maxtimequeuing (7 d) kills", id="the key that was written"
        ),
        pytest.param(
            "voms: {vo: x, proxylifetime: 12 h, minlifetime: 6 h}",
            "arc.yaml:1: jobs.queuetime (12 h) and voms.margin (2 h) together are not shorter than voms.proxyl",
            id="no proxy is long enough",
        ),
        pytest.param(
            "voms: {vo: x, minlifetime: 96 h}",
            "arc.yaml:1: voms.minlifetime (4 d) is not shorter than voms.proxylifetime (4 d)",
            id="each proxy is due at once",
        ),
        pytest.param(
            "monitor: {prometheusport: 4200}",
            "arc.yaml:1: 4200 is Prefect's port, too (prefect.port): no metrics can be served",
            id="two at one port",
        ),
    ],
)
def test_what_silently_wins_is_told(tmp_path: Path, arc: str, named: str) -> None:
    (told,) = _told(tmp_path, arc)
    assert told.startswith(named)


@pytest.mark.parametrize(
    "arc",
    [
        pytest.param("", id="the defaults"),
        pytest.param("jobs: {maxtimequeuing: 0, queuetime: 30 d}", id="no limit, and somebody else's proxies"),
        pytest.param("jobs: {maxtimequeuing: 2 d, queuetime: 2 d}", id="just as long"),
        pytest.param("voms: {vo: x, proxylifetime: 12 h, minlifetime: 6 h}\njobs: {queuetime: 1 h}", id="short ones"),
        pytest.param("voms: {proxylifetime: 12 h}", id="this tower makes no proxies"),
    ],
)
def test_what_is_not_at_odds_is_not_told(tmp_path: Path, arc: str) -> None:
    assert _told(tmp_path, arc) == []

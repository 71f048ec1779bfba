"""Dashboard, alerts, runbooks and the page of metrics, against what is really served."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families as parsed

from act_core.cli.main import app
from act_core.db.session import Database
from act_core.monitor.metrics import StateMetrics, registry_of
from tests.fixtures.databases import Servers
from tests.monitor import filled
from tests.monitor.promql import named

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
PARTS = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}
OURS = ("act_", "arc_")


@pytest.fixture(scope="module")
def served(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, set[str]]]:
    """Family → its type and the labels of its samples, from a page over tables that say something of everything."""
    from act_core.settings.model import ArcSettings, Settings

    directory = tmp_path_factory.mktemp("served")
    base = Settings(state_dir=directory, arc=ArcSettings(db=servers.ready("sqlite", directory)))
    db = Database(base)
    db.write(filled.fill, db.clock())
    db.close()
    filled.work()
    state = StateMetrics(filled.settings_of(base))
    text = generate_latest(registry_of(state)).decode()
    state.close()
    found: dict[str, tuple[str, set[str]]] = {}
    for family in parsed(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = family.type, {label for one in family.samples for label in one.labels} - {"le"}
    return found


def _alerts() -> Iterator[dict[str, Any]]:
    read = yaml.safe_load((ROOT / "deployments" / "alerts.yml").read_text())
    for group in read["groups"]:
        yield from group["rules"]


def _panels() -> Iterator[dict[str, Any]]:
    read = json.loads((ROOT / "deployments" / "grafana-dashboard.json").read_text())
    return (panel for panel in read["panels"] if panel["type"] != "row")


def _expressions() -> dict[str, str]:
    alerts = {f"alert {one['alert']}": one["expr"] for one in _alerts()}
    panels = ((panel, target) for panel in _panels() for target in panel["targets"])
    return alerts | {f"panel {panel['id']} {panel['title']} {one['refId']}": one["expr"] for panel, one in panels}


def _samples(served: Mapping[str, tuple[str, set[str]]]) -> dict[str, set[str]]:
    """Sample name → labels, with the ones that Prometheus adds."""
    found = {}
    for name, (kind, labels) in served.items():
        stem = name.removesuffix("_total") if kind == "counter" else name
        for part in PARTS[kind]:
            found[stem + part] = labels | {"instance", "job"} | ({"le"} if part == "_bucket" else set())
    return found


@pytest.mark.parametrize("where", _expressions())
def test_what_is_asked_for_is_served(served: Mapping[str, tuple[str, set[str]]], where: str) -> None:
    asked, samples = named(_expressions()[where]), _samples(served)
    assert asked.metrics, "it names no metric"
    assert asked.metrics.keys() <= samples.keys()
    assert {name: labels - samples[name] for name, labels in asked.metrics.items() if labels - samples[name]} == {}
    assert asked.grouped <= set().union(*(samples[name] for name in asked.metrics))


def test_every_metric_of_ours_is_on_the_page(served: Mapping[str, tuple[str, set[str]]]) -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \|([^|]*)\|", (ROOT / "docs" / "monitoring.md").read_text(), re.M)
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(told) == len(rows), "one of them stands twice"
    of_campaigns = {name for name in told if name.startswith("act_simple_")}  # tests/simple compares these
    assert {name: told[name] for name in told.keys() - of_campaigns} == {
        name: one for name, one in served.items() if name.startswith(OURS)
    }


def test_every_metric_of_ours_is_on_the_dashboard(served: Mapping[str, tuple[str, set[str]]]) -> None:
    shown = {
        name for where, text in _expressions().items() if where.startswith("panel") for name in named(text).metrics
    }
    stems = {
        name for name in served if any(name.removesuffix("_total") + part in shown for part in ("", "_total", "_count"))
    }
    stems |= {name for name in served if f"{name}_bucket" in shown}
    left_out = {
        "act_application_up",
        "act_tower_info",
        "act_ce_maxjobs",
        "act_credential_trouble",
        "act_disk_size_bytes",
    }
    assert {name for name in served if name.startswith(OURS)} - stems <= left_out


def test_the_dashboard_can_be_read() -> None:
    panels = list(_panels())
    assert len({one["id"] for one in panels}) == len(panels)
    places = [one["gridPos"] for one in panels]
    assert all(one["x"] + one["w"] <= 24 for one in places)
    taken = [
        (x, y)
        for one in places
        for x in range(one["x"], one["x"] + one["w"])
        for y in range(one["y"], one["y"] + one["h"])
    ]
    assert len(set(taken)) == len(taken), "two panels lie on one another"
    assert all(one["title"] and one["datasource"]["uid"] == "${datasource}" for one in panels)


def test_an_expression_that_is_wrong_shows() -> None:
    """The test of these tests."""
    assert named('sum by (ce) (rate(a_total{ce=~"x|y"}[5m])) > 2').metrics == {"a_total": {"ce"}}
    for wrong in ("sum(a", "a{b}", "a)", "a{b=}", "a ? b"):
        with pytest.raises(ValueError, match=r".+"):
            named(wrong)


def test_every_alert_says_what_to_do() -> None:
    alerts = list(_alerts())
    assert len({one["alert"] for one in alerts}) == len(alerts) > 15
    for one in alerts:
        assert one["labels"]["severity"] in ("warning", "critical")
        assert one["annotations"]["summary"]
        assert (ROOT / one["annotations"]["runbook_url"]).is_file(), one["alert"]


def test_every_runbook_belongs_to_an_alert() -> None:
    unit = (ROOT / "deployments" / "act-deadman.service").read_text()
    linked = {one["annotations"]["runbook_url"] for one in _alerts()} | set(
        re.findall(r"docs/runbooks/[\w-]+\.md", unit)
    )
    pages = {str(page.relative_to(ROOT)): page.read_text() for page in RUNBOOKS.glob("*.md")}
    assert pages.keys() == linked
    for one in _alerts():
        assert f"`{one['alert']}`" in pages[one["annotations"]["runbook_url"]]
    for name, text in pages.items():
        assert re.findall(r"^## (.+)$", text, re.M) == ["Symptom", "Look", "Do"], name


def test_every_link_of_a_runbook_leads_somewhere() -> None:
    for page in RUNBOOKS.glob("*.md"):
        for target, anchor in re.findall(r"\]\(([\w./-]+\.md)(#[\w-]+)?\)", page.read_text()):
            there = (page.parent / target).resolve()
            assert there.is_file(), f"{page.name}: {target}"
            headings = re.findall(r"^#+ (.+)$", there.read_text(), re.M)
            anchors = {"#" + re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}
            assert not anchor or anchor in anchors, f"{page.name}: {target}{anchor}"


def _command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that these words begin with, and the rest."""
    command, rest = typer.main.get_command(app), words
    while rest and rest[0] in (inner := getattr(command, "commands", {})):
        command, rest = inner[rest[0]], rest[1:]
    return command, rest


def _said(text: str) -> Iterator[str]:
    """Commands in backticks, and after the prompt of a block."""
    yield from re.findall(r"`act ([^`]+)`", text)
    yield from re.findall(r"^\$ act (.+)$", text, re.M)


@pytest.mark.parametrize("page", sorted(path.name for path in RUNBOOKS.glob("*.md")))
def test_every_command_of_a_runbook_is_one(page: str) -> None:
    said = list(_said((RUNBOOKS / page).read_text()))
    assert said
    for line in said:
        words = re.sub(r'"[^"]*"', "text", line).split()
        command, rest = _command(words)
        assert len(rest) < len(words), f"act {line}: there is no such command"
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        assert {word for word in rest if word.startswith("-")} <= options, f"act {line}"
        assert not getattr(command, "commands", None) or command.invoke_without_command, f"act {line}: of a group"


def test_every_block_of_a_runbook_tells_what_to_expect() -> None:
    for page in RUNBOOKS.glob("*.md"):
        for block in re.findall(r"```\n(.*?)```", page.read_text(), re.S):
            assert block.startswith("$ ")
            assert block.count("\n") > 1, f"{page.name}: {block}"

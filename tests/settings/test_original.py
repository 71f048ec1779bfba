"""A pair of the original's files, with every key that it read, loads: what has no effect is warned of, and why."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from act_core.settings import load_settings
from act_core.settings.load import kind_of
from tests.settings.written import load, problems

ARC, APP = (Path(__file__).parent / "data" / name for name in ("original-arc.yaml", "original-app.yaml"))
SENTENCE = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): (?P<key>[\w.]+)(: [\w.]+)? has no effect: .{10,}")
SITE = "sites.ce1.example.org"
WITHOUT_EFFECT = {
    "arc": (
        *(f"{SITE}.{key}" for key in ("submitters", "rse", "noupload")),
        *("periodicrestart", "actlocation", "logger.arclevel", "logger.size", "downtime.srmdown"),
    ),
    "app": (
        *("modules.app", "monitor", "db", "user", "jobs", "joblog.keepsuccessful", "panda.sites.QUEUE_B.flavour"),
        *(
            f"executable.{key}"
            for key in ("ptarurl", "ptarurlrc", "ptarurldev", "wrapper", "ruciohelper", "simprodrte")
        ),
        *("cric.objectstores", "cric.osfilename"),
    ),
}


def test_every_key_loads_and_each_without_effect_says_where_and_why() -> None:
    loaded = load_settings(ARC, APP, {"HOME": "/home/op"})
    found = [SENTENCE.fullmatch(one) for one in loaded.warnings]
    told = {(Path(one["file"]).name, one["key"]): int(one["line"]) for one in found if one}
    assert len(told) == len(loaded.warnings)
    assert {one for one in told if one[0] == APP.name or not one[1].startswith("monitor")} == {
        *((ARC.name, key) for key in WITHOUT_EFFECT["arc"]),
        *((APP.name, key) for key in WITHOUT_EFFECT["app"]),
    }
    for (name, key), line in told.items():
        assert key.rpartition(".")[2] in (ARC.parent / name).read_text().splitlines()[line - 1]


def test_what_it_said_holds() -> None:
    arc, app = (held := load_settings(ARC, APP, {"HOME": "/home/op"}).settings).arc, held.app
    assert (arc.db.type, arc.db.user, arc.db.password.get_secret_value()) == ("mysql", "actuser", "secret")
    assert (arc.sites["ce1.example.org"].maxjobs, arc.sites["ce1.example.org"].kind) == (50, "arc-rest")
    assert arc.sites["condor.example.org"].kind == "htcondor"
    assert (arc.jobs.queuefraction, arc.jobs.queueoffset, arc.jobs.maxtimeheld) == (0.15, 200, timedelta(hours=1))
    assert arc.downtime.clusters == ("ce2.example.org",)
    assert arc.voms.proxylifetime == timedelta(hours=96)
    assert (arc.logger.level, arc.logger.rotate) == ("debug", 25)
    assert app.modules.app == ("atlas",)
    assert app.panda.server == "https://127.0.0.1:9"
    assert (app.panda.heartbeattime, app.panda.sites["TOKYO_HPC"].cricjsons) == (timedelta(minutes=30), True)
    assert app.panda.sites["QUEUE_B"].truepilot is True
    assert (app.cric.pilotmanager, app.joblog.urlprefix) == ("Harvester", "http://logs.example.org/data/jobs")


@pytest.mark.parametrize(
    ("written", "holds", "warned"),
    [
        pytest.param("modules: {app: [act.atlas]}", ("atlas",), 0, id="by its package"),
        pytest.param("modules: [act.arc, act.atlas]", ("atlas",), 1, id="the second generation's list"),
        pytest.param("modules: [act.arc]", ("manual",), 1, id="nothing is left: the default"),
        pytest.param("modules: {app: [manual, atlas]}", ("manual", "atlas"), 0, id="today's"),
    ],
)
def test_modules_by_the_originals_names(tmp_path: Path, written: str, holds: tuple[str, ...], warned: int) -> None:
    loaded = load(tmp_path, "", f"# first\n{written}\ndisabledProcs: {{act.arc: {{single: [aCTMonitor]}}}}\n")
    assert loaded.settings.app.modules.app == holds
    assert [one.partition(" has")[0] for one in loaded.warnings] == [
        *[f"{tmp_path}/app.yaml:2: modules.app: act.arc"] * warned,
        f"{tmp_path}/app.yaml:3: disabledProcs",
    ]


def test_a_module_that_is_no_name_is_a_problem_as_ever(tmp_path: Path) -> None:
    assert problems(tmp_path, "", "modules: [1]\n") == ["app.yaml:1: modules: a section with keys is wanted"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (ARC.read_text(), "arc"),
        (APP.read_text(), "app"),
        ("db: {type: mysql}\nmonitor: {apfmon: x}\npanda: {threads: 1}\njoblog: {}\n", "app"),
        ("", "arc"),
    ],
)
def test_a_file_is_known_by_what_stands_in_it(tmp_path: Path, text: str, kind: str) -> None:
    (tmp_path / "some.yaml").write_text(text)
    assert kind_of(tmp_path / "some.yaml") == kind

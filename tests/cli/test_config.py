"""`act config check` and `act config show`."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from act_core.ce.registry import kinds
from act_core.cli.config import app


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "cwd"
    place.mkdir()
    monkeypatch.chdir(place)
    for name in ("ACTCONFIGARC", "ACTCONFIGAPP", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)


def act_config(*words: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env=env)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    file = tmp_path / "arc.yaml"
    proxy = tmp_path / "proxy"
    proxy.touch()
    file.write_text(
        "db: {password: hunter2}\nsites: {ce1: {endpoint: 'https://ce1', submitters: 2}}\n"
        f"voms: {{proxypath: {proxy}, cacertdir: {tmp_path}}}\n"
    )
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text("jobs:\n  chekinterval: 5\n  attempts: x\n")
    return file


def test_check_of_nothing_is_good() -> None:
    result = act_config("check")
    assert result.exit_code == 0
    assert "no file: the defaults hold" in result.stdout
    assert result.stderr == ""


def test_check_says_what_it_read_and_warns_on_stderr(good: Path) -> None:
    result = act_config("check", "--arc-file", good)
    assert result.exit_code == 0
    assert f"read {good}" in result.stdout
    assert "good: 1 CEs" in result.stdout
    assert result.stderr.startswith(f"warning: {good}:2: sites.ce1.submitters has no effect")


def test_check_looks_at_each_instance(tmp_path: Path, good: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text(
        "modules: {app: [atlas]}\n"
        "panda: {sites: {Q: {endpoints: [ce1, ce.example.org, 'ce:443', ce11]}}}\n"
        "instances:\n  doma:\n    panda:\n      server: https://doma.example.org\n"
        f"      proxy: {tmp_path}/none\n      sites: {{D: {{endpoints: [arc6]}}}}\n"
    )
    result = act_config("check", "--arc-file", good, "--app-file", file)
    assert "good: 1 CEs, 2 PanDA queues, applications atlas, doma, " in result.stdout
    assert result.stderr.splitlines()[1:] == [
        f"warning: {file}:2: panda.sites.Q.endpoints: ce11 is none of sites, so the host of an ARC CE; "
        "did you mean ce1?",
        f"warning: {file}:7: instances.doma.panda.proxy: there is no file {tmp_path}/none",
        f"warning: {file}:8: instances.doma.panda.sites.D.endpoints: arc6 is none of sites, so the host of an ARC CE",
    ]


def test_check_of_a_bad_file_ends_with_2_and_every_problem(bad: Path) -> None:
    result = act_config("check", "--arc-file", bad)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{bad}:3: jobs.attempts: an integer is wanted",
        f"{bad}:2: unknown key jobs.chekinterval; did you mean checkinterval?",
    ]


def test_check_opens_every_ce(tmp_path: Path) -> None:
    file = tmp_path / "arc.yaml"
    file.write_text(
        "sites:\n"
        "  strange:\n"
        "    kind: nosuch\n"
        "  here:\n"
        "    kind: local\n"
        "    options:\n"
        "      slots: 0\n"
        "      slot: 2\n"
        "  arc: {endpoint: 'https://ce1:443/arex'}\n"
        "  good: {kind: local, options: {slots: 2}}\n"
    )
    result = act_config("check", "--arc-file", file)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{file}:3: sites.strange.kind: no back end 'nosuch'; there are {', '.join(kinds())}",
        f"{file}:7: sites.here.options.slots: wanted: greater than or equal to 1",
        f"{file}:8: unknown key sites.here.options.slot; did you mean slots?",
        f"{file}:9: sites.arc: an ARC CE needs a proxy: set voms.proxypath",
    ]
    assert len(json.loads(act_config("check", "--json", "--arc-file", file).stdout)["problems"]) == 4


@pytest.mark.parametrize(
    ("ce", "said"),
    [
        pytest.param(
            "kind: local, options: {root: 5}", "sites.c.options.root: a path is wanted", id="a number for a path"
        ),
        pytest.param(
            "endpoint: 'https://c/arex', proxy: /p, options: {rest_version: '2'}",
            r"sites.c.options.rest_version: a text that matches '^1\.[01]$' is wanted",
            id="a version that is none",
        ),
    ],
)
def test_options_are_complained_of_as_all_else_is(tmp_path: Path, ce: str, said: str) -> None:
    file = tmp_path / "arc.yaml"
    file.write_text(f"sites:\n  c: {{{ce}}}\n")
    assert act_config("check", "--arc-file", file).stderr == f"{file}:2: {said}\n"


@pytest.mark.parametrize(
    ("arc", "said"),
    [
        pytest.param("sites: {c: {kind: local}}\nvoms: {proxypath: /no/p, cacertdir: /no/c}\n", [], id="no ARC CE"),
        pytest.param(
            "sites: {c: {endpoint: 'https://c'}}\nvoms: {proxypath: /no/p, cacertdir: /no/c}\n",
            [
                "2: voms.proxypath: there is no proxy /no/p",
                "2: voms.cacertdir: there is no directory /no/c",
            ],
            id="neither is there",
        ),
        pytest.param(
            "sites: {c: {endpoint: 'https://c',\n  proxy: /no/own}}\nvoms: {proxypath: /no/p,\n  cacertdir: .}\n",
            ["2: sites.c.proxy: there is no proxy /no/own"],
            id="a proxy of its own",
        ),
    ],
)
def test_check_warns_of_what_an_arc_ce_will_miss(tmp_path: Path, arc: str, said: list[str]) -> None:
    file = tmp_path / "arc.yaml"
    file.write_text(arc)
    result = act_config("check", "--arc-file", file)
    assert (result.exit_code, result.stderr.splitlines()) == (0, [f"warning: {file}:{words}" for words in said])


def test_check_knows_the_applications(tmp_path: Path) -> None:
    file = tmp_path / "app.yaml"
    file.write_text("modules: {app: [manual, atlsa]}\n")
    result = act_config("check", "--app-file", file)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{file}:1: modules.app: no application 'atlsa'; installed: atlas, manual, simple;")


def test_check_for_programs(good: Path, bad: Path) -> None:
    said = json.loads(act_config("check", "--json", "--arc-file", good).stdout)
    assert said["good"] is True
    assert said["ces"] == ["ce1"]
    assert said["files"] == [str(good)]
    assert len(said["warnings"]) == 1
    result = act_config("check", "--json", "--arc-file", bad)
    assert result.exit_code == 2
    assert len(json.loads(result.stdout)["problems"]) == 2


def test_files_named_before_the_command_hold_unless_others_are_named_after_it(good: Path, bad: Path) -> None:
    root = typer.Typer()
    root.add_typer(app, name="config")

    @root.callback()
    def act(arc_file: Path) -> None:
        """As the command `act` has it."""

    runner = CliRunner()
    assert runner.invoke(root, [str(bad), "config", "check"]).exit_code == 2
    assert runner.invoke(root, [str(bad), "config", "check", "--arc-file", str(good)]).exit_code == 0


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_missing_file_ends_with_2(command: str) -> None:
    result = act_config(command, "--app-file", "/no/such.yaml")
    assert result.exit_code == 2
    assert "/no/such.yaml: there is no such file" in result.stderr


def test_show_tells_what_holds_and_where_from(good: Path) -> None:
    result = act_config("show", "--arc-file", good, env={"ACT_DB__USER": "tower"})
    assert result.exit_code == 0
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert lines["db.password"] == ["***", f"{good}:1"]
    assert lines["db.user"] == ["tower", "$ACT_DB__USER"]
    assert lines["jobs.checkinterval"] == ["1", "min", "default"]
    assert "hunter2" not in result.output


def test_show_changed_for_programs(good: Path) -> None:
    result = act_config("show", "--changed", "--json", "--arc-file", good)
    rows = json.loads(result.stdout)
    assert [row["key"] for row in rows] == ["db.password", "sites.ce1.endpoint", "voms.proxypath", "voms.cacertdir"]
    assert rows[0] == {
        "file": "aCTConfigARC.yaml",
        "key": "db.password",
        "value": "***",
        "origin": f"{good}:1",
    }


def test_an_escape_sequence_in_a_value_does_not_reach_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "arc.yaml"
    file.write_text('db: {name: "\\e[31mred [bold]"}')
    result = act_config("show", "--changed", "--arc-file", file)
    assert "\\x1b[31mred [bold]" in result.stdout
    assert "\x1b" not in result.stdout

"""Two files and the environment become settings, or one error that names every problem."""

from datetime import timedelta
from pathlib import Path

import pytest

from act_core.errors import ConfigError
from act_core.settings import BadSettings, load_settings, state_directory
from tests.settings.written import load, problems

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_without_any_file_the_defaults_hold() -> None:
    loaded = load_settings(env={"HOME": "/home/op"})
    assert loaded.files == ()
    assert loaded.warnings == ()
    assert loaded.settings.arc.db.type == "sqlite"
    assert loaded.settings.state_dir == Path("/home/op/.local/state/act-flows")
    assert loaded.settings.where("db.type") == "defaults"


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({"ACT_STATE_DIR": "/var/lib/act", "XDG_STATE_HOME": "/x"}, "/var/lib/act"),
        ({"XDG_STATE_HOME": "/x"}, "/x/act-flows"),
        ({"XDG_STATE_HOME": "relative"}, "/home/op/.local/state/act-flows"),
    ],
)
def test_state_directory(env: dict[str, str], wanted: str) -> None:
    assert load_settings(env={"HOME": "/home/op", **env}).settings.state_dir == Path(wanted)


def test_a_state_directory_in_nobodys_home(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, env={"ACT_STATE_DIR": "~no-such-user-here/x"})
    assert told.startswith("$ACT_STATE_DIR: no state directory: ")


def test_first_found_file_wins(tmp_path: Path) -> None:
    def written(path: Path, name: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"db: {{name: {name}}}")
        return path

    env = {"HOME": "/home/op"}

    def name(given: Path | None = None) -> str:
        return load_settings(given, env=env).settings.arc.db.name

    written(Path("aCTConfigARC.yaml"), "cwd")
    assert name() == "cwd"
    written(tmp_path / "venv/etc/act/aCTConfigARC.yaml", "venv")
    env["VIRTUAL_ENV"] = str(tmp_path / "venv")
    assert name() == "venv"
    env["ACTCONFIGARC"] = str(written(tmp_path / "named.yaml", "variable"))
    assert name() == "variable"
    assert name(written(tmp_path / "given.yaml", "given")) == "given"


def test_named_files_that_are_missing_are_both_told() -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings(Path("/no/arc.yaml"), env={"ACTCONFIGAPP": "/no/app.yaml"})
    assert caught.value.problems == (
        "/no/arc.yaml: there is no such file (named by the command line)",
        "/no/app.yaml: there is no such file (named by $ACTCONFIGAPP)",
    )


@pytest.mark.parametrize("env", [{}, {"ACTCONFIGARC": "."}])
def test_a_directory_is_no_file(tmp_path: Path, env: dict[str, str]) -> None:
    with pytest.raises(BadSettings) as caught:
        load_settings(None if env else tmp_path, env=env)
    assert caught.value.problems == (f"{Path() if env else tmp_path}: is not a regular file",)


def test_the_files_that_were_read_are_known_by_their_absolute_paths(tmp_path: Path) -> None:
    assert load_settings(env={"HOME": "/home/op"}).settings.files == {}
    Path("aCTConfigAPP.yaml").write_text("")
    (tmp_path / "arc.yaml").write_text("")
    files = load_settings(tmp_path / "arc.yaml", env={"HOME": "/home/op"}).settings.files
    assert files == {"arc": tmp_path / "arc.yaml", "app": Path.cwd() / "aCTConfigAPP.yaml"}


def test_each_file_tells_of_its_own_sections_alone(tmp_path: Path) -> None:
    arc, app = "\n\ndb:\n  name: {}\n", "db:\n  type: mysql\n  name: {}\n"
    settings = load(tmp_path, arc.format("mine"), app.format("other")).settings
    assert settings.where("db.name") == f"{tmp_path}/arc.yaml:4"
    assert settings.where("db.type") == f"{tmp_path}/arc.yaml:3"
    told = problems(tmp_path, arc.format("[]"), app.format("other"), {"ACT_DB__PORT": "x"})
    assert told == ["arc.yaml:4: db.name: a string is wanted", "$ACT_DB__PORT: db.port: an integer is wanted"]


def test_the_state_directory_is_known_without_the_files() -> None:
    assert state_directory({"ACT_STATE_DIR": "/s", "ACTCONFIGARC": "/no/such.yaml"}) == Path("/s")


def test_a_name_that_no_file_can_have_is_an_error_and_no_traceback() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(Path("x" * 5000), env={})


def test_values_and_lines(tmp_path: Path) -> None:
    arc = "jobs:\n  checkinterval: 90\nsites:\n  ce.example.org:\n    endpoint: https://ce\n    poll: 5 min\nlogger:\n"
    loaded = load(tmp_path, arc, "panda:\n  sites:\n    Q: {endpoints: [ce.example.org]}\n")
    settings = loaded.settings
    assert settings.arc.jobs.checkinterval == timedelta(seconds=90)
    assert settings.arc.sites["ce.example.org"].poll == timedelta(minutes=5)
    assert settings.app.panda.sites["Q"].endpoints == ("ce.example.org",)
    assert settings.where("sites.ce.example.org.endpoint") == f"{tmp_path}/arc.yaml:5"
    assert settings.where("sites.ce.example.org.batch") == f"{tmp_path}/arc.yaml:4"
    assert settings.where("panda.sites.Q.endpoints") == f"{tmp_path}/app.yaml:3"
    assert loaded.files == (tmp_path / "arc.yaml", tmp_path / "app.yaml")


def test_all_problems_of_both_files_and_the_environment_are_told_together(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        "sites:\n  ce1:\n    endpont: x\n    maxjobs: many\njobs: 5\n",
        "pandas: {}\ndb: {x: 1}\nsites: {}\npanda:\n  timeout: soon\n  cacert: ''\nmodules: {app: atlas}\n",
        {"ACT_DB__PORT": "seven", "ACT_DB__PASWORD": "hunter2"},
    )
    assert sorted(told) == sorted(
        [
            "arc.yaml:3: unknown key sites.ce1.endpont; did you mean endpoint?",
            "arc.yaml:4: sites.ce1.maxjobs: an integer is wanted",
            "arc.yaml:5: jobs: a section with keys is wanted",
            "app.yaml:1: unknown key pandas; did you mean panda?",
            "app.yaml:3: unknown key sites; it belongs in aCTConfigARC.yaml",
            "app.yaml:5: panda.timeout: a time is wanted: seconds, or a number with s, min, h or d",
            "app.yaml:7: modules.app: a list is wanted, such as [a, b]",
            "app.yaml:6: panda.cacert: a path is wanted, not an empty or unprintable text",
            "$ACT_DB__PORT: db.port: an integer is wanted",
            "$ACT_DB__PASWORD: unknown key db.pasword; did you mean password?",
        ]
    )


def test_a_bare_on_or_off_is_the_word_and_no_truth_value(tmp_path: Path) -> None:
    app = load(tmp_path, "", "validation: {delete: on}\njoblog: {analysis: off}\n").settings.app
    assert (app.validation.delete, app.joblog.analysis) == ("on", "off")
    loaded = load(tmp_path, "blackhole: {mode: off}\n", "validation: {delete: off}\n").settings
    assert (loaded.arc.blackhole.mode, loaded.app.validation.delete) == ("off", "off")


def test_below_the_name_of_an_instance_keys_are_known_and_empty_sections_hold_nothing(tmp_path: Path) -> None:
    server = "instances:\n  doma:\n    panda: {server: https://doma.example.org}\n"
    assert load(tmp_path, "", server + "    cric:\n").settings.app.instances["doma"].cric.model_fields_set == set()
    told = problems(tmp_path, "", server + "    crik: {}\n    joblog: {urlprefx: x}\n  Far: {}\n")
    assert sorted(told) == [
        "app.yaml:4: unknown key instances.doma.crik; did you mean cric?",
        "app.yaml:5: unknown key instances.doma.joblog.urlprefx; did you mean urlprefix?",
        "app.yaml:6: instances.Far: a name that matches '^[a-z][a-z0-9_]{0,10}$' is wanted",
    ]


def test_a_long_list_of_problems_is_cut_in_the_message_only(tmp_path: Path) -> None:
    (tmp_path / "arc.yaml").write_text("".join(f"k{n}: 1\n" for n in range(80)))
    with pytest.raises(BadSettings) as caught:
        load_settings(tmp_path / "arc.yaml", env={})
    assert len(caught.value.problems) == 80
    assert str(caught.value).endswith("… and 30 more")


def test_the_originals_keys_leave_a_warning_that_says_why(tmp_path: Path) -> None:
    arc = """\
sites: {ce.example.org: {endpoint: https://ce, submitters: 3}}
periodicrestart: {actsubmitter: 120}
actlocation: {dir: /x}
logger: {arclevel: INFO, level: DEBUG}
jobs: {queuefraction: 0.5, queueoffset: 100, maxtimerunning: 777600, maxtimecancelling: 1800}
downtime: {srmdown: [], clusters: [x]}
voms: {vo: atlas, roles: [production], bindir: /usr/bin, proxylifetime: 345600, minlifetime: 302400, proxystoredir: /x}
errors: {toresubmit: {arcerrors: [x]}}
monitor: {prometheusport: 1, rucioprometheusport: 2}
"""
    app = """\
db: {type: mysql, nonsense: 1}
executable: {ptarurl: x, ptarurlrc: y}
monitor: {apfmon: x}
cric: {every: 600, objectstores: x, osfilename: y}
user: {jwt_secret: hunter2}
panda: {sites: {Q: {flavour: ARC-CE}}}
"""
    loaded = load(tmp_path, arc, app)
    assert loaded.settings.arc.jobs.maxtimecancelling == timedelta(minutes=30)
    assert loaded.settings.arc.logger.level == "debug"
    told = [one.replace(f"{tmp_path}/", "") for one in loaded.warnings]
    assert len(told) == 15
    assert all(" has no effect: " in one for one in told)
    assert "hunter2" not in "".join(told)
    assert told[0].startswith("arc.yaml:1: sites.ce.example.org.submitters has no effect: ")
    assert any(one.startswith("arc.yaml:2: periodicrestart") and "clock" in one for one in told)
    assert any(one.startswith("app.yaml:1: db ") and "never read" in one for one in told)


def test_the_examples_load_without_warnings() -> None:
    loaded = load_settings(EXAMPLES / "aCTConfigARC.yaml", EXAMPLES / "aCTConfigAPP.yaml", {"HOME": "/home/op"})
    assert loaded.warnings == ()
    assert loaded.settings.arc.sites["ce2.example.org"].patience == timedelta(hours=1)
    assert loaded.settings.app.modules.app == ("manual", "atlas")


def test_an_endpoint_with_a_password_is_refused_and_not_repeated(tmp_path: Path) -> None:
    told = problems(tmp_path, "sites:\n  ce: {endpoint: 'https://act:hunter2@ce/arex'}\n")
    words = "no password can stand in it: a CE is shown a proxy or a token (`credential`)"
    assert told == [f"arc.yaml:2: sites.ce.endpoint: {words}"]

"""How jobs are described to HTCondor, and what their scripts do, run for real."""

import subprocess
import tarfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from act_core.ce import htcondor_jobs
from act_core.ce.base import SubmissionKey
from act_core.ce.htcondor_jobs import OUTPUT, SESSION, Options
from act_core.errors import BadInput
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec, OutputFile, RuntimeEnvironment

KEY = SubmissionKey("act-tower001-01m7yztpdqx95tjaestpb4dd4f")
PLACE = Path("/var/act/jobs/one")
RESOURCE = "condor ce.example.org ce.example.org:9619"


def described(**options: Any) -> dict[str, str]:
    return htcondor_jobs.description("ce", RESOURCE, Options(**options), "/t/token", "/t/proxy")


def item(spec: JobSpec, go: bool = False, missing: str | None = None, **options: Any) -> dict[str, str]:
    return htcondor_jobs.item(KEY, spec, PLACE, Options(**options), go, missing)


def test_what_all_jobs_of_a_batch_share() -> None:
    said = described(attributes={"WantIt": True, "Site": "a$b", "N": 3}, commands={"accounting_group": "atlas"})
    assert (said["universe"], said["grid_resource"], said["hold"]) == ("grid", RESOURCE, "$(act_hold)")
    assert (said["scitokens_file"], said["x509userproxy"]) == ("/t/token", "/t/proxy")
    assert (said["My.WantIt"], said["My.Site"], said["My.N"]) == ("True", '"a$(DOLLAR)b"', "3")
    assert (said["My.ActSite"], said["accounting_group"]) == ('"ce"', "atlas")
    assert said["leave_in_queue"].endswith("< 864000")


@pytest.mark.parametrize(
    ("options", "there", "absent"),
    [
        pytest.param({"files": "spool"}, {"My.Matched"}, {"hold", "requirements"}, id="grid, spooled"),
        pytest.param({"universe": "vanilla"}, {"hold", "allowed_execute_duration"}, {"grid_resource"}, id="vanilla"),
        pytest.param({"universe": "vanilla", "files": "spool"}, {"requirements"}, {"hold", "My.Matched"}, id="both"),
    ],
)
def test_how_a_job_is_kept_back(options: dict[str, str], there: set[str], absent: set[str]) -> None:
    said = described(**options)
    assert there <= set(said)
    assert not absent & set(said)


def test_every_variable_of_the_description_is_in_the_item() -> None:
    text = " ".join(described(universe="vanilla").values())
    words = {word.partition(")")[0] for word in text.split("$(")[1:]}
    assert words <= set(item(JobSpec(executable="/bin/true")))


def test_what_a_job_asks_for() -> None:
    spec = JobSpec(
        name="a job\n$(x)", executable="/bin/true", cores=8, memory_mb=2000, disk_mb=10, queue="lo ng", priority=70,
        walltime=timedelta(minutes=90, seconds=1),
    )  # fmt: skip
    said = item(spec)
    assert said["act_title"] == "a_job___x_"
    assert (said["act_cpus"], said["act_memory"], said["act_disk"], said["act_prio"]) == ("8", "16000", "10240", "70")
    assert (said["act_runtime"], said["act_minutes"], said["act_batchqueue"]) == ("5401", "91", '"lo_ng"')
    assert (said["act_hold"], said["act_go"], said["act_missing"]) == ("True", "True", "undefined")
    assert not any("\n" in value for value in said.values())


def test_what_a_job_does_not_say_comes_from_the_site() -> None:
    said = item(JobSpec(executable="/bin/true"), queue="short", memory_mb=500, disk_mb=7)
    assert (said["act_memory"], said["act_disk"], said["act_batchqueue"]) == ("500", "7168", '"short"')
    assert (said["act_runtime"], said["act_minutes"]) == ("undefined", "undefined")


def test_a_spooled_job_is_kept_back_by_its_guard() -> None:
    said = item(JobSpec(executable="/bin/true"), missing="d/a b", files="spool")
    assert (said["act_go"], said["act_missing"]) == ("False", '"d/a_b"')
    assert item(JobSpec(executable="/bin/true"), go=True, files="spool")["act_go"] == "True"


@pytest.mark.parametrize(
    ("endpoint", "options", "resource"),
    [
        pytest.param("ce.example.org:9619", {}, RESOURCE, id="host and port"),
        pytest.param("", {"grid_resource": "batch slurm"}, "batch slurm", id="by hand"),
    ],
)
def test_the_address_of_a_ce(endpoint: str, options: dict[str, str], resource: str) -> None:
    assert htcondor_jobs.resource(endpoint, Options.model_validate(options)) == resource


@pytest.mark.parametrize("endpoint", ["", "ce.example.org", "https://ce.example.org:443", "ce:x"])
def test_what_is_no_address(endpoint: str) -> None:
    with pytest.raises(BadInput, match="host:port"):
        htcondor_jobs.resource(endpoint, Options())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        pytest.param({"outputs": (OutputFile(name="a", target="https://se/a"),)}, "no URL", id="an output to a URL"),
        pytest.param({"runtime_environments": (RuntimeEnvironment(name="A/B"),)}, "A/B", id="a runtime environment"),
        pytest.param(
            {"inputs": tuple(InputFile(name=n, source=f"https://se/{n}/x") for n in "ab")}, "x is taken", id="twice",
        ),
        pytest.param({"inputs": (InputFile(name="a", source="https://se/act-run.sh"),)}, "taken", id="our own name"),
        pytest.param({"inputs": (InputFile(name="a", source="https://se/a,b"),)}, "cannot fetch", id="a comma"),
    ],
)  # fmt: skip
def test_what_htcondor_cannot_do(wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        htcondor_jobs.check(JobSpec(executable="/bin/true", **wanted))


def test_a_proxy_is_what_its_environment_asks_for() -> None:
    htcondor_jobs.check(JobSpec(executable="/bin/true", runtime_environments=(RuntimeEnvironment(name="ENV/PROXY"),)))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"collector": "host:9618"}, id="a collector without a schedd"),
        pytest.param({"commands": {"queue": "5"}}, id="a command of ours"),
        pytest.param({"attributes": {"a b": "x"}}, id="no name"),
        pytest.param({"attributes": {"a": "x\ny"}}, id="two lines"),
        pytest.param({"memory": 5}, id="an unknown key"),
        pytest.param({"universe": "docker"}, id="another universe"),
    ],
)
def test_options_that_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(given)


def run(tmp_path: Path, spec: JobSpec, **files: str) -> tuple[int, dict[str, str]]:
    """Exit code of a job's script, and the plain files that it packs."""
    session = tmp_path / SESSION
    session.mkdir()
    for name, text in ({COMMIT_FILE: "ok\n"} | files).items():
        (session / name).write_text(text)
    (tmp_path / "act-run.sh").write_text(htcondor_jobs.script(spec))
    done = subprocess.run(["/bin/sh", "act-run.sh"], cwd=tmp_path, timeout=20, check=False, capture_output=True)
    if not (tmp_path / OUTPUT).exists():
        return done.returncode, {}
    with tarfile.open(tmp_path / OUTPUT) as packed:
        plain = [one for one in packed if one.isreg()]
        return done.returncode, {one.name: (packed.extractfile(one) or packed).read().decode() for one in plain}  # type: ignore[union-attr]


def shell(script: str, **wanted: Any) -> JobSpec:
    return JobSpec(executable="/bin/sh", arguments=("-c", script), **wanted)


ODD = "a \"b\" 'c' $HOME `x` \\ $(y)\nz"


def test_a_script_passes_odd_texts_on(tmp_path: Path) -> None:
    spec = JobSpec(executable="/bin/sh", arguments=("-c", 'printf %s "$1|$ODD"', "sh", ODD), environment={"ODD": ODD})
    assert run(tmp_path, spec) == (0, {"./stdout.txt": f"{ODD}|{ODD}", "./stderr.txt": ""})


def test_a_failed_payload_leaves_what_it_made(tmp_path: Path) -> None:
    outputs = (OutputFile(name="a"), OutputFile(name="never"), OutputFile(name="d/"))
    code, files = run(tmp_path, shell("echo 1 > a; mkdir d; echo 2 > d/b; echo no > c; exit 3", outputs=outputs))
    assert code == 3
    assert set(files) == {"./a", "./d/b", "./stdout.txt", "./stderr.txt"}


def test_everything_is_all_but_the_inputs(tmp_path: Path) -> None:
    inputs = (InputFile(name="big", content="x"), InputFile(name="kept", content="y"))
    spec = shell("echo 1 > a; echo 2 > .hidden", inputs=inputs, outputs=(OutputFile(name="kept"),), fetch=("/",))
    code, files = run(tmp_path, spec, big="x", kept="y")
    assert (code, set(files)) == (0, {"./a", "./.hidden", "./kept", "./stdout.txt", "./stderr.txt"})


def test_a_list_of_outputs_that_the_payload_writes(tmp_path: Path) -> None:
    script = "echo 1 > a; echo 2 > b; printf 'a\\nb https://se/b\\n../act-run.sh\\n/etc/passwd\\nnone\\n' > list"
    code, files = run(tmp_path, shell(script, outputs=(OutputFile(name="@list"),), stdout=None, stderr=None))
    assert (code, set(files)) == (0, {"./a", "./b", "./list"})


def test_streams(tmp_path: Path) -> None:
    spec = shell("cat; echo err >&2", stdin="in.txt", stdout="log/all", stderr="log/all")
    assert run(tmp_path, spec, **{"in.txt": "in\n"}) == (0, {"./log/all": "in\nerr\n"})


def test_a_program_that_is_an_input(tmp_path: Path) -> None:
    spec = JobSpec(executable="run.sh", inputs=(InputFile(name="run.sh", content="#!/bin/sh\necho ran\n"),))
    code, files = run(tmp_path, spec, **{"run.sh": "#!/bin/sh\necho ran\n"})
    assert (code, files["./stdout.txt"]) == (0, "ran\n")


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    code, files = run(tmp_path, JobSpec(executable="/no/such/program"))
    assert code == 127
    assert "/no/such/program" in files["./stderr.txt"]


def test_an_input_from_a_url_is_put_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.dat").write_text("fetched\n")
    spec = shell("cat d/in", inputs=(InputFile(name="d/in", source="https://se.example.org/data/x.dat?a=1"),))
    assert item(spec)["act_files"] == "act-run.sh, session, https://se.example.org/data/x.dat?a=1"
    assert run(tmp_path, spec)[1]["./stdout.txt"] == "fetched\n"

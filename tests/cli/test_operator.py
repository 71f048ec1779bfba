"""Jobs by hand, from the first command to the last, on two CEs that are this machine."""

import io
import sys
from pathlib import Path

import pytest

from act_core.states import FINAL
from tests.cli.conftest import Act

GOOD = "name: good\nexecutable: /bin/sh\narguments: [-c, 'echo hello > out.txt']\noutputs: [{name: out.txt}]\n"
BAD = "name: bad\nexecutable: /bin/sh\narguments: [-c, 'exit 3']\n"


@pytest.fixture
def files(place: Path) -> list[Path]:
    """Two descriptions: a good job and one that fails."""
    made = [place / "good.yaml", place / "bad.yaml"]
    for file, text in zip(made, (GOOD, BAD), strict=True):
        file.write_text(text)
    return made


def _states(act: Act) -> dict[str, str]:
    return {row["id"]: row["state"] for row in act("jobs", "list", "--json").json}


def test_a_wish_for_a_job_of_another_application_names_it(act: Act, files: list[Path]) -> None:
    job = act("jobs", "add", files[0]).out.strip()
    said = act("jobs", "cancel", job, "--app", "atlas")
    assert (said.code, said.err) == (2, f"no open job of atlas with id {job}; {job} is of manual: --app manual\n")


def test_from_bootstrap_to_clean(bare: Act, until_idle: Act, files: list[Path]) -> None:
    act = bare
    made = act("bootstrap")
    assert (made.code, made.err) == (0, "")
    assert made.out.startswith("state tables made")
    assert act("bootstrap").out.startswith("state tables already there")
    added = act("jobs", "add", *files, "--ce", "here")
    assert added.code == 0
    good, bad = added.out.split()
    assert _states(act) == {good: "tosubmit", bad: "tosubmit"}

    swept = until_idle("--json")
    assert (swept.code, swept.json["idle"]) == (0, True)
    assert _states(act) == {good: "done", bad: "donefailed"}

    shown = act("jobs", "show", good, "--json").json[0]
    (attempt,) = shown["attempts"]
    assert (shown["name"], shown["candidates"], attempt["ce"]) == ("good", ["here"], "here")
    assert (Path(attempt["outputs"]) / "out.txt").read_text() == "hello\n"
    assert attempt["events"][0]["from"] == "tosubmit"
    told = act("jobs", "show", good, bad)
    assert told.code == 0
    assert "attempt 1: done at here" in told.out
    assert "exit_code    3" in told.out
    assert act("jobs", "show", good, "--as", "xrsl").out.startswith("&\n(executable=")
    assert f"<Name>{attempt['key']}</Name>" in act("jobs", "show", good, "--as", "adl").out

    assert act("jobs", "resubmit", bad).out == f"{bad}: a new attempt is to be made\n"
    assert until_idle().code == 0
    attempts = act("jobs", "list", "--attempts", "--json").json
    assert [(row["id"], row["attempt"]) for row in attempts] == [(bad, 2), (bad, 1), (good, 1)]

    assert act("jobs", "clean", good, bad, "--json").json == {good: "clean", bad: "clean"}
    assert until_idle().code == 0
    assert set(_states(act).values()) <= {state.value for state in FINAL}
    refused = act("jobs", "resubmit", good)
    assert (refused.code, refused.err) == (1, "")
    assert refused.out == f"{good}: refused: its application has closed it and takes no second result\n"


def test_what_is_cancelled_before_it_is_sent_never_runs(act: Act, until_idle: Act, files: list[Path]) -> None:
    (job,) = act("jobs", "add", files[0], "--json").json
    assert (job["name"], job["ces"]) == ("good", ["here", "there"])
    assert act("jobs", "cancel", job["id"], "--json").json == {job["id"]: "cancel"}
    assert until_idle().code == 0
    assert _states(act) == {job["id"]: "cancelled"}
    assert act("ces", "list", "--json").json[0]["jobs"] == {}


def test_outputs_come_home_again(act: Act, files: list[Path]) -> None:
    (job,) = act("jobs", "add", files[1]).out.split()
    assert act("jobs", "fetch", job).out == f"{job}: its outputs are to come home\n"
    assert act("jobs", "rerun", job).out == f"{job}: its CE is to restart it\n"
    kept = act("jobs", "fetch", job)
    assert kept.out == (
        f"{job}: not done: its CE is to restart it, and that goes first; ask again afterwards (`act jobs show`)\n"
    )
    assert kept.code == 1
    assert act("jobs", "fetch", job, "--json").json == {job: "kept: rerun"}
    row = act("jobs", "list", "--json").json[0]
    assert row["wish"] == "torerun"


def test_a_sweep_that_is_given_up_says_so(act: Act, until_idle: Act, place: Path) -> None:
    (place / "long.yaml").write_text("executable: /bin/sh\narguments: [-c, 'exec sleep 60']\n")
    (job,) = act("jobs", "add", "long.yaml", "--ce", "here").out.split()
    swept = until_idle("--timeout", 0)
    assert swept.code == 1
    assert "given up after 0 s: work is left (`act jobs list`)" in swept.err
    act("jobs", "cancel", job)
    assert until_idle().code == 0
    assert _states(act) == {job: "cancelled"}


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        pytest.param("jobs show nosuch", 2, "no job with id nosuch", id="show an unknown job"),
        pytest.param("jobs cancel nosuch", 2, "no open job of manual with id nosuch", id="cancel an unknown job"),
        pytest.param("jobs add no.yaml", 2, "no.yaml: No such file", id="add a file that is not there"),
        pytest.param("jobs add aCTConfigARC.yaml", 2, "aCTConfigARC.yaml: ", id="add what is no job"),
        pytest.param("ces show nosuch", 2, "no CE 'nosuch'; there are here, there", id="show an unknown CE"),
        pytest.param("sweep nosuch", 2, "no stage 'nosuch'; there are all, ", id="sweep an unknown stage"),
        pytest.param("sweep submit --ce nosuch", 2, "no CE 'nosuch'; there are here, there", id="sweep an unknown CE"),
        pytest.param("sweep all --ce nosuch", 2, "no CE 'nosuch'; there are here, there", id="sweep all at none"),
        pytest.param("jobs list --ce here --ce no", 2, "no CE 'no'; there are here, there", id="list an unknown CE"),
        pytest.param("up --port 99999", 2, "for '--port'", id="a port that is none"),
        pytest.param("simulate arc --port 99999", 2, "for '--port'", id="simulate at a port that is none"),
        pytest.param("simulate panda --api v2", 2, "for '--api'", id="an API that PanDA never had"),
        pytest.param("simulate cric --queues q --control-port -1", 2, "for '--control-port'", id="a control port"),
        pytest.param("jobs list --state nosuch", 2, "nosuch", id="list by an unknown state"),
        pytest.param("--arc-file state jobs list", 2, "state: is not a regular file", id="a directory for a file"),
        pytest.param("--arc-file no.yaml jobs list", 2, "no.yaml: there is no such file", id="another configuration"),
    ],
)
def test_mistakes_are_a_sentence_and_an_exit_code(act: Act, words: str, code: int, err: str) -> None:
    said = act(*words.split())
    assert (said.code, said.out) == (code, "")
    assert err in said.err
    assert "Traceback" not in said.err


def test_an_unknown_candidate_is_named(act: Act, files: list[Path]) -> None:
    said = act("jobs", "add", files[0], "--ce", "nowhere")
    assert (said.code, said.err) == (2, "no CE nowhere in the configuration; there are here, there\n")


def test_of_several_files_all_are_added_or_none(act: Act, place: Path, files: list[Path]) -> None:
    assert act("jobs", "add", files[0], "no.yaml").code == 2
    assert act("jobs", "list").out == "no jobs\n"


@pytest.mark.parametrize("words", ["jobs list", "jobs show x", "ces list", "sweep submit", "status"])
def test_before_bootstrap_it_is_told(bare: Act, place: Path, words: str) -> None:
    said = bare(*words.split())
    assert said.code == 2
    assert "no state tables; run `act bootstrap`" in said.err
    assert list((place / "state").iterdir()) == []


def test_what_cannot_be_bootstrapped(bare: Act, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "aCTConfigAPP.yaml").write_text("modules: {app: [atlsa]}\n")
    said = bare("bootstrap")
    assert (said.code, said.out) == (2, "")
    assert "no application 'atlsa'" in said.err
    (place / "aCTConfigAPP.yaml").unlink()
    (place / "words").write_text("words\n" * 100)
    monkeypatch.setenv("ACT_DB__FILE", str(place / "words"))
    said = bare("bootstrap")
    assert (said.code, said.out) == (2, "")
    assert said.err == f"{place}/words: file is not a database; name another by db.file\n"


def test_a_tower_is_taken_down_whatever_the_files_say(bare: Act, place: Path) -> None:
    (place / "aCTConfigARC.yaml").write_text("jbs: 5\n")
    said = bare("down")
    assert (said.code, said.out, said.err) == (0, "no tower was up\n", "")
    assert bare("status").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param("storage --pki file/pki", "--pki file/pki: no test CA can be there: ", id="storage"),
        pytest.param("panda --pki file/pki", "--pki file/pki: no test CA can be there: ", id="panda"),
        pytest.param("arc --pki file/pki", "--pki file/pki: no test CA can be there: ", id="arc"),
        pytest.param("arc --run 1 --pki file/pki", "the server cannot be: ", id="arc without jobs"),
        pytest.param("arc --ready-file file/ready", "the server cannot be: ", id="a ready file"),
    ],
)
def test_a_simulator_that_cannot_be(bare: Act, place: Path, words: str, said: str) -> None:
    (place / "file").write_text("x")
    told = bare("simulate", *words.split())
    assert (told.code, told.out) == (2, "")
    assert said in told.err
    assert "Not a directory" in told.err


@pytest.mark.parametrize("words", ["bootstrap", "jobs list", "ces list", "sweep all", "status", "down", "up --detach"])
def test_a_state_directory_that_can_be_none(
    bare: Act, place: Path, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").write_text("x")
    monkeypatch.setenv("ACT_STATE_DIR", str(place / "file" / "state"))
    said = bare(*words.split())
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        f"{place}/file/state: no directory can be made there: Not a directory; name another by $ACT_STATE_DIR\n"
    )


def test_a_simulator_whose_reader_left_is_no_mistake(bare: Act, monkeypatch: pytest.MonkeyPatch) -> None:
    class Left(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    with monkeypatch.context() as alone:
        alone.setattr(sys, "stdout", Left())
        said = bare("simulate", "arc")
    assert (said.code, said.err) == (141, "")

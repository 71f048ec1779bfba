"""Files from and to a job's directory on this machine."""

import os
from pathlib import Path

import pytest

from act_core.ce.base import Fetched, FetchPlan, Refused
from act_core.ce.folders import Limits, bring, put
from act_core.errors import DiskError
from act_core.jobspec import COMMIT_FILE, InputFile


@pytest.fixture
def session(tmp_path: Path) -> Path:
    made = tmp_path / "session"
    (made / "d/e").mkdir(parents=True)
    for name in ("a", "b", "d/c", "d/e/f", COMMIT_FILE):
        (made / name).write_text(name)
    return made


def names(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("patterns", "declared", "came"),
    [
        pytest.param(("/",), (), {"a", "b", "d/c", "d/e/f"}, id="all but the commit"),
        pytest.param(("d/",), (), {"d/c", "d/e/f"}, id="a directory"),
        pytest.param(("d/e/f",), ("a",), {"a", "d/e/f"}, id="what is declared comes too"),
        pytest.param(("absent",), (), set(), id="nothing"),
    ],
)
def test_what_comes_home(
    session: Path, tmp_path: Path, patterns: tuple[str, ...], declared: tuple[str, ...], came: set[str]
) -> None:
    home = tmp_path / "home"
    assert bring(session, {}, FetchPlan(home, patterns, declared)) == Fetched(len(came), sum(map(len, came)))
    assert names(home) == came


@pytest.mark.parametrize(
    ("patterns", "bare"), [(("/",), True), (("a",), True), (("diagnose=log/errors",), False), ((), False)]
)
def test_a_directory_that_is_not_there_is_no_empty_one(
    session: Path, tmp_path: Path, patterns: tuple[str, ...], bare: bool
) -> None:
    plan = FetchPlan(tmp_path / "home", patterns)
    assert bring(tmp_path / "none", {}, plan) == Fetched(0, 0, bare)
    assert bring(session / "d/e", {}, FetchPlan(tmp_path / "home", ("other",))) == Fetched(0, 0)


def test_a_file_of_the_ce_wins_over_the_payloads(session: Path, tmp_path: Path) -> None:
    (tmp_path / "log").write_text("of the CE")
    bring(session, {"a": tmp_path / "log"}, FetchPlan(tmp_path / "home", ("a",)))
    assert (tmp_path / "home/a").read_text() == "of the CE"


@pytest.mark.parametrize("kind", ["link", "directory link", "pipe"])
def test_what_is_no_plain_file_stays(session: Path, tmp_path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(session / "odd")
    else:
        (session / "odd").symlink_to("/etc/passwd" if kind == "link" else "/etc")
    bring(session, {}, FetchPlan(tmp_path / "home", ("/",)))
    assert not any(name.startswith("odd") for name in names(tmp_path / "home"))


@pytest.mark.parametrize(
    ("limits", "words"),
    [pytest.param(Limits(size=3), "3 bytes", id="size"), pytest.param(Limits(files=3), "3 files", id="number")],
)
def test_too_much_is_refused_for_good(session: Path, tmp_path: Path, limits: Limits, words: str) -> None:
    answer = bring(session, {}, FetchPlan(tmp_path / "home", ("/",)), limits)
    assert isinstance(answer, Refused)
    assert answer.for_good
    assert words in answer.why
    assert [path.name for path in tmp_path.iterdir()] == ["session"]


@pytest.mark.parametrize("there", [True, False], ids=["the payload left it not", "no directory (yet)"])
def test_a_declared_output_that_is_missing(session: Path, tmp_path: Path, there: bool) -> None:
    answer = bring(session if there else tmp_path / "no", {}, FetchPlan(tmp_path / "home", ("/",), ("z",)))
    assert isinstance(answer, Refused)
    assert answer.for_good is there


def test_a_place_at_home_that_cannot_be_made(session: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(DiskError):
        bring(session, {}, FetchPlan(tmp_path / "home/inner", ("/",)))


def test_a_file_is_replaced_whole(session: Path, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("new")
    assert put(session, InputFile(name="a", source=str(tmp_path / "source"))) is None
    assert (session / "a").read_text() == "new"
    assert put(session, InputFile(name="x/run", content="#!", executable=True)) is None
    assert (session / "x/run").stat().st_mode & 0o777 == 0o700
    assert not [name for name in names(session) if ".act." in name]


@pytest.mark.parametrize(
    ("file", "for_good"),
    [
        pytest.param(InputFile(name="a", source="/nonexistent/x"), True, id="no source"),
        pytest.param(InputFile(name="a", source="/dev"), True, id="a directory as source"),
        pytest.param(InputFile(name="out/a", content="x"), True, id="through a link that leads out"),
        pytest.param(InputFile(name="b/a", content="x"), False, id="below a file"),
    ],
)
def test_an_input_that_cannot_be_brought(session: Path, tmp_path: Path, file: InputFile, for_good: bool) -> None:
    (tmp_path / "outside").mkdir()
    (session / "out").symlink_to(tmp_path / "outside")
    refusal = put(session, file)
    assert isinstance(refusal, Refused)
    assert refusal.for_good is for_good
    assert (session / "a").read_text() == "a"
    assert not list((tmp_path / "outside").iterdir())


def test_a_source_that_would_have_to_be_waited_for(session: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refusal = put(session, InputFile(name="a", source=str(tmp_path / "pipe")))
    assert isinstance(refusal, Refused)
    assert refusal.for_good


def test_a_job_that_has_no_directory_gets_none(tmp_path: Path) -> None:
    assert isinstance(put(tmp_path / "gone", InputFile(name="a", content="x")), Refused)
    assert not (tmp_path / "gone").exists()

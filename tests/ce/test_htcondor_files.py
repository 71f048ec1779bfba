"""The files of HTCondor jobs on our side: credentials that only their owner reads, archives that strangers packed."""

import io
import os
import stat
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from act_core.ce.base import Fetched, FetchPlan, Refused, SubmissionKey
from act_core.ce.htcondor_files import Shelf, unpack
from act_core.ce.htcondor_jobs import OUTPUT, SCRIPT, SESSION
from act_core.errors import CredentialError
from act_core.jobspec import InputFile, JobSpec

KEY = SubmissionKey("act-tower001-01m7yztpdqx95tjaestpb4dd4f")
LIMIT = 10_000


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "jobs", None)


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def packed(path: Path, **files: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            told = tarfile.TarInfo(name)
            told.size = len(content)
            archive.addfile(told, io.BytesIO(content))


def test_a_credential_is_private_and_replaced_as_a_whole(shelf: Shelf, tmp_path: Path) -> None:
    source = secret(tmp_path / "token", "one")
    first = shelf.credential(source, "token")
    assert first is not None
    assert (first.read_text(), stat.S_IMODE(first.stat().st_mode)) == ("one", 0o600)
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    before = first.stat().st_ino
    assert shelf.credential(source, "token") == first
    assert first.stat().st_ino == before  # nothing was new
    with first.open() as held:
        secret(source, "two")
        assert shelf.credential(source, "token") == first
        assert held.read() == "one"  # who was reading reads the old one to its end
    assert first.read_text() == "two"


def test_renewals_and_submissions_lay_it_out_at_the_same_time(shelf: Shelf, tmp_path: Path) -> None:
    """Each stage has a thread of its own, and a job reads a whole token at every moment."""
    sources = [secret(tmp_path / f"token{n}", str(n) * 5000) for n in range(4)]
    with ThreadPoolExecutor(4) as threads:
        laid = list(threads.map(lambda n: shelf.credential(sources[n % 4], "token"), range(200)))
    (place,) = set(laid)
    assert place is not None
    assert place.read_text() in {source.read_text() for source in sources}
    assert list(place.parent.iterdir()) == [place]


def test_no_credential(shelf: Shelf) -> None:
    assert shelf.credential(None, "token") is None
    assert not shelf.root.exists()


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_credential_that_others_can_read(shelf: Shelf, tmp_path: Path, mode: int) -> None:
    with pytest.raises(CredentialError, match="chmod 600"):
        shelf.credential(secret(tmp_path / "token", "one", mode), "token")


@pytest.mark.skipif(os.geteuid() != 0, reason="root: gives files away")
def test_the_jobs_owner_gets_all_of_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "jobs", 61001)
    shelf.make(KEY, JobSpec(executable="/bin/true"), with_inputs=False)
    token = shelf.credential(secret(tmp_path / "token", "one"), "token")
    assert token is not None
    assert {path.stat().st_uid for path in (shelf.place(KEY), *shelf.place(KEY).rglob("*"), token)} == {61001}


def test_what_is_made_for_a_job(shelf: Shelf, tmp_path: Path) -> None:
    absent = InputFile(name="b", source=str(tmp_path / "absent"))
    spec = JobSpec(executable="/bin/true", inputs=(InputFile(name="d/a", content="text"), absent))
    assert shelf.make(KEY, spec, with_inputs=False) is None
    assert sorted(path.name for path in shelf.place(KEY).iterdir()) == [SCRIPT, SESSION]
    assert shelf.make(KEY, spec, with_inputs=True) == "b"
    assert (shelf.place(KEY) / SESSION / "d/a").read_text() == "text"
    shelf.remove([KEY])
    assert not shelf.place(KEY).exists()


def test_what_comes_home(shelf: Shelf, tmp_path: Path) -> None:
    packed(shelf.place(KEY) / OUTPUT, **{"./a": b"1", "./d/b": b"22", "./c": b"3"})
    home = tmp_path / "home"
    assert shelf.bring(KEY, FetchPlan(home, ("a", "d/")), {}, LIMIT) == Fetched(2, 3)
    assert sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()) == ["a", "d/b"]
    assert not (shelf.place(KEY) / ".unpacked").exists()


def test_an_output_that_is_missing(shelf: Shelf, tmp_path: Path) -> None:
    packed(shelf.place(KEY) / OUTPUT, a=b"1")
    answer = shelf.bring(KEY, FetchPlan(tmp_path / "home", ("/",), declared=("b",)), {}, LIMIT)
    assert answer == Refused("the payload left no b", for_good=True)


def test_a_job_that_left_nothing(shelf: Shelf, tmp_path: Path) -> None:
    assert shelf.bring(KEY, FetchPlan(tmp_path / "home", ("/",)), {}, LIMIT) == Fetched(0, 0)


def test_nothing_of_an_archive_leads_outside(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    packed(tmp_path / "out.tar", **{"../up": b"x", "/abs": b"x", "a/../../up": b"x", "good": b"1", ".": b""})
    with tarfile.open(tmp_path / "out.tar", "a") as archive:
        for name, kind in (("link", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE), ("pipe", tarfile.FIFOTYPE)):
            told = tarfile.TarInfo(name)
            told.type, told.linkname = kind, "/etc/passwd"
            archive.addfile(told)
    unpack(tmp_path / "out.tar", target, LIMIT)
    assert [path.name for path in target.iterdir()] == ["good"]
    assert not (tmp_path / "up").exists()


def test_an_archive_that_is_a_link_is_not_followed(shelf: Shelf, tmp_path: Path) -> None:
    packed(tmp_path / "other.tar", a=b"1")
    shelf.place(KEY).mkdir(parents=True)
    (shelf.place(KEY) / OUTPUT).symlink_to(tmp_path / "other.tar")
    with pytest.raises(Exception, match="symbolic links"):
        shelf.bring(KEY, FetchPlan(tmp_path / "home", ("/",)), {}, LIMIT)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("content", "why", "for_good"),
    [
        pytest.param(b"no archive" * 100, "damaged", False, id="damaged"),
        pytest.param(None, "more than 10000 bytes", True, id="too large"),
    ],
)
def test_archives_that_are_refused(
    shelf: Shelf, tmp_path: Path, content: bytes | None, why: str, for_good: bool
) -> None:
    if content is None:
        packed(shelf.place(KEY) / OUTPUT, a=b"1" * (LIMIT + 1))
    else:
        shelf.place(KEY).mkdir(parents=True)
        (shelf.place(KEY) / OUTPUT).write_bytes(content)
    answer = shelf.bring(KEY, FetchPlan(tmp_path / "home", ("/",)), {}, LIMIT)
    assert isinstance(answer, Refused)
    assert why in answer.why
    assert answer.for_good is for_good
    assert not (tmp_path / "home").exists()

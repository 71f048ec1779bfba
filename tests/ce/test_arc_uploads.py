"""Inputs to a session directory: whole or not at all, and whose trouble it is where they do not go."""

import os
from pathlib import Path
from typing import Any

import pytest

from act_core.ce import arc_transfer
from act_core.ce.base import Fetched, Refused, RemoteId
from act_core.errors import CredentialError, DiskError, Transient
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec
from tests.ce.arc_files import fetch
from tests.ce.arc_house import COMMIT, TRUE, House, submitted


async def test_an_upload_tells_its_length(house: House, tmp_path: Path) -> None:
    """Without a length A-REX takes a cut upload for a whole file."""
    (tmp_path / "large").write_bytes(os.urandom(3 << 20))
    (tmp_path / "empty").touch()
    files = tuple(InputFile(name=name, source=str(tmp_path / name)) for name in ("large", "empty"))
    ce = house.client()
    (job,) = await submitted(ce, JobSpec(executable="/bin/true", inputs=(*files, COMMIT)))
    assert await ce.put_inputs({job: files}) == {job: None}
    assert await fetch(ce, job, tmp_path / "home") == Fetched(2, 3 << 20)
    assert (tmp_path / "home" / "large").read_bytes() == (tmp_path / "large").read_bytes()


async def test_what_cannot_be_uploaded(house: House, tmp_path: Path) -> None:
    ce = house.client()
    os.mkfifo(tmp_path / "pipe")
    sources = {"absent": "No such file", "pipe": "is not a file", ".": "is not a file|Is a directory"}
    jobs = await submitted(ce, *[TRUE] * len(sources))
    asked = {job: [InputFile(name="a", source=str(tmp_path / name))] for job, name in zip(jobs, sources, strict=True)}
    answers = await ce.put_inputs(asked)
    for job, words in zip(jobs, sources.values(), strict=True):
        refusal = answers[job]
        assert isinstance(refusal, Refused)
        assert refusal.for_good
        assert any(word in refusal.why for word in words.split("|"))


def test_a_file_of_ours_that_cannot_be_read_is_no_trouble_with_the_ce() -> None:
    with (
        arc_transfer._Source("/proc/self/mem") as memory,
        pytest.raises(DiskError, match="/proc/self/mem: Input/output error"),
    ):
        memory.readinto(bytearray(10))


async def test_a_file_that_breaks_off_in_the_middle_of_its_upload(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large").write_bytes(bytes(3 << 20))

    class Torn(arc_transfer._Source):
        def readinto(self, into: Any) -> int | None:
            if self.tell() > 1 << 20:
                raise DiskError("large: Input/output error")
            return super().readinto(into)

    ce = house.client(options={"transfers": 1})
    large, after = (
        InputFile(name="large", source=str(tmp_path / "large")),
        InputFile(name="after", content="x\n"),
    )
    (job,) = await submitted(ce, JobSpec(executable="/bin/true", inputs=(large, after, COMMIT)))
    with monkeypatch.context() as patched:
        patched.setattr(arc_transfer, "_Source", Torn)
        with pytest.raises(DiskError, match="Input/output error"):
            await ce.put_inputs({job: [large]})
    held = ce._wire.sessions._session
    assert held is not None
    assert not held.idle, "the next request would be the rest of its body"
    assert await ce.put_inputs({job: [after]}) == {job: None}
    assert await ce.put_inputs({job: [large]}) == {job: None}
    assert await fetch(ce, job, tmp_path / "home") == Fetched(2, (3 << 20) + 2)
    assert (tmp_path / "home" / "after").read_text() == "x\n"


async def test_uploads_to_a_job_that_is_gone_and_to_a_ce_in_trouble(house: House) -> None:
    ce = house.client()
    (job,) = await submitted(ce, TRUE)
    unknown = RemoteId("0" * 12)
    file = InputFile(name=COMMIT_FILE, content="ok\n")
    answers = await ce.put_inputs({unknown: [file], job: [file]})
    assert answers == {unknown: Refused(f"{COMMIT_FILE}: the CE does not know the job", for_good=True), job: None}
    for kind in ("reset_before", "down", "accept_hangup"):
        await house.fault(kind, method="PUT")
        with pytest.raises(Transient):
            await ce.put_inputs({job: [file]})
        await house.mended()
    await house.fault("error", status=500, reason="Oops", method="PUT", times=1)
    assert await ce.put_inputs({job: [file]}) == {job: Refused(f"{COMMIT_FILE}: 500 Oops", for_good=False)}
    await house.fault("error", status=403, method="PUT")
    with pytest.raises(CredentialError):
        await ce.put_inputs({job: [file]})

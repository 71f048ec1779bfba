"""Jobs of a simulated CE that really run: what they get, what they leave, and that nothing of them outlives them."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from act_core.simulators import arc_process
from act_core.simulators.arc_adl import parse
from act_core.simulators.arc_payload import PANDA_JOB_FILE, PayloadJob
from act_core.simulators.arc_pilot import native_payload, running_payload
from act_core.simulators.arc_process import NOT_STARTED, OVER_TIME, real_payload
from tests.simulators.arc_client import Opener, adl


def shell(words: str, **more: Any) -> PayloadJob:
    told: dict[str, Any] = {"environment": {}, "inputs": {}, "outputs": {}, **more}
    return PayloadJob("job", "/bin/sh", ("-c", words), **told)


async def test_files_go_in_and_out() -> None:
    inputs = {"in.txt": b"one\n", "d/in.txt": "two\n"}
    job = shell("cat; cat d/in.txt > out.txt; echo no >&2", inputs=inputs, stdin="in.txt", stdout="log/out", stderr="e")
    ran = await real_payload(job)
    assert ran.exit_code == 0
    assert {name: ran.files[name] for name in ("out.txt", "log/out", "e")} == {
        "out.txt": b"two\n", "log/out": b"one\n", "e": b"no\n",
    }  # fmt: skip


async def test_one_file_takes_both_streams() -> None:
    ran = await real_payload(shell("echo a; echo b >&2; echo c", stdout="log", stderr="log"))
    assert ran.files["log"] == b"a\nb\nc\n"


async def test_a_program_that_came_as_an_input() -> None:
    job = PayloadJob("job", "run.sh", ("x",), {}, {"run.sh": b"#!/bin/sh\necho $1\n"}, {}, stdout="out")
    assert (await real_payload(job)).files["out"] == b"x\n"


async def test_a_program_that_is_not_there() -> None:
    job = PayloadJob("job", "/nonexistent/x", (), {}, {}, {}, stderr="err")
    ran = await real_payload(job)
    assert (ran.exit_code, ran.files["err"]) == (NOT_STARTED, b"/nonexistent/x: No such file or directory\n")


@pytest.mark.parametrize(("words", "code"), [("exit 3", 3), ("kill -KILL $$", 137)])
async def test_how_it_ended(words: str, code: int) -> None:
    assert (await real_payload(shell(words))).exit_code == code


async def test_its_environment_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACT_DB__PASSWORD", "secret")
    ran = await real_payload(shell("env; pwd", environment={"A": "b"}, stdout="out"))
    *told, place = ran.files["out"].decode().splitlines()
    said = dict(one.partition("=")[::2] for one in told)
    assert (said["A"], said["HOME"]) == ("b", place)
    assert set(said) <= {"A", "HOME", "LANG", "PATH", "TMPDIR", "PWD", "OLDPWD", "SHLVL", "_"}
    assert place not in here()


async def test_more_time_than_it_asked_for_is_not_given() -> None:
    assert (await real_payload(shell("sleep 600", walltime_s=0.001))).exit_code == OVER_TIME


async def test_nothing_of_it_outlives_it(tmp_path: Path, eventually: Callable[..., Awaitable[Any]]) -> None:
    ran = await real_payload(shell("sleep 600 & echo $!", stdout="out"))
    await eventually(lambda: gone(int(ran.files["out"])), "the end of its child")


async def test_it_is_killed_when_nobody_waits_for_it(tmp_path: Path, eventually: Callable[..., Awaitable[Any]]) -> None:
    task = asyncio.create_task(
        real_payload(shell(f"echo $$ > {tmp_path}/draft; mv {tmp_path}/draft {tmp_path}/pid; read x; sleep 600 & wait"))
    )

    async def begun() -> bool:
        return (tmp_path / "pid").exists()

    await eventually(begun, "its beginning")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: gone(int((tmp_path / "pid").read_text())), "its end")


async def gone(pid: int) -> bool:
    return ended(pid)


def here() -> set[str]:
    """Directories of jobs."""
    return {str(path) for path in Path(tempfile.gettempdir()).glob("act-session-*")}


def ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("where", [{"inputs": {"../x": b""}}, {"stdout": "a/../../x"}], ids=["an input", "stdout"])
async def test_names_that_lead_out_are_refused(where: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="leads out of the session directory"):
        await real_payload(shell("true", **where))


async def test_more_than_the_ce_can_keep_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arc_process, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="the job leaves 11 bytes, more than 10"):
        await real_payload(shell("echo 1234567890 > out"))


async def test_links_are_no_files_of_it() -> None:
    ran = await real_payload(shell("ln -s /etc/passwd link; echo x > out"))
    assert set(ran.files) == {"out"}


async def test_the_pilot_of_a_panda_job_is_played() -> None:
    ran = await running_payload(shell("echo real > out", inputs={PANDA_JOB_FILE: b"no job"}))
    assert "out" not in ran.files


async def test_a_true_pilot_really_runs_with_the_proxy_that_it_asked_for(tmp_path: Path) -> None:
    script = b'#!/bin/sh\ncat "$X509_USER_PROXY" "$X509_CERT_DIR/ca" > out; stat -c %a "$X509_USER_PROXY" >> out\n'
    await asyncio.to_thread((tmp_path / "ca").write_text, "authorities\n")
    inputs = {PANDA_JOB_FILE: b"PandaID=1", "wrapper.sh": script}
    words = ("--url", "https://panda.test.example", "-p", "25443")
    job = PayloadJob("job", "wrapper.sh", words, {}, inputs, {}, proxy=b"a proxy\n", ca_dir=str(tmp_path))
    ran = [await payload(job) for payload in (native_payload, running_payload)]
    assert [one.files["out"] for one in ran] == [b"a proxy\nauthorities\n600\n"] * 2
    assert all("user.proxy" not in one.files for one in ran)


def test_the_runtime_environment_for_the_proxy_is_understood() -> None:
    asked = "<Resources><RuntimeEnvironment><Name>ENV/PROXY</Name></RuntimeEnvironment></Resources>"
    text = adl("job").replace("</ActivityDescription>", f"{asked}</ActivityDescription>")
    assert (parse(text).proxy, parse(adl("job")).proxy) == (True, False)


def test_the_wall_time_is_understood() -> None:
    text = adl("job").replace(
        "</ActivityDescription>", "<Resources><WallTime>90</WallTime></Resources></ActivityDescription>"
    )
    assert (parse(text).walltime_s, parse(adl("job")).walltime_s) == (90, 0)


async def test_a_killed_job_is_killed(
    opened: Opener, tmp_path: Path, eventually: Callable[..., Awaitable[Any]]
) -> None:
    ce = await opened(payload=running_payload)
    words = f"echo $$ > {tmp_path}/draft; mv {tmp_path}/draft {tmp_path}/pid; exec sleep 600"
    job = await ce.one("long", "", "/bin/sh", "-c", words)

    async def begun() -> bool:
        return (tmp_path / "pid").exists()

    await eventually(begun, "its beginning")
    await ce.act("kill", job)
    await eventually(lambda: gone(int((tmp_path / "pid").read_text())), "its end")
    await ce.reach(job, "KILLED")


async def test_nobody_without_a_name_can_run_a_program(opened: Opener) -> None:
    """The control port asks nobody who he is."""
    ce = await opened(payload=running_payload)
    order = {"owner": "/CN=x", "description": adl("job", "", "/bin/sh", "-c", "exit 3")}
    assert await ce.control("POST", "/submit", order) == {"error": "jobs really run here: a name alone is taken"}
    assert (await ce.control("GET", "/jobs"))["jobs"] == []
    assert len((await ce.control("POST", "/submit", {"owner": "/CN=x", "name": "by hand"}))["ids"]) == 1
    played = await opened()
    assert len((await played.control("POST", "/submit", order))["ids"]) == 1

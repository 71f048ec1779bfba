"""An A-REX on the same host: how jobs are made in its control directory, whose it is, what it has."""

import fcntl
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.ce.arc_records import id_of
from act_core.ce.base import (
    Capacity,
    Refused,
    RemoteId,
    SubmissionKey,
)
from act_core.ce.registry import open_ce
from act_core.db.attempts import new_key
from act_core.errors import ConfigError, OutcomeUnknown, ProtocolError, Transient
from act_core.jobspec import COMMIT_FILE, JobSpec
from act_core.settings.load import BadSettings
from act_core.settings.model import Settings, Site
from tests.ce.arc_host import JOB, SPEC, TOWER, UID, Host


async def test_a_job_appears_whole(host: Host) -> None:
    key = new_key(TOWER)
    job = (await host.ce().submit({key: SPEC}))[key]
    assert job == id_of(key)
    assert host.status("accepting", job).read_text() == "ACCEPTED"
    assert f"<Name>{key}</Name>" in host.file(job, "description").read_text()
    assert COMMIT_FILE in host.file(job, "description").read_text()
    assert host.file(job, "input_status").read_text() == "\n"
    local = dict(line.split("=", 1) for line in host.file(job, "local").read_text().splitlines())
    assert (local["jobname"], local["queue"], local["interface"]) == (key, "fork", "org.nordugrid.internal")
    session = host.root / "session" / job
    assert local["sessiondir"] == str(session)
    assert not host.file(job, "proxy").exists()
    assert {path.stat().st_mode & 0o077 for path in (host.file(job, "local"), session)} == {0}
    assert host.told() == {job}
    assert not list((host.root / "state/internal/ce/arriving").iterdir())


async def test_the_same_key_again_is_the_same_job(host: Host) -> None:
    key = new_key(TOWER)
    first = await host.ce().submit({key: SPEC})
    host.status("accepting", str(first[key])).rename(host.status("processing", str(first[key])))
    assert await host.ce().submit({key: SPEC}) == first
    assert not host.status("accepting", str(first[key])).exists()


async def test_an_id_that_is_taken_is_refused_for_now(host: Host) -> None:
    key = new_key(TOWER)
    host.job(id_of(key), "somebody's", "INLRMS")
    answer = (await host.ce().submit({key: SPEC}))[key]
    assert isinstance(answer, Refused)
    assert not answer.for_good
    assert "somebody's" in host.file(id_of(key), "description").read_text()


async def test_the_deadline_holds_for_each_job(host: Host) -> None:
    keys = [new_key(TOWER) for _ in range(6)]
    ends, host.pace = host.now + timedelta(seconds=5), timedelta(seconds=1)
    answers = await host.ce().submit(dict.fromkeys(keys, SPEC), ends)
    made = [key for key in keys if not isinstance(answers[key], Refused)]
    assert 0 < len(made) < len(keys)
    for key in set(keys) - set(made):
        assert not host.files_of(id_of(key))
        assert not (host.root / "session" / id_of(key)).exists()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param(JobSpec(executable="/bin/true", queue="gone"), "there are: fork, long", id="no such queue"),
        pytest.param(JobSpec(executable="/bin/true", arguments=("a\x01",)), "XML", id="what XML cannot carry"),
    ],
)
async def test_what_can_never_be_sent(host: Host, spec: JobSpec, words: str) -> None:
    bad, good = new_key(TOWER), new_key(TOWER)
    answers = await host.ce().submit({bad: spec, good: SPEC})
    refusal = answers[bad]
    assert isinstance(refusal, Refused)
    assert refusal.for_good
    assert words in refusal.why
    assert answers[good] == id_of(good)


@pytest.mark.parametrize("line", ["[arex/ws/jobs]\nallownew=no\n", "[arex]\nsessiondir=/none drain\n"])
async def test_an_arex_that_takes_no_jobs(host: Host, line: str) -> None:
    text = host.conf.read_text().replace(f"sessiondir={host.root}/session\n", "") if "drain" in line else ""
    host.conf.write_text((text or host.conf.read_text()) + line)
    key = new_key(TOWER)
    answer = (await host.ce().submit({key: SPEC}))[key]
    assert isinstance(answer, Refused)
    assert not answer.for_good


async def test_an_arex_that_has_enough_jobs(host: Host) -> None:
    host.job(JOB, "of a REST user", "FINISHED")
    host.conf.write_text(host.conf.read_text().replace("[arex]", "[arex]\nmaxjobs=-1 -1 -1 3 4"))
    keys = [new_key(TOWER) for _ in range(3)]
    answers = await host.ce().submit(dict.fromkeys(keys, SPEC))
    assert [isinstance(answers[key], Refused) for key in keys] == [False, False, True]
    assert not host.files_of(id_of(keys[2]))


async def test_a_full_disk_refuses_and_leaves_nothing(host: Host) -> None:
    key = new_key(TOWER)
    (host.root / "session").rmdir()
    (host.root / "session").write_text("no directory")
    answer = (await host.ce().submit({key: SPEC}))[key]
    assert isinstance(answer, Refused)
    assert not answer.for_good
    assert not host.files_of(id_of(key))


async def test_what_a_killed_tower_began_is_taken_away(host: Host) -> None:
    ce = host.ce()
    key, taken = new_key(TOWER), new_key(TOWER)
    jobs = {id_of(one): host.root / "session" / id_of(one) for one in (key, taken)}
    host.job(id_of(taken), taken, "PREPARING")
    host.job(id_of(key), key, "ACCEPTED")
    host.status("processing", id_of(key)).unlink()
    host.file(id_of(key), "errors").unlink()
    intents = host.root / "state/internal/ce/arriving"
    intents.mkdir(parents=True)
    (intents / "1-a.json").write_text(json.dumps({job: str(place) for job, place in jobs.items()}))
    (intents / "2-b.json").write_text("{")
    with (intents / "1-a.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert set((await ce.list_mine(TOWER, set())).mine.values()) == {taken}
        assert host.files_of(id_of(key))  # its maker lives
    await ce.list_mine(TOWER, set())
    assert not host.files_of(id_of(key))
    assert not jobs[id_of(key)].exists()
    assert host.files_of(id_of(taken))
    assert jobs[id_of(taken)].exists()
    assert not list(intents.iterdir())


@pytest.mark.parametrize(
    ("uid", "words"),
    [pytest.param(0, "not as root", id="root"), pytest.param(UID + 1, "account of A-REX", id="another account")],
)
async def test_the_wrong_account_is_refused(host: Host, uid: int, words: str) -> None:
    ce = host.ce(uid=uid)
    with pytest.raises(ConfigError, match=words) as told:
        ce.check()
    assert str(told.value).startswith("conf.yaml:options.arc_config: sites.ce: ")
    with pytest.raises(ConfigError, match=words):
        await ce.states([])


def test_an_arc_conf_that_is_not_there(host: Host) -> None:
    host.conf.unlink()
    with pytest.raises(ConfigError, match=r"names the arc\.conf of the A-REX"):
        host.ce()


def test_an_arc_conf_that_cannot_be_followed(host: Host) -> None:
    host.conf.write_text("[arex]\nsessiondir=*\n")
    with pytest.raises(ConfigError, match=r"sites\.ce: .*sessiondir=\*"):
        host.ce()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        pytest.param({"arc_config": "/nonexistent/arc.conf"}, ConfigError, "names the arc.conf", id="no arc.conf"),
        pytest.param({"slots": 1}, BadSettings, "slots", id="an option that it does not have"),
    ],
)
def test_it_is_opened_by_its_kind(tmp_path: Path, options: dict[str, object], error: type, words: str) -> None:
    site = Site(kind="arc-internal", options=options)
    with pytest.raises(error, match=words):
        open_ce(Settings(state_dir=tmp_path), "ce", lambda: datetime.now(UTC), site)


async def test_a_disk_that_hangs(host: Host) -> None:
    ce = host.ce(deadline=timedelta(0))
    key = new_key(TOWER)
    with pytest.raises(Transient, match="no answer in time"):
        await ce.states([RemoteId(JOB)])
    with pytest.raises(OutcomeUnknown, match="not done in time"):  # our thread may be about to make it
        await ce.submit({key: SPEC})


async def test_an_arex_that_does_not_run(host: Host) -> None:
    host.end()
    ce = host.ce()
    ce.check()  # it may run later
    key = SubmissionKey(new_key(TOWER))
    with pytest.raises(Transient, match="no A-REX runs"):
        await ce.submit({key: SPEC})
    with pytest.raises(Transient, match="no A-REX runs"):
        await ce.states([RemoteId(JOB)])
    assert not host.files_of(id_of(key))
    assert ce.answers == 0
    host.run()
    assert await ce.submit({key: SPEC}) == {key: id_of(key)}


async def test_an_arex_that_never_ran(host: Host) -> None:
    host.conf.write_text(host.conf.read_text().replace("control", "elsewhere"))
    with pytest.raises(Transient, match="no A-REX has run yet"):
        await host.ce().list_mine(TOWER, set())


async def test_a_layout_of_another_release(host: Host) -> None:
    (host.path / "version3").touch()
    with pytest.raises(ProtocolError, match="version3"):
        await host.ce().list_mine(TOWER, set())


async def test_a_pipe_that_is_a_file(host: Host) -> None:
    host.end()
    (host.path / "gm.fifo").unlink()
    (host.path / "gm.fifo").touch()
    with pytest.raises(Transient, match="no A-REX runs"):
        await host.ce().states([])


INFO = """<InfoRoot><Domains xmlns="http://schemas.ogf.org/glue/2009/03/spec_2.0_r1"><AdminDomain BaseType="Domain">
<Services><ComputingService BaseType="Service"><RunningJobs>3</RunningJobs><WaitingJobs>4</WaitingJobs>
<ComputingShare BaseType="Share"><MappingQueue>fork</MappingQueue><FreeSlots>2</FreeSlots></ComputingShare>
<ComputingManager BaseType="Manager"><ProductName>fork</ProductName><ProductVersion>0.9</ProductVersion>
<TotalSlots>8</TotalSlots></ComputingManager></ComputingService></Services></AdminDomain></Domains></InfoRoot>"""


async def test_capacity(host: Host) -> None:
    assert await host.ce().capacity() == Capacity()
    (host.path / "info.xml").write_text(INFO)
    said = Capacity(total_slots=8, free_slots=2, running=3, queued=4, version="fork 0.9", queues=("fork",))
    assert await host.ce().capacity() == said
    long_ago = host.now.timestamp() - 7200
    os.utime(host.path / "info.xml", (long_ago, long_ago))
    assert await host.ce().capacity() == Capacity()

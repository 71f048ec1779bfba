"""The control directory itself: what is rewritten while A-REX lets go of a job, and a pipe that is full."""

from tests.ce.arc_host import JOB, NAME, Host


def test_a_file_is_rewritten_for_its_owner_alone(host: Host) -> None:
    job, control = host.job(JOB, NAME, "INLRMS", {"proxy": "old"}), host.control()
    assert control.rewrite(job, "proxy", b"new")
    assert control.read(job, "proxy") == "new"
    assert host.file(job, "proxy").stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_for_a_job_that_went_meanwhile(host: Host) -> None:
    job, control = host.job(JOB, NAME, "INLRMS", {"proxy": "old"}), host.control()
    for path in host.file(job, "local").parent.glob("*local"):
        path.unlink()
    assert not control.rewrite(job, "proxy", b"new")
    assert not host.file(job, "proxy").exists()


def test_a_full_pipe_is_not_waited_for(host: Host) -> None:
    jobs = [host.job(f"{number:012x}", NAME, "INLRMS") for number in range(2)]
    control = host.control()
    control.tell(jobs * 10_000)
    told = host.told()
    assert set(jobs) <= told
    control.tell(jobs)  # and again once there is room


def test_what_begins_a_job_and_is_killed_leaves_its_drafts_too(host: Host) -> None:
    job, control = host.job(JOB, NAME, "ACCEPTED"), host.control()
    for file in (host.status("processing", job), host.file(job, "errors")):
        file.unlink()
    draft = host.file(job, "proxy").with_name(f".act.{job}.proxy")
    draft.write_text("half a proxy")
    control.unmake(job, host.root / "session" / job, ("proxy", "local", "description"))
    assert not host.files_of(job)
    assert not draft.exists()

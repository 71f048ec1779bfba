"""One job's page: its whole story, and nothing that is nobody's business."""

import json
import os
from pathlib import Path

import pytest
from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from act_core.db.models import CeJob, CeJobArchive
from act_core.db.panda_models import PandaRow
from act_core.db.session import Database
from act_core.engine.results import result_dir
from act_core.monitor.views import logs
from act_core.monitor.views.files import home_files
from act_core.monitor.views.job import JobStory, job
from act_core.monitor.views.json import as_json
from act_core.monitor.views.logs import read_log
from act_core.monitor.views.panda import shown
from act_core.settings.app_model import AppSettings, JobLog
from act_core.settings.model import Settings, Site
from tests.monitor.views.conftest import HOUR, NOW, attempt

ID = "6000000001.1"
PARTS: tuple[logs.Part, ...] = ("head", "tail", "whole")
SECRET = {"secrets": "TOP", "pilotSecrets": {"a": "TOP"}, "jobPars": "--token TOP", "unheardOf": "TOP"}


def told(db: Database, settings: Settings, one: str = ID) -> JobStory:
    found = db.read(job, settings, one, NOW)
    assert found is not None
    return found


def lay(settings: Settings, attempt: int = 1) -> Path:
    """The directory of what came home, with a file in it."""
    directory = result_dir(settings, "atlas", ID, attempt, NOW - 2 * HOUR)
    (directory / "gmlog").mkdir(parents=True)
    (directory / "stdout.txt").write_text("hello")
    (directory / "gmlog" / "errors").write_text("LRMS error")
    return directory


def again(session: Session) -> None:
    """Attempt 1 moved to the archive, attempt 2 runs."""
    first = attempt(30, app_job_id="6000000030.1", state="donefailed", superseded_by="x", error="first")
    session.execute(insert(CeJobArchive), [first])
    second = first | {"id": 31, "attempt": 2, "submission_key": "act-tower001-second", "state": "running"}
    session.execute(insert(CeJob), [second | {"superseded_by": None, "error": None}])


def test_a_story_has_all_attempts(tower: Database, db_settings: Settings) -> None:
    tower.write(again)
    story = told(tower, db_settings, "6000000030.1")
    assert [(one.line.attempt, one.line.archived, one.line.state) for one in story.attempts] == [
        (1, True, "donefailed"),
        (2, False, "running"),
    ]
    assert story.newest == story.attempts[1].line
    assert story.explained.subject == "job 6000000030.1 (atlas), attempt 2: running at ce1"
    assert (story.name, story.app) == ("a job", "atlas")
    assert told(tower, db_settings, "act-tower001-" + f"{30:026d}") == story, "by the key of an older attempt"


def test_events_and_the_panda_side(tower: Database, db_settings: Settings) -> None:
    story = told(tower, db_settings, "6000000001")
    (only,) = story.attempts
    assert [(event.to_state, event.reason, event.actor, event.ce) for event in only.events] == [
        ("running", "CE: R", "poll", "ce1")
    ]
    assert story.panda is not None
    assert (story.panda.panda_id, story.panda.state, story.panda.archived) == (6_000_000_001, "running", False)


def test_a_panda_job_without_an_attempt(tower: Database, db_settings: Settings) -> None:
    story = told(tower, db_settings, "6000000009")
    assert (story.newest, story.attempts) == (None, ())
    assert story.panda is not None
    assert story.explained.why


def test_nobody_knows_it(tower: Database, db_settings: Settings) -> None:
    assert tower.read(job, db_settings, "no such job", NOW) is None
    assert tower.read(job, db_settings, ID, NOW, "manual") is None


def test_contents_and_secrets_stay_here(tower: Database, db_settings: Settings) -> None:
    words = json.dumps({"PandaID": 6_000_000_001, "taskID": 7} | SECRET)
    tower.write(lambda s: s.execute(update(PandaRow).values(job=words, secrets=b"SEALED")) and None)
    page = json.dumps(as_json(told(tower, db_settings)))
    for secret in ("TOP", "SEALED", "CONTENT-OF-A-FILE", "hunter2-of-old"):
        assert secret not in page
    assert '"taskID": 7' in page
    assert '"name": "pilotjob"' in page, "that there is such an input is told"


@pytest.mark.parametrize("raw", ["", "[]", "{", "[" * 100_000, "null", '{"PandaID": {"a": 1}}'])
def test_a_panda_job_that_is_none(raw: str) -> None:
    assert set(shown(raw)) <= {"PandaID"}


def test_hostile_texts_stay_texts(tower: Database, db_settings: Settings) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m {subject} %s"
    changed = update(CeJob).where(CeJob.id == 1).values(error=hostile, native_state="{0}")
    tower.write(lambda session: session.execute(changed) and None)
    story = told(tower, db_settings)
    assert story.newest is not None
    assert (story.newest.error, story.newest.native_state) == (hostile, "{0}")


@pytest.mark.parametrize(
    ("label", "analysis", "private"),
    [
        ("managed", "private", False),
        ("user", "private", True),
        ("panda", "off", True),
        ("user", "public", False),
        ("", "private", True),
    ],
)
def test_logs_of_users_are_private(
    tower: Database, db_settings: Settings, label: str, analysis: str, private: bool
) -> None:
    tower.write(lambda s: s.execute(update(PandaRow).values(label=label)) and None)
    app = AppSettings(joblog=JobLog.model_validate({"analysis": analysis}))
    assert told(tower, db_settings.model_copy(update={"app": app})).private_logs is private


def test_a_job_without_panda_has_no_privacy(tower: Database, db_settings: Settings) -> None:
    mine = attempt(40, app="manual", app_job_id="mine")
    tower.write(lambda s: s.execute(insert(CeJob), [mine]) and None)
    story = told(tower, db_settings, "mine")
    assert (story.private_logs, story.panda) == (False, None)
    assert told(tower, db_settings, "6000000002.1").private_logs, "a PanDA job whose row nobody has counts as a user's"


def test_what_came_home_is_listed_and_read(tower: Database, db_settings: Settings) -> None:
    directory = lay(db_settings)
    story = told(tower, db_settings)
    files = {file.name: (file.size, file.kind) for file in story.attempts[0].files}
    assert files == {"gmlog/errors": (10, "log"), "stdout.txt": (5, "out")}
    read = read_log(story, "stdout.txt")
    assert read is not None
    assert (read.text, read.size, read.cut, read.attempt) == ("hello", 5, False, 1)
    assert read_log(story, "stdout.txt", attempt=2) is None
    assert story.attempts[0].directory == str(directory)


@pytest.mark.parametrize(
    "name",
    ["../secret", "/etc/passwd", "gmlog/../../secret", "", ".", "gmlog", "no\x00name", "link", "there/x", "pipe"],
)
def test_nothing_outside_is_read(tower: Database, db_settings: Settings, name: str) -> None:
    directory = lay(db_settings)
    (directory.parent / "secret").write_text("SECRET")
    (directory / "link").symlink_to("../secret")
    (directory / "there").symlink_to("/etc")
    os.mkfifo(directory / "pipe")
    story = told(tower, db_settings)
    assert {file.name for one in story.attempts for file in one.files} == {"gmlog/errors", "stdout.txt"}
    assert read_log(story, name) is None


def test_a_file_that_became_a_link_is_not_followed(tower: Database, db_settings: Settings) -> None:
    directory = lay(db_settings)
    story = told(tower, db_settings)
    for name, outside in (("stdout.txt", "../secret"), ("gmlog", "..")):
        (directory.parent / "secret").write_text("SECRET")
        (directory.parent / "errors").write_text("SECRET")
        (directory / name).rename(directory.parent / f"{name}.moved")
        (directory / name).symlink_to(outside)
    assert read_log(story, "stdout.txt") is None
    assert read_log(story, "gmlog/errors") is None


def test_large_and_odd_files(tower: Database, db_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MOST", 10)  # a real one is a quarter of a megabyte
    (lay(db_settings) / "odd.log").write_bytes(b"\xff\x1b[31mabcdefghij\tklm\n")
    story = told(tower, db_settings)
    head, tail, whole = (read_log(story, "odd.log", part) for part in PARTS)
    assert head is not None
    assert tail is not None
    assert whole is not None
    assert (head.text, tail.text) == ("\ufffd\ufffd[31mabcd", "fghij\tklm\n")
    assert whole.text == "\ufffd\ufffd[31\n\n[… 11 bytes are left out here …]\n\n\tklm\n"
    assert (tail.size, tail.cut, whole.cut) == (21, True, True)


def test_a_directory_of_many_files_is_bounded(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / f"f{n}").touch()
    files, more = home_files(tmp_path, 3)
    assert ([file.name for file in files], more) == (["f0", "f1", "f2"], True)
    assert home_files(tmp_path / "nowhere") == ((), False)


def test_an_arc_ce_gets_adl(tower: Database, db_settings: Settings) -> None:
    arc = db_settings.arc.model_copy(update={"sites": {"ce1": Site(kind="arc-rest", endpoint="https://ce1")}})
    story = told(tower, db_settings.model_copy(update={"arc": arc}))
    assert story.sent_form == "ADL"
    assert story.sent_text is not None
    assert "<Path>run.sh</Path>" in story.sent_text
    assert "CONTENT-OF-A-FILE" not in story.sent_text
    assert "hunter2" not in story.sent_text
    assert told(tower, db_settings).sent_form == "xRSL"

"""What stands on the pages, and what never does."""

import json
import re
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from act_core.db.models import CeJob
from act_core.db.session import Database
from act_core.settings import ArcSettings, Settings
from act_core.settings.web import Web
from act_core.web.words import coded, cut, span
from tests.web.conftest import PASSWORDS, TOKEN, Person, deed, found_word, sign_in, web
from tests.web.filled import ANALYSIS, CES, HOSTILE, QUEUES, SECRET, SERVER
from tests.web.served import served
from tests.web.test_people import PLACES

PART = {"HX-Request": "true"}
JOB = f"/jobs/atlas/{ANALYSIS}"
FILE = f"/files/atlas/{ANALYSIS}?attempt=1&name=stdout"


@pytest.mark.parametrize("place", [*PLACES, "/jobs?state=donefailed", f"/search?q={HOSTILE}", f"/jobs?error={HOSTILE}"])
def test_foreign_text_stays_text_and_no_page_has_scripts_of_its_own(person: Person, place: str) -> None:
    text = person("anna").get(place, follow_redirects=True).text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert re.findall(r"<script(?! src=)[^>]*>|\son\w+=\"|style=\"|<style", text) == []
    assert re.findall(r"(?:src|href|action)=\"(?!/|#)[^\"]*", text) == []


def test_the_overview_shows_what_there_is(person: Person) -> None:
    text = person("vera").get("/").text
    for words in (*CES, *QUEUES, "node-lost", "Robot: ACT", "hpc-west rests", "Slots in use", "&lt;script&gt;alert"):
        assert words in text
    (chart,) = re.findall(r"id=\"slots-data\" data-chart='([^']*)'", text)
    assert {one["name"] for one in json.loads(chart)["series"]} == set(CES)


def test_a_job_tells_its_whole_story(person: Person) -> None:
    text = person("otto").get(JOB).text
    for words in ("schedd#77.0", "wn17.example.org", "1 h 10 min wall", "PanDA job 7000000001", "finishing", "stdout"):
        assert words in text
    assert 'href="/runs/1"' in text


def test_what_a_job_can_take_is_offered(person: Person) -> None:
    over = person("otto").get(JOB).text
    assert re.findall(r'name="request" value="(\w+)"', over) == ["fetch", "resubmit", "clean"]
    waits = person("otto").get("/jobs?state=tosubmit").text
    place = re.findall(r'href="(/jobs/atlas/[^"]+)"', waits)[0]
    assert re.findall(r'name="request" value="(\w+)"', person("otto").get(place).text) == ["cancel", "clean"]
    assert 'name="request"' not in person("vera").get(place).text


@pytest.mark.parametrize("place", ["", "/api"])
def test_secret_fields_are_never_shown(person: Person, place: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"} if place else {}
    answer = person(None if place else "anna").get(f"{place}{JOB}", headers=headers)
    assert "7000000001" in answer.text
    assert SECRET not in answer.text


def test_what_a_users_job_printed_is_for_operators(person: Person) -> None:
    refused = person("vera").get(FILE)
    assert refused.status_code == 403
    assert "the role operator is needed" in refused.text
    assert FILE.replace("&", "&amp;") not in person("vera").get(JOB).text
    read = person("otto").get(FILE)
    assert "what the user printed &lt;script&gt;" in read.text
    assert "2.3 kB" in read.text


@pytest.mark.parametrize("name", ["../../../web/key", "/etc/passwd", "nothing", "stdout/../../x"])
def test_only_listed_files_are_read(person: Person, name: str) -> None:
    assert person("anna").get(f"/files/atlas/{ANALYSIS}", params={"attempt": 1, "name": name}).status_code == 404


@pytest.mark.parametrize("place", ["/ces", "/jobs", "/decisions"])
def test_a_part_that_did_not_change_is_not_sent_again(person: Person, place: str) -> None:
    client = person("vera")
    first = client.get(place, headers=PART)
    assert first.status_code == 200
    assert "<html" not in first.text
    again = client.get(place, headers=PART | {"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(place, headers=PART | {"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("/nowhere", 404),
        ("/ces/nobody", 404),
        ("/queues/nobody", 404),
        ("/jobs/atlas/nobody", 404),
        ("/runs/77", 404),
        ("/jobs?state=nonsense", 400),
        ("/jobs?at_least=5y", 400),
        ("/jobs?cursor=x", 400),
        ("/runs/x", 400),
    ],
)
def test_errors_are_pages_and_json(person: Person, place: str, code: int) -> None:
    answer = person("vera").get(place)
    assert answer.status_code == code
    assert f'<p class="code">{code}</p>' in answer.text
    program = person(None).get(f"/api{place}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert program.status_code in (code, 404)
    assert program.json()["error"]


def test_without_a_database_the_page_says_so_and_goes_on_asking(settings: Settings, tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "web").mkdir(parents=True, mode=0o700)
    alone = settings.model_copy(update={"state_dir": state})
    with served(alone) as client:
        assert sign_in(client, "vera", PASSWORDS["vera"]).status_code == 303
        away = client.get("/ces")
        assert (away.status_code, away.headers["retry-after"]) == (503, "5")
        assert "data-living" in away.text
        assert client.get("/ces", headers=PART).status_code == 503
        shutil.copy(settings.sqlite_file, alone.sqlite_file)
        back = client.get("/ces", headers=PART)
        assert back.status_code == 200
        assert "hpc-west" in back.text


def test_a_forgotten_run_is_told_politely(person: Person) -> None:
    text = person("vera").get("/runs/1").text
    assert "No tower is up in this state directory" in text
    assert "of submit" in text
    assert "tosubmit" in text


def test_one_hit_is_gone_to(person: Person) -> None:
    client = person("vera")
    assert client.get("/search?q=7000000001.0").headers["location"] == JOB
    assert client.get("/search?q=condor-east").headers["location"] == "/ces/condor-east"
    assert "Nothing here has this id" in client.get("/search?q=no-such-thing").text


def test_all_that_match_are_shown_before_anything_is_done(person: Person, settings: Settings) -> None:
    client = person("otto")
    shown = deed(client, "/do/jobs/all?state=submitted&ce=condor-east", request="cancel")
    n = int(re.search(r"Cancel (\d+) jobs\?", shown.text)[1])  # type: ignore[index]
    number = re.search(r'name="number" value="([^"]+)"', shown.text)[1]  # type: ignore[index]
    assert n > 1
    stolen = deed(person("anna"), "/do/jobs/yes", number=number)
    assert "too old" in client.get(stolen.headers["location"]).text
    done = deed(person("otto"), "/do/jobs/yes", number=number, then="/jobs?state=submitted")
    assert done.headers["location"] == "/jobs?state=submitted"
    assert f"cancel: {n} of {n} jobs" in client.get("/jobs").text
    assert f"cancel: {n}" not in client.get("/jobs").text
    db = Database(settings)
    wished = db.read(lambda s: s.scalars(select(CeJob.ce).where(CeJob.request == "cancel")).all())
    db.close()
    assert wished.count("condor-east") == n
    assert "too old" in client.get(deed(client, "/do/jobs/yes", number=number).headers["location"]).text


def test_a_mode_is_set_with_its_reason_and_end(person: Person) -> None:
    fields = {"mode": "rest", "until": "4h", "reason": "new <b>switch</b>", "then": "/ces/arc-south.example.org"}
    done = deed(person("otto"), "/do/ce", name="arc-south.example.org", **fields)
    assert done.headers["location"] == "/ces/arc-south.example.org"
    text = person("otto").get("/ces/arc-south.example.org").text
    assert "new &lt;b&gt;switch&lt;/b&gt;" in text
    assert "ces.rest" in person("otto").get("/audit").text


def test_a_queue_is_held(person: Person) -> None:
    done = deed(person("otto"), "/do/queue", name="NORTH_MCORE", server=SERVER, mode="rest", reason="quiet")
    assert done.status_code == 303
    assert "quiet" in person("vera").get("/queues/NORTH_MCORE").text


def test_behind_a_proxy_all_links_are_below_its_path(settings: Settings) -> None:
    placed = web(rootpath="/act", hosts=("grid.example.org",), secure=True)
    held = settings.model_copy(update={"arc": settings.arc.model_copy(update={"web": placed})})
    said = {"Host": "grid.example.org", "Origin": "https://grid.example.org"}
    with served(held) as client:
        form = client.get("/act/login", headers=said)
        before = form.headers["set-cookie"].partition(";")[0]
        fields = {"name": "vera", "password": PASSWORDS["vera"], "word": found_word(form.text), "then": "/act/ces"}
        answer = client.post("/act/login", data=fields, headers=said | {"Cookie": before})
        assert answer.headers["location"] == "/act/ces"
        session = answer.headers.get_list("set-cookie")[0]
        assert {"Secure", "Path=/act", "HttpOnly"} <= {one.strip() for one in session.split(";")}
        page = client.get("/act/ces", headers=said | {"Cookie": session.partition(";")[0]})
        assert page.headers["strict-transport-security"]
        assert re.findall(r"(?:src|href|action|hx-get)=\"(?!/act/|#)[^\"]*", page.text) == []
        assert client.get("/act/static/page.css", headers=said).status_code == 200


@pytest.mark.parametrize(
    ("text", "shown"), [("a\x1b[31mb", "a�[31mb"), ("\u202eevil", "�evil"), ("x" * 9, "xxxxx…"), ("ok", "ok")]
)
def test_foreign_text_is_cut_and_steers_nothing(text: str, shown: str) -> None:
    assert cut(text, 6 if text.startswith("x") else 400) == shown


def test_commands_in_sentences_are_marked() -> None:
    assert coded("see `act up` <b>") == "see <code>act up</code> &lt;b&gt;"
    assert [span(s) for s in (5, 65, 3700, 90_000)] == ["5 s", "1 min", "1 h 1 min", "1 d 1 h"]


def test_an_empty_tower_has_words_for_it(fresh: Settings, settings: Settings, tmp_path: Path) -> None:
    from act_core.db.bootstrap import bootstrap

    alone = fresh.model_copy(update={"arc": ArcSettings(web=Web(anonymous="viewer"))})
    db = Database(alone)
    bootstrap(db, db.clock())
    db.close()
    with served(alone) as client:
        for place in ("/", "/ces", "/queues", "/jobs", "/decisions", "/audit", "/credentials"):
            answer = client.get(place)
            assert answer.status_code == 200
            assert 'class="empty"' in answer.text

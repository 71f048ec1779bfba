"""Who gets in, what each role may, and how a session ends."""

import stat
from pathlib import Path

import httpx
import pytest

from act_core.db import audit
from act_core.db.session import Database
from act_core.errors import ConfigError
from act_core.settings import ArcSettings, Settings, load_settings
from act_core.settings.web import Web
from act_core.web import passwords, people
from act_core.web.guessing import OF_ONE, WITHIN_S, Guessing
from act_core.web.people import People, Role
from act_core.web.serving import check
from act_core.web.signing_in import below
from tests.web.conftest import PASSWORDS, TOKEN, Person, deed, found_word, origin, sign_in, web
from tests.web.filled import ANALYSIS
from tests.web.served import served

PLACES: tuple[str, ...] = ("/", "/ces", "/ces/hpc-west", "/queues", "/queues/EAST_ANALY", "/jobs")
PLACES += (f"/jobs/atlas/{ANALYSIS}", "/decisions", "/audit", "/credentials", "/search?q=nobody-has-this", "/runs/1")


@pytest.mark.parametrize("place", PLACES)
def test_a_page_is_for_who_signed_in(person: Person, place: str) -> None:
    away = person(None).get(place)
    assert away.status_code == 303
    assert away.headers["location"].startswith("/login?then=%2F")
    assert person("vera").get(place).status_code == 200


@pytest.mark.parametrize("place", ["/api/overview", "/api/ces", "/api/jobs", "/api/me", "/api/search?q=x"])
def test_a_program_shows_its_token(person: Person, place: str) -> None:
    client = person(None)
    assert client.get(place).status_code == 401
    assert client.get(place, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get(place, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


MODE = {"name": "condor-east", "until": ""}
TABLE = [
    ("/do/ce", MODE | {"mode": "rest"}, Role.OPERATOR),
    ("/do/ce", MODE | {"mode": "on"}, Role.OPERATOR),
    ("/do/ce", MODE | {"mode": "offline"}, Role.ADMIN),
    ("/do/share", {"name": "EAST_ANALY", "mode": "rest"}, Role.OPERATOR),
    ("/do/tower", {"mode": "drain"}, Role.ADMIN),
    ("/do/tower", {"mode": "on"}, Role.ADMIN),
    ("/do/brake", {"brake": "1"}, Role.ADMIN),
    ("/do/jobs", {"request": "cancel", "job": "atlas:6000000001.0"}, Role.OPERATOR),
    ("/do/jobs/all?state=donefailed", {"request": "resubmit"}, Role.OPERATOR),
]


@pytest.mark.parametrize(("place", "fields", "role"), TABLE, ids=[f"{t[0]} {t[1].get('mode', '')}" for t in TABLE])
@pytest.mark.parametrize("name", PASSWORDS)
def test_a_role_may_what_the_table_says(
    person: Person, settings: Settings, name: str, place: str, fields: dict[str, str], role: Role
) -> None:
    answer = deed(person(name), place, **fields)
    may = {"vera": Role.VIEWER, "otto": Role.OPERATOR, "anna": Role.ADMIN}[name] >= role
    assert answer.status_code in ((200, 303) if may else (403,))
    if not may:
        assert f"the role {role.word} is needed" in answer.text
    db = Database(settings)
    (line,) = db.read(audit.lines, 1, who=name)
    db.close()
    assert line.done or "shown" not in line.subject
    assert line.role == {"vera": "viewer", "otto": "operator", "anna": "admin"}[name]
    if not may:
        assert (line.done, line.facts) == (False, {"why": f"the role {role.word} is needed"})


def test_wrong_passwords_get_nowhere_and_soon_have_to_wait(settings: Settings) -> None:
    with served(settings) as client:
        for name in ("anna", "nobody"):
            assert sign_in(client, name, "wrong").status_code == 401
        for _ in range(OF_ONE - 1):
            sign_in(client, "anna", "wrong")
        late = sign_in(client, "anna", PASSWORDS["anna"])
        assert (late.status_code, int(late.headers["retry-after"]) > 0) == (429, True)
        assert sign_in(client, "otto", PASSWORDS["otto"]).status_code == 303


def test_who_guesses_locks_nobody_out_of_a_browser_that_is_known(settings: Settings) -> None:
    with served(settings) as client:
        sign_in(client, "anna", PASSWORDS["anna"])
        known = {name: value for name, value in client.cookies.items() if name.endswith("_known")}
        client.cookies.clear()
        for _ in range(OF_ONE):
            sign_in(client, "anna", "wrong")
        assert sign_in(client, "anna", PASSWORDS["anna"]).status_code == 429
        client.cookies.clear()
        client.cookies.update(known)
        assert sign_in(client, "anna", PASSWORDS["anna"]).status_code == 303
        client.cookies.clear()
        client.cookies.update(known)
        for _ in range(OF_ONE):
            assert sign_in(client, "anna", "wrong").status_code == 401
        assert sign_in(client, "anna", PASSWORDS["anna"]).status_code == 429, "nobody guesses from there either"
        assert sign_in(client, "vera", PASSWORDS["vera"]).status_code == 303


def test_failures_are_forgotten_after_a_while() -> None:
    now = 0.0
    guessing = Guessing(lambda: now)
    for _ in range(OF_ONE):
        guessing.failed("a", "1.2.3.4")
    assert guessing.wait_s("a", "1.2.3.4") > 0
    assert guessing.wait_s("a", "5.6.7.8") == guessing.wait_s("b", "1.2.3.4") == 0
    now += WITHIN_S + 1
    assert guessing.wait_s("a", "1.2.3.4") == 0


def test_who_signed_out_does_not_come_back_with_a_copied_cookie(settings: Settings) -> None:
    with served(settings) as client:
        sign_in(client, "vera", PASSWORDS["vera"])
        copied = dict(client.cookies)
        word = found_word(client.get("/").text)
        assert client.post("/logout", data={"word": word}, headers=origin(client)).status_code == 303
        client.cookies.update(copied)
        assert client.get("/").status_code == 303


def test_cookies_are_for_this_page_alone(app_client: httpx.Client, person: Person) -> None:
    client = person(None)
    said = sign_in(client, "vera", PASSWORDS["vera"]).headers["set-cookie"].lower()
    assert "httponly" in said
    assert "samesite=strict" in said
    (name,) = [name for name in client.cookies if not name.endswith(("_in", "_known"))]
    cookie = client.cookies[name]
    client.cookies.clear()
    client.cookies.set(name, cookie[:-3] + "xxx")
    assert client.get("/").status_code == 303


@pytest.mark.parametrize("change", ["role", "password", "gone"])
def test_a_changed_configuration_ends_sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    monkeypatch.setattr(passwords, "COST", 14)
    monkeypatch.setattr(people, "LOOK_S", 0)
    monkeypatch.setenv("ACT_STATE_DIR", str(tmp_path / "state"))
    file = tmp_path / "arc.yaml"
    kept = passwords.hashed("a-good-password")

    def write(name: str, role: str, password: str) -> None:
        file.write_text(f"web:\n  users:\n    {name}: {{role: {role}, password: {password}}}\n", encoding="utf-8")

    write("vera", "viewer", kept)
    known = People(load_settings(file).settings)
    who = known.check("vera", "a-good-password")
    assert who is not None
    assert known.again("vera", who.digest) == who
    changed = {
        "role": ("vera", "operator", kept),
        "password": ("vera", "viewer", passwords.hashed("another-password")),
        "gone": ("verena", "viewer", kept),
    }
    write(*changed[change])
    assert known.again("vera", who.digest) is None
    file.write_text("web: {users: 7}\n", encoding="utf-8")
    assert known.again("vera", who.digest) is None


def test_the_first_password_is_made_for_us_alone(fresh: Settings) -> None:
    known = People(fresh)
    word = fresh.page_password.read_text().strip()
    assert stat.S_IMODE(fresh.page_password.stat().st_mode) == 0o600
    who = known.check("admin", word)
    assert who is not None
    assert who.role is Role.ADMIN
    assert known.check("admin", f"{word}x") is None
    fresh.page_password.chmod(0o644)
    with pytest.raises(Exception, match="can be read by others"):
        People(fresh)


def test_others_reach_the_page_only_where_there_are_users(fresh: Settings) -> None:
    check(fresh, "127.0.0.1")
    with pytest.raises(ConfigError, match=r"no web\.users"):
        check(fresh, "0.0.0.0")
    check(fresh.model_copy(update={"arc": ArcSettings(web=web())}), "0.0.0.0")


def test_nobody_may_read_what_is_open_to_viewers(settings: Settings) -> None:
    opened = settings.arc.model_copy(update={"web": web(anonymous="viewer")})
    with served(settings.model_copy(update={"arc": opened})) as client:
        assert client.get("/ces").status_code == 200
        refused = client.post("/do/ce", data=MODE | {"mode": "rest"}, headers=origin(client), follow_redirects=False)
        assert refused.headers["location"].startswith("/login")


@pytest.mark.parametrize(
    ("wanted", "gone_to"),
    [
        ("/ces?x=1", "/ces?x=1"),
        ("//evil.example.org/", "/"),
        ("https://evil.example.org/", "/"),
        ("/\\evil.example.org", "/"),
        ("/login?then=/x", "/"),
        ("/a\nb", "/"),
    ],
)
def test_signing_in_leads_to_a_page_of_ours(wanted: str, gone_to: str) -> None:
    assert below("", wanted) == gone_to


@pytest.mark.parametrize(
    ("section", "why"),
    [
        ({"users": {"a": {"password": "plain"}}}, "act web password"),
        ({"users": {"a b": {"password": "x"}}}, "match"),
        ({"tokens": {"a": {"role": "viewer"}}}, "one of tokenfile and sha256"),
        ({"rootpath": "act/"}, "pattern"),
    ],
    ids=["a password itself", "a name", "a token without one", "a path"],
)
def test_a_mistake_in_the_section_is_told(section: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Web.model_validate(section)

"""The page over filled tables, served for real, and people of each role who use it."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from act_core.settings import ArcSettings, Settings
from act_core.settings.web import ApiToken, User, Web
from act_core.web import passwords
from tests.web.filled import filled
from tests.web.served import served

PASSWORDS = {"vera": "viewer-password", "otto": "operator-password", "anna": "admin-password"}
ROLES = {"vera": "viewer", "otto": "operator", "anna": "admin"}
TOKEN = "token-of-a-program-that-operates"
WORD = re.compile(r'name="word" value="(\w+)"')


def web(**more: object) -> Web:
    users = {
        name: User.model_validate({"role": ROLES[name], "password": passwords.hashed(word)})
        for name, word in PASSWORDS.items()
    }
    tokens = {"robot": ApiToken(role="operator", sha256=passwords.digest_of(TOKEN))}
    return Web.model_validate({"users": users, "tokens": tokens} | more)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    patch = pytest.MonkeyPatch()
    patch.setattr(passwords, "COST", 14)  # as cheap as the settings take
    made = filled(tmp_path_factory.mktemp("page") / "state", ArcSettings(web=web()))
    patch.undo()
    return made


def origin(client: httpx.Client) -> dict[str, str]:
    """As a browser says it of a form of this page."""
    return {"Origin": str(client.base_url).rstrip("/")}


@pytest.fixture(scope="session")
def app_client(settings: Settings) -> Iterator[httpx.Client]:
    with served(settings) as client:
        yield client


@pytest.fixture(scope="session")
def cookies(app_client: httpx.Client) -> dict[str, httpx.Cookies]:
    """Each person's, signed in once."""
    found = {}
    for name, password in PASSWORDS.items():
        app_client.cookies.clear()
        assert sign_in(app_client, name, password).status_code == 303
        found[name] = httpx.Cookies(app_client.cookies)
    app_client.cookies.clear()
    return found


Person = Callable[[str | None], httpx.Client]


@pytest.fixture
def person(app_client: httpx.Client, cookies: dict[str, httpx.Cookies]) -> Iterator[Person]:
    """The page as this one has it; None: nobody has signed in."""

    def of(name: str | None) -> httpx.Client:
        app_client.cookies.clear()
        if name:
            app_client.cookies.update(cookies[name])
        return app_client

    yield of
    app_client.cookies.clear()


def sign_in(client: httpx.Client, name: str, password: str, then: str = "/") -> httpx.Response:
    word = found_word(client.get("/login").text)
    form = {"name": name, "password": password, "word": word, "then": then}
    return client.post("/login", data=form, headers=origin(client))


def found_word(text: str) -> str:
    found = WORD.search(text)
    assert found is not None
    return found[1]


def deed(client: httpx.Client, place: str, **fields: object) -> httpx.Response:
    """Send a form of the page, with the word that stands in it."""
    word = found_word(client.get("/decisions").text)
    return client.post(place, data={"word": word, **fields}, headers=origin(client))


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A state directory without tables and without users."""
    monkeypatch.setattr(passwords, "COST", 14)
    return Settings(state_dir=tmp_path / "state")

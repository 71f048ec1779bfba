"""When credentials are made anew, and what may take the place of the one in use."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from act_core.credentials.renewal import fqan_of, proxy_due, short, token_due, unfit, unfit_token
from act_core.credentials.values import Bearer, Credential
from act_core.settings.policy import Token, Voms

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PILOT = "/atlas/Role=pilot"


def _proxy(left: float = 96, subject: str = "/CN=robot", *roles: str) -> Credential:
    return Credential(Path("p"), subject, NOW + left * HOUR, roles or (PILOT, "/atlas"))


@pytest.mark.parametrize(
    ("left", "granted", "due"),
    [
        pytest.param(85, 96, False, id="more than the least"),
        pytest.param(84, 96, False, id="exactly the least"),
        pytest.param(83.9, 96, True, id="less than the least"),
        pytest.param(83.9, None, True, id="nobody knows what it was granted"),
        pytest.param(23, 24, False, id="a server that grants a day, an hour ago"),
        pytest.param(20, 24, True, id="a server that grants a day, four hours ago"),
        pytest.param(-1, 24, True, id="ended"),
    ],
)
def test_when_a_proxy_is_renewed(left: float, granted: float | None, due: bool) -> None:
    assert proxy_due(left * HOUR, None if granted is None else granted * HOUR, 84 * HOUR) is due


@pytest.mark.parametrize(
    ("left", "granted", "due"),
    [
        pytest.param(3.1, 6, False, id="more than half"),
        pytest.param(2.9, 6, True, id="less than half"),
        pytest.param(0.4, 0.5, True, id="a short one, before the stage is too late"),
        pytest.param(1, None, False, id="nobody knows"),
        pytest.param(0.3, None, True, id="nobody knows, and little is left"),
    ],
)
def test_when_a_token_is_renewed(left: float, granted: float | None, due: bool) -> None:
    assert token_due(left * HOUR, None if granted is None else granted * HOUR) is due


@pytest.mark.parametrize(
    ("role", "fqan"),
    [(None, "/atlas"), ("pilot", PILOT), ("/atlas/de/Role=pilot", "/atlas/de/Role=pilot")],
    ids=["the VO", "a role", "a whole FQAN"],
)
def test_what_is_asked_for(role: str | None, fqan: str) -> None:
    assert fqan_of(Voms(vo="atlas"), role) == fqan


@pytest.mark.parametrize(
    ("made", "used", "words"),
    [
        pytest.param(_proxy(), None, None, id="the first"),
        pytest.param(_proxy(), _proxy(80), None, id="a later one"),
        pytest.param(_proxy(5), _proxy(-1), None, id="a short one instead of an ended one"),
        pytest.param(_proxy(5), _proxy(80), "ends before the one in use", id="a short one instead of a good one"),
        pytest.param(_proxy(5), _proxy(80, "/CN=other"), None, id="instead of somebody else's"),
        pytest.param(_proxy(5), _proxy(80, "/CN=robot", "/atlas"), None, id="instead of another role"),
        pytest.param(_proxy(96, "/CN=other"), None, "is /CN=other's, not /CN=robot's", id="somebody else's"),
        pytest.param(_proxy(96, "/CN=robot", "/atlas"), None, "its first role is /atlas", id="another role"),
        pytest.param(Credential(Path("p"), "/CN=robot", NOW + HOUR), None, "no VOMS attributes", id="no roles"),
        pytest.param(_proxy(0), None, "has ended already", id="ended"),
    ],
)
def test_what_takes_the_place(made: Credential, used: Credential | None, words: str | None) -> None:
    why = unfit(made, PILOT, "/CN=robot", NOW, used)
    assert (why is None) if words is None else words in str(why)


@pytest.mark.parametrize(
    ("left", "source", "words"),
    [
        pytest.param(95.9, 9000, None, id="as asked for"),
        pytest.param(24, 9000, "gives it 24 h of the 96 h", id="the server's limit"),
        pytest.param(24, 24, "voms.proxypath), on 2026-03-02 12:00 UTC: renew that", id="the robot's end"),
    ],
)
def test_a_short_life_is_told(left: float, source: float, words: str | None) -> None:
    said = short(_proxy(left), NOW + source * HOUR, 96 * HOUR, NOW)
    assert (said is None) if words is None else words in str(said)


@pytest.mark.parametrize(
    ("scopes", "audience", "left", "words"),
    [
        pytest.param(("a", "b", "c"), ("x", "y"), 1, None, id="all and more"),
        pytest.param((), (), 1, None, id="it says nothing"),
        pytest.param(("a",), (), 1, "lacks the scopes b", id="a scope is missing"),
        pytest.param(("a", "b"), ("y",), 1, "its audience is y, not x", id="for somebody else"),
        pytest.param(("a", "b"), ("x",), 0, "has ended", id="ended"),
    ],
)
def test_what_token_is_used(scopes: tuple[str, ...], audience: tuple[str, ...], left: int, words: str | None) -> None:
    wanted = Token(issuer="https://i", clientid="c", clientsecret="s", scopes=("a", "b"), audience="x")
    why = unfit_token(Bearer(Path("t"), "a.b.c", "i/s", NOW + left * HOUR, scopes, audience), wanted, NOW)
    assert (why is None) if words is None else words in str(why)

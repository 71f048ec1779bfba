"""`act ces add`: what it finds out, what it refuses, what it prints."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from act_core.cli.ce_add import known_kind, options_of
from act_core.errors import BadInput
from act_core.words import host_of
from tests.cli.conftest import CONFIGURATION, Act, Said

URL = "https://ce7.example.org/arex"


@pytest.fixture
def with_proxy(place: Path) -> None:
    (place / "proxy").touch(mode=0o600)
    (place / "aCTConfigARC.yaml").write_text(CONFIGURATION + "voms: {proxypath: proxy}\n")


@pytest.mark.parametrize(
    ("url", "kind", "found"),
    [
        pytest.param(URL, None, ("arc-rest", URL), id="A-REX"),
        pytest.param("https://ce7:8443", None, ("arc-rest", "https://ce7:8443/arex"), id="without its path"),
        pytest.param("ce7.example.org:9619", None, ("htcondor", "ce7.example.org:9619"), id="HTCondor-CE"),
        pytest.param(
            "ce7.example.org:443", None, ("arc-rest", "https://ce7.example.org:443/arex"), id="a port of https"
        ),
        pytest.param("anything", "local", ("local", "anything"), id="said"),
    ],
)
def test_the_kind_is_found_out(url: str, kind: str | None, found: tuple[str, str]) -> None:
    assert known_kind(url, kind) == found


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        pytest.param("gsiftp://ce7/jobs", None, "what speaks gsiftp is not known", id="another scheme"),
        pytest.param("https://", None, "names no host", id="no host"),
        pytest.param("https://ce7:x", None, "is no address", id="no port"),
        pytest.param("https://ce..7/arex", None, "is no address", id="no name of a host"),
        pytest.param("ce..7", None, "is no address", id="no name, without scheme"),
        pytest.param("https://ce 7/arex", None, "names no host", id="a space"),
        pytest.param("https://me:word@ce7/arex", None, "^ce7: no user and no password", id="a password"),
        pytest.param("nosuch.invalid", None, "no address is known for nosuch.invalid", id="an unknown host"),
        pytest.param("127.0.0.1:1", None, "say --kind", id="a port of nobody"),
        pytest.param(URL, "condor", "no back end 'condor'; there are arc-", id="no such back end"),
    ],
)
def test_what_cannot_be_found_out_is_asked_for(url: str, kind: str | None, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        known_kind(url, kind)


def test_a_host_without_port_is_asked() -> None:
    """Nobody listens at 9619 or 443 of this address."""
    with pytest.raises(BadInput, match="does not answer there"):
        known_kind("127.255.255.254", None)


def test_names_and_options() -> None:
    assert [host_of(one) for one in (URL, "ce7:9619", "here")] == ["ce7.example.org", "ce7", "here"]
    assert options_of(["queue=grid", "calls=8", "a={b: 1}"]) == {"queue": "grid", "calls": 8, "a": {"b": 1}}
    for odd in ("queue", "=x", "a=[", ""):
        with pytest.raises(BadInput, match="--option"):
            options_of([odd])


@pytest.mark.usefixtures("with_proxy")
def test_it_comes_into_the_tables_and_is_printed_for_the_file(act: Act) -> None:
    said = act("ces", "add", URL, "--maxjobs", 50, "--option", "queue=grid", "--no-test")
    assert (said.code, said.err) == (0, "ce7.example.org (arc-rest): added\n")
    site = {"endpoint": URL, "kind": "arc-rest", "maxjobs": 50, "options": {"queue": "grid"}}
    assert yaml.safe_load(said.out) == {"sites": {"ce7.example.org": site}}
    assert act("ces", "show", "ce7.example.org", "--json").json["origin"] == "hand"
    again = act("ces", "add", URL, "--no-test", "--json")
    assert again.json["done"] == "there already"
    act("bootstrap")
    assert act("ces", "show", "ce7.example.org", "--json").json["mode"] == "on"


@pytest.mark.usefixtures("with_proxy")
def test_the_name_of_another_ce_is_refused(act: Act) -> None:
    said = act("ces", "add", URL, "--name", "here", "--no-test")
    assert (said.code, said.out) == (2, "")
    assert said.err == "here is known (local) already: choose another name with --name\n"


@pytest.mark.usefixtures("with_proxy")
def test_an_address_that_has_another_name_is_refused(act: Act) -> None:
    act("ces", "add", URL, "--no-test")
    again = act("ces", "add", "https://CE7.example.org:443/arex/", "--name", "two", "--no-test")
    assert (again.code, again.out) == (2, "")
    assert again.err == (
        "https://CE7.example.org:443/arex is ce7.example.org already, and would get twice the jobs: "
        "`act ces test ce7.example.org` tries it, and --force adds it as two, too, as for another queue "
        "(--option queue=NAME)\n"
    )
    forced = act("ces", "add", URL, "--name", "two", "--option", "queue=long", "--force", "--no-test")
    assert (forced.code, forced.err) == (0, "two (arc-rest): added\n")
    assert act("ces", "add", URL, "--name", "two", "--no-test", "--json").json["done"] == "there already"


@pytest.mark.usefixtures("with_proxy")
def test_what_its_back_end_does_not_take_is_refused(act: Act) -> None:
    said = act("ces", "add", URL, "--option", "que=grid", "--no-test")
    assert (said.code, said.out) == (2, "")
    assert said.err == "unknown key sites.ce7.example.org.options.que; did you mean queue?\n"
    assert "ce7" not in act("ces", "list").out


@pytest.mark.usefixtures("with_proxy")
def test_it_is_tried_at_once_and_stays_whatever_comes_of_it(act: Act) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    said = act("ces", "add", f"https://127.0.0.1:{port}/arex", "--name", "new")
    assert said.code == 1
    assert f"nobody listens at 127.0.0.1:{port}" in said.out
    assert said.err.endswith(
        "new stays in the tables: `act ces stop new` keeps jobs away, `act ces remove new` undoes it\n"
    )
    assert act("ces", "show", "new", "--json").json["endpoint"] == f"https://127.0.0.1:{port}/arex"


def test_jobs_by_hand_can_go_there(act: Act) -> None:
    assert act("ces", "add", "x", "--kind", "local", "--name", "third", "--no-test").code == 0
    Path("job.yaml").write_text("executable: /bin/true\n")
    (job,) = act("jobs", "add", "job.yaml", "--json").json
    assert job["ces"] == ["here", "there", "third"]
    assert act("jobs", "add", "job.yaml", "--ce", "third").code == 0


def test_it_is_forgotten_when_nothing_of_ours_is_left(act: Act, until_idle: Callable[..., Said]) -> None:
    act("ces", "add", "x", "--kind", "local", "--name", "third", "--no-test")
    Path("job.yaml").write_text("executable: /bin/true\n")
    (job,) = act("jobs", "add", "job.yaml", "--ce", "third", "--json").json
    said = act("ces", "remove", "third")
    assert (said.code, said.err.partition(":")[0]) == (2, "1 jobs wait for third")
    act("jobs", "cancel", job["id"])
    until_idle()
    assert act("ces", "remove", "third", "--json").json == {"removed": "third"}
    assert "third" not in act("ces", "list").out
    assert act("ces", "remove", "third").err == "no CE 'third'; there are here, there\n"


def test_what_the_file_names_is_not_forgotten(act: Act) -> None:
    said = act("ces", "remove", "here")
    assert (said.code, said.out) == (2, "")
    assert said.err == "here is named by the configuration: take it out of aCTConfigARC.yaml first\n"


def test_an_address_with_a_password_is_refused_and_not_repeated(act: Act) -> None:
    said = act("ces", "add", "https://act:hunter2@ce7.example.org/arex", "--kind", "arc-rest", "--no-test")
    assert said.code == 2
    assert "no password can stand in it" in said.err
    assert "hunter2" not in said.err

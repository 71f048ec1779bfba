"""HTCondor's library in its own process, without a server: what is refused, and what trouble means."""

import asyncio
import importlib.util
import os
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.ce import htcondor
from act_core.ce.base import OutcomeLost, Refused, RemoteId, SubmissionKey
from act_core.ce.htcondor import HtcondorCe
from act_core.ce.htcondor_pipe import Lost, NotSent, Pipe, refuses_credential, verdict
from act_core.ce.registry import open_ce
from act_core.errors import ActError, ConfigError, CredentialError, Transient
from act_core.jobspec import JobSpec
from act_core.settings.model import Settings, Site

KEY = SubmissionKey("act-tower001-01m7yztpdqx95tjaestpb4dd4f")
JOB = RemoteId(f"submit@localhost#1.0#1795262601#{KEY}")
NOBODY = {"schedd": "none@localhost", "collector": "127.0.0.1:1", "knobs": {"SEC_CLIENT_AUTHENTICATION_METHODS": "FS"}}


def opened(tmp_path: Path, **site: Any) -> HtcondorCe:
    site = {"kind": "htcondor", "options": NOBODY | {"universe": "vanilla"}, **site}
    made = open_ce(Settings(state_dir=tmp_path), "ce", lambda: datetime.now(UTC), Site.model_validate(site))
    assert isinstance(made, HtcondorCe)
    return made


@pytest.fixture
async def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HtcondorCe]:
    """A CE whose schedd's collector nobody hears."""
    monkeypatch.setenv("CONDOR_CONFIG", "/dev/null")
    made = opened(tmp_path)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("site", "words"),
    [
        pytest.param({"options": {}, "endpoint": "https://ce"}, "endpoint.*host:port", id="a URL"),
        pytest.param({"options": {"shedd": "x"}}, "options.shedd", id="a misspelt option"),
        pytest.param({"options": {"collector": "a:1"}}, "name one in `schedd`", id="half an address"),
    ],
)
def test_configurations_that_are_refused(tmp_path: Path, site: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        opened(tmp_path, **site)


def test_without_the_library_the_operator_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    # the package is installed wherever tests run: only its absence is pretended
    monkeypatch.setattr(htcondor, "find_spec", lambda name: None if name == "htcondor2" else find(name))
    with pytest.raises(ConfigError, match=r"install act-flows\[htcondor\]"):
        opened(tmp_path)


async def test_without_a_collector_nothing_was_sent(away: HtcondorCe) -> None:
    answers = await away.submit({KEY: JobSpec(executable="/bin/true")})
    refusal = answers[KEY]
    assert isinstance(refusal, Refused)
    assert not refusal.for_good
    assert "127.0.0.1:1" in refusal.why
    assert not list((away._shelf.root).glob("act-*"))
    for call in (away.states, away.details, away.cancel, away.restart, away.clean):
        with pytest.raises(Transient, match="collector"):
            await call([JOB])
    assert away.answers == 0


async def test_after_the_deadline_nobody_is_asked(away: HtcondorCe) -> None:
    spec = JobSpec(executable="/bin/true")
    answer = (await away.submit({KEY: spec}, datetime.now(UTC) - timedelta(seconds=1)))[KEY]
    assert answer == Refused("the send deadline has passed", for_good=False)


async def test_a_job_that_htcondor_cannot_run_is_refused_alone(away: HtcondorCe) -> None:
    bad = JobSpec.model_validate({"executable": "a", "outputs": [{"name": "o", "target": "https://se/o"}]})
    other = SubmissionKey(f"{KEY[:-1]}x")
    answers = await away.submit({KEY: bad, other: JobSpec(executable="/bin/true")})
    assert [answer.for_good for answer in answers.values() if isinstance(answer, Refused)] == [True, False]


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield int(listening.getsockname()[1])


async def test_a_server_that_says_nothing_ends_with_the_deadline_and_its_process(silent: int) -> None:
    start = {"collector": f"127.0.0.1:{silent}", "schedd": "x@localhost", "knobs": {}}
    pipe = Pipe(start, Path(os.devnull), seconds=1.0)
    ticks = asyncio.create_task(asyncio.sleep(0.01))
    with pytest.raises(Lost, match="within 1 s"):
        await pipe.call("query", constraint="true", attributes=[])
    assert ticks.done()  # the loop went on meanwhile
    assert pipe._worker is None
    with pytest.raises(NotSent):
        await pipe.call("query", seconds=0.0, constraint="true", attributes=[])
    await pipe.close()


async def test_a_worker_that_dies_is_started_again() -> None:
    pipe = Pipe({"collector": "127.0.0.1:1", "schedd": "x", "knobs": {}}, Path(os.devnull), seconds=20.0)
    with pytest.raises(NotSent):
        await pipe.call("query", constraint="true", attributes=[])
    assert pipe._worker is not None
    pipe._worker.kill()
    await pipe._worker.wait()
    with pytest.raises(NotSent, match=r"127\.0\.0\.1:1"):
        await pipe.call("query", constraint="true", attributes=[])
    await pipe.close()


AUTHENTICATION = "Failed to connect to schedd, errmsg=AUTHENTICATE:1003:Failed to authenticate with any method"


@pytest.mark.parametrize(
    ("text", "sent", "kind"),
    [
        pytest.param(AUTHENTICATION, False, CredentialError, id="refused at the door"),
        pytest.param(AUTHENTICATION, True, Lost, id="refused in the midst of it"),
        pytest.param("CEDAR:6001:Failed to connect to <127.0.0.1:1>", False, NotSent, id="away"),
        pytest.param("Unable to commit transaction", True, Lost, id="an unknown outcome"),
    ],
)
def test_verdicts(text: str, sent: bool, kind: type[ActError]) -> None:
    assert type(verdict(text, sent)) is kind
    assert refuses_credential(text) is (text == AUTHENTICATION)


async def test_an_answer_that_is_lost_leaves_a_question(away: HtcondorCe, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(do: str, **_words: Any) -> Any:
        raise Lost(f"{do}: the process ended")

    monkeypatch.setattr(away._pipe, "call", lost)  # no server of ours can be killed between two packets
    answer = (await away.submit({KEY: JobSpec(executable="/bin/true")}))[KEY]
    assert answer == OutcomeLost("submit: the process ended")
    assert (away._shelf.place(KEY)).is_dir()  # the job may be there and need its files

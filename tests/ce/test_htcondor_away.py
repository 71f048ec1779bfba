"""A CE that the schedd's grid manager does not reach is one that does not answer, whatever the schedd says."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.ce import htcondor
from act_core.ce import htcondor_dialect as dialect
from act_core.ce.base import RemoteId, SubmissionKey
from act_core.ce.htcondor import HtcondorCe
from act_core.ce.registry import open_ce
from act_core.credentials.values import NEVER, Credential
from act_core.errors import Transient
from act_core.ids import TowerId
from act_core.jobspec import JobSpec
from act_core.settings.model import ArcSettings, Settings, Site
from act_core.settings.policy import Token
from act_core.simulators.pki import TestPki

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
KEY = SubmissionKey("act-tower001-01m7yztpdqx95tjaestpb4dd4f")
RESOURCE = "condor ce ce:9619"
AD = {"GlobalJobId": "submit@localhost#1.0#1795262601", "ActKey": KEY, "ActSite": "ce", "GridResource": RESOURCE}
JOB = RemoteId(f"submit@localhost#1.0#1795262601#{KEY}")
IDLE = AD | {"JobStatus": 1}
SILENT = IDLE | {"GridResourceUnavailableTime": EPOCH - 700}
PATIENCE = timedelta(minutes=10)


@pytest.mark.parametrize(
    ("ads", "away"),
    [
        pytest.param([], False, id="no jobs"),
        pytest.param([IDLE], False, id="nothing is said"),
        pytest.param([SILENT], True, id="for longer than patience"),
        pytest.param([IDLE | {"GridResourceUnavailableTime": EPOCH - 500}], False, id="within patience"),
        pytest.param([SILENT, IDLE], True, id="a new job knows nothing"),
        pytest.param([SILENT, IDLE | {"GridJobStatus": "IDLE"}], False, id="one at the CE is well"),
        pytest.param([SILENT | {"JobStatus": 5}], False, id="a held one may be of old"),
        pytest.param([SILENT | {"GridResource": "condor old old:9619"}], False, id="of a former address"),
        pytest.param([SILENT | {"GridResourceUnavailableTime": "poison"}], False, id="no time"),
    ],
)
def test_whether_it_is_away(ads: list[dict[str, Any]], away: bool) -> None:
    words = f"{RESOURCE} cannot be reached, or refuses the credential, for 700 s"
    assert dialect.away(ads, RESOURCE, NOW, PATIENCE) == (words if away else None)


class Schedd:
    """Answers like a worker, and remembers what it was asked."""

    def __init__(self, ce: HtcondorCe, ads: list[dict[str, Any]]) -> None:
        self.ce, self.ads, self.asked = ce, ads, list[tuple[str, dict[str, Any]]]()

    async def call(self, do: str, **words: Any) -> Any:
        self.asked.append((do, words))
        self.ce._pipe.answers += 1
        over = htcondor.ENDED in words.get("constraint", "")
        ads = [ad for ad in self.ads if not over or ad["JobStatus"] in (3, 4)]
        return ads if do in ("query", "history") else None

    def was_asked_to(self, do: str) -> list[dict[str, Any]]:
        return [words for what, words in self.asked if what == do]


Opened = Callable[..., tuple[HtcondorCe, Schedd]]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """A CE behind a schedd of ours. `site`: more of its configuration."""

    def made(*ads: dict[str, Any], options: dict[str, Any] | None = None, **site: Any) -> tuple[HtcondorCe, Schedd]:
        site = {"kind": "htcondor", "endpoint": "ce:9619", "options": options or {}, **site}
        (tmp_path / "token").touch(mode=0o600)
        settings = Settings(
            state_dir=tmp_path, arc=ArcSettings(tokens={"t": Token.model_validate({"file": tmp_path / "token"})})
        )
        ce = open_ce(settings, "ce", lambda: NOW, Site.model_validate(site))
        assert isinstance(ce, HtcondorCe)
        schedd = Schedd(ce, list(ads))
        for queue in (ce._queue, ce._carrier):
            if queue is not None:  # its process would need HTCondor's servers
                monkeypatch.setattr(queue.pipe, "call", schedd.call)
        return ce, schedd

    return made


async def test_it_does_not_answer_until_it_is_reached_again(opened: Opened) -> None:
    ce, schedd = opened(SILENT)
    before = ce.answers
    with pytest.raises(Transient, match="cannot be reached, or refuses the credential, for 700 s"):
        await ce.states([JOB])
    assert not await ce.ended([JOB])
    await ce.list_mine(TowerId("tower001"), set())
    assert ce.answers == before
    schedd.ads = [IDLE]
    assert (await ce.states([JOB]))[JOB].native == "IDLE"
    assert ce.answers > before


async def test_what_has_ended_here_is_told_all_the_same(opened: Opened) -> None:
    ce, _ = opened(SILENT, AD | {"GlobalJobId": "submit@localhost#1.1#1795262601", "JobStatus": 4, "ExitCode": 0})
    done = RemoteId(f"submit@localhost#1.1#1795262601#{KEY}")
    with pytest.raises(Transient):
        await ce.states([JOB, done])
    assert set(await ce.ended([JOB, done])) == {done}


async def test_no_more_jobs_are_heaped_up_for_it(opened: Opened) -> None:
    ce, schedd = opened(SILENT)
    with pytest.raises(Transient, match="cannot be reached"):
        await ce.submit({KEY: JobSpec(executable="/bin/true")})
    assert not schedd.was_asked_to("submit")


async def test_a_credential_that_it_may_refuse_is_laid_out_anew(opened: Opened, tmp_path: Path) -> None:
    ce, _ = opened(SILENT, credential="token", token="t")
    (tmp_path / "token").write_text("fresh")
    with pytest.raises(Transient):
        await ce.states([JOB])
    assert (ce._shelf.root / ".credentials/token").read_text() == "fresh"


@pytest.mark.parametrize(("files", "sent"), [("spool", ["1.0"]), ("shared", None)])
async def test_a_proxy_that_was_spooled_is_renewed_at_the_schedd(
    opened: Opened, pki: TestPki, tmp_path: Path, files: str, sent: list[str] | None
) -> None:
    proxy = pki.proxy("alice", path=tmp_path / "proxy.pem")
    ce, schedd = opened(IDLE, options={"files": files}, credential="proxy", proxy=proxy)
    await ce.renew(Credential(proxy, "alice", NEVER))
    calls = schedd.was_asked_to("refresh")
    assert [call["ids"] for call in calls] == ([sent] if sent else [])
    if sent:
        asked = schedd.was_asked_to("query")[0]["constraint"]
        assert f"ActProxy =!= {calls[0]['mark']}" in asked
        pki.proxy("alice", path=proxy)
        await ce.renew(Credential(proxy, "alice", NEVER))
        first, second = schedd.was_asked_to("refresh")
        assert first["mark"] != second["mark"]
        assert Path(second["proxy"]).parent.name == ".credentials"


async def test_odd_times_of_an_ad_spoil_no_list(opened: Opened) -> None:
    husk = AD | {"JobStatus": 5, "HoldReasonCode": 16, "QDate": "poison"}
    other = AD | {"GlobalJobId": "submit@localhost#2.0#1795262601", "JobStatus": 3, "EnteredCurrentStatus": "poison"}
    ce, schedd = opened(husk, other)
    listing = await ce.list_mine(TowerId("tower001"), set())
    assert [parsed.job for job in listing.mine if (parsed := dialect.parsed(job))] == ["2.0"]
    assert schedd.was_asked_to("clean") == [{"ended": ["1.0"], "removed": []}]
    await ce.clean(list(listing.mine))
    assert schedd.was_asked_to("clean")[1] == {"ended": [], "removed": ["2.0"]}

"""The calls to an A-REX: versions of the interface, bulk requests, late documents."""

from typing import Any

import pytest

from act_core.ce import arc_listing, arc_rest
from act_core.ce.base import Accepted, FetchPlan, Gone, Refused, RemoteId
from act_core.errors import ConfigError, ProtocolError, Transient
from act_core.jobspec import InputFile, JobSpec
from act_core.simulators.arc_wire import Flavour
from act_core.simulators.pki import TestPki
from act_core.states import CeState
from tests.ce.arc_house import TOWER, TRUE, Builder, House, commit, opened, submitted

S = CeState
MANY = [RemoteId(f"{number:054d}") for number in range(20_000)]
FAILS = JobSpec(executable="/bin/sh", arguments=("-c", "exit 3"))


@pytest.mark.parametrize(
    ("flavour", "options", "spoken"),
    [
        pytest.param(Flavour.V6, {}, "1.0", id="6.17 has 1.0 only, told as a bare word"),
        pytest.param(Flavour.V7, {}, "1.1", id="the newest that both speak"),
        pytest.param(Flavour.V7, {"rest_version": "1.0"}, "1.0", id="the one that was asked for"),
    ],
)
async def test_the_version_in_use(build: Builder, flavour: Flavour, options: dict[str, str], spoken: str) -> None:
    house = await build(flavour)
    ce = house.client(options=options)
    assert not (await ce.list_mine(TOWER, set())).mine
    await ce.list_mine(TOWER, set())
    assert await house.asked(f"GET /arex/rest/{spoken}/jobs") == 2
    assert await house.asked("GET /arex/rest") == 3  # what it speaks is asked once


async def test_a_version_that_the_ce_does_not_speak(build: Builder) -> None:
    house = await build(Flavour.V6)
    with pytest.raises(ProtocolError, match=r"speaks REST 1\.0, not 1\.1"):
        await house.client(options={"rest_version": "1.1"}).states([])


async def test_a_ce_that_went_back_to_an_older_release(build: Builder) -> None:
    house = await build()
    ce = house.client()
    await ce.states([])
    (job,) = await submitted(ce, TRUE)
    await house.fault("error", status=404, reason="Version Not Supported", path="/rest/1.1", times=1)
    with pytest.raises(Transient, match="Version Not Supported"):
        await ce.states([job])
    before = await house.asked("GET /arex/rest")
    assert set(await ce.states([job])) == {job}
    assert await house.asked("GET /arex/rest") == before + 1


async def test_long_lists_go_in_chunks_below_the_cut(build: Builder) -> None:
    house = await build(Flavour.V6)
    ce = house.client()
    (job,) = await submitted(ce, TRUE)
    assert set(await ce.states([*MANY, job])) == {job}
    assert await house.asked("jobs?action=status") == 5


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_a_list_that_was_cut_is_noticed(build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    house = await build(Flavour.V6)
    monkeypatch.setattr(arc_rest, "DOCUMENTS", 30_000)  # more than A-REX reads: it cuts the body without a word
    with pytest.raises(ProtocolError, match="says nothing of"):
        await house.client().details(MANY)


async def test_documents_come_in_chunks_too(house: House, monkeypatch: pytest.MonkeyPatch, over: Any) -> None:
    for module in (arc_rest, arc_listing):
        monkeypatch.setattr(module, "DOCUMENTS", 2)
    ce = house.client()
    jobs = await submitted(ce, *[TRUE] * 5)
    await over(ce, jobs)
    assert {facts.exit_code for facts in (await ce.details(jobs)).values()} == {0}
    assert set(await ce.details(jobs)) == set(jobs)
    assert await house.asked("jobs?action=info") == 6
    assert set((await ce.list_mine(TOWER, set())).mine) == set(jobs)
    assert await house.asked("jobs?action=info") == 9


async def test_a_job_is_asked_for_once_in_a_batch(house: House) -> None:
    ce = house.client()
    (job,) = await submitted(ce, TRUE)
    assert await ce.cancel([job, job]) == {job: Accepted()}


@pytest.mark.parametrize("name", ["states", "details", "cancel", "restart", "clean"])
async def test_an_answer_that_leaves_jobs_out_is_not_believed(house: House, name: str) -> None:
    """An empty body is an empty list for 6.17, and no statement on the jobs that were asked for."""
    ce = house.client()
    (job,) = await submitted(ce, TRUE)
    await house.fault("empty", method="POST")
    with pytest.raises(ProtocolError, match="says nothing of 1 of 1 jobs"):
        await getattr(ce, name)([job])


async def test_lists_of_none_and_of_one(house: House, over: Any) -> None:
    ce = house.client()
    listing = await ce.list_mine(TOWER, set())
    assert (dict(listing.mine), listing.total, listing.complete) == ({}, 0, True)
    assert await ce.ended({RemoteId("a")}) == {}
    (job,) = await submitted(ce, TRUE)
    assert set((await ce.list_mine(TOWER, set())).mine) == {job}
    ended = await over(ce, [job])
    assert ended[job].state is S.FINISHED
    assert set(await ce.states([job])) == {job}


async def test_jobs_of_others_look_like_jobs_that_never_were(house: House, pki: TestPki) -> None:
    (job,) = await submitted(house.client(), TRUE)
    other = house.client(proxy=pki.proxy("bob"))
    assert await other.states([job]) == {}
    assert await other.details([job]) == {}
    assert await other.cancel([job]) == {job: Gone()}
    assert (await other.list_mine(TOWER, set())).total == 0
    assert isinstance((await other.fetch({job: FetchPlan(house.state / "home", ("/",))}))[job], Gone)


async def test_late_documents(late: House, over: Any) -> None:
    """The end shows at once in `ended`, and its facts come from the control files until the document knows it."""
    ce = late.client()
    good, bad = await submitted(ce, TRUE, FAILS)
    ended = await over(ce, [good, bad])
    assert {job: seen.state for job, seen in ended.items()} == {good: S.FINISHED, bad: S.FAILED}
    assert {seen.state for seen in (await ce.states([good, bad])).values()} == {S.SUBMITTED}
    facts = await ce.details([good, bad])
    assert [(facts[job].complete, facts[job].exit_code) for job in (good, bad)] == [(True, 0), (True, 3)]
    assert "3 != 0" in str(facts[bad].error)
    await late.order("/provider", {})
    states = await ce.states([good, bad])
    assert [states[job].state for job in (good, bad)] == [S.FINISHED, S.FAILED]
    facts = await ce.details([good, bad])
    assert [facts[job].exit_code for job in (good, bad)] == [0, 3]
    assert facts[good].queue == "fork"


async def test_facts_of_a_living_job_are_not_complete(late: House) -> None:
    ce = late.client()
    (job,) = await submitted(ce, TRUE)
    facts = (await ce.details([job]))[job]
    assert (facts.complete, facts.exit_code, facts.error) == (False, None, None)


@pytest.mark.parametrize(
    "fault", [{"kind": "error", "status": 500}, {"kind": "error", "status": 403}, {"kind": "hang"}], ids=str
)
async def test_a_control_file_that_cannot_be_read_costs_one_job_its_facts(
    late: House, over: Any, fault: dict[str, Any]
) -> None:
    """Trouble is not taken for the file's absence either: the late document stands, which tells of no end."""
    ce = late.client(deadline="1 s")
    good, bad = await submitted(ce, TRUE, TRUE)
    await over(ce, [good, bad])
    await late.fault(**fault, path=f"{bad}/diagnose/failed")
    facts = await ce.details([good, bad])
    assert (facts[good].complete, facts[bad].complete) == (True, False)
    await late.mended()
    assert (await ce.details([bad]))[bad].complete


async def test_a_killed_job_is_listed_as_failed_and_told_as_cancelled(house: House, eventually: Any) -> None:
    ce = house.client()
    (job,) = await submitted(ce, TRUE)
    assert await ce.cancel([job]) == {job: Accepted()}
    assert (await ce.ended([job]))[job].state is S.FAILED
    assert (await ce.states([job]))[job].state is S.CANCELLED
    facts = (await ce.details([job]))[job]
    assert facts.complete
    assert facts.error == "Job is canceled by external request"


async def test_restart_is_refused_for_good_where_it_makes_no_sense(build: Builder, over: Any) -> None:
    house = await build(pace={"fail_stagein": 1.0})
    ce = house.client()
    never, again = await submitted(ce, TRUE, TRUE.model_copy(update={"reruns": 1}))
    await over(ce, [never, again])
    facts = await ce.details([never, again])
    assert {facts[job].restart_at for job in (never, again)} == {"PREPARING"}
    answers = await ce.restart([never, again, RemoteId("unknown")])
    assert answers == {
        never: Refused("505 No more restarts allowed", for_good=True),
        again: Accepted(),
        RemoteId("unknown"): Gone(),
    }


async def test_a_ce_that_tells_its_size(build: Builder) -> None:
    house = await build(Flavour.V6, {"slots": 7, "run_s": (60.0, 60.0)}, queues=("short", "long"))
    ce = house.client()
    await commit(ce, await submitted(ce, TRUE, TRUE))

    capacity = await ce.capacity()
    assert capacity.total_slots == 7
    assert capacity.queues == ("short", "long")
    assert capacity.version == "fork 0.9"


@pytest.mark.parametrize(
    ("site", "words"),
    [
        pytest.param({"endpoint": "http://127.0.0.1/arex"}, "https://host:port/arex is wanted", id="without TLS"),
        pytest.param({"options": {"speed": 3}}, r"sites\.ce\.options\.speed", id="an unknown option"),
        pytest.param({"options": {"rest_version": "2.0"}}, r"sites\.ce\.options\.rest_version", id="no such version"),
    ],
)
def test_a_configuration_that_makes_no_sense(pki: TestPki, tmp_path: Any, site: dict[str, Any], words: str) -> None:
    site = {"endpoint": "https://127.0.0.1:1/arex"} | site
    with pytest.raises(ConfigError, match=words):
        opened(site.pop("endpoint"), pki, tmp_path, **site)


async def test_two_phases_can_be_switched_off(house: House, eventually: Any) -> None:
    ce = house.client(two_phase=False)
    assert not ce.traits.two_phase
    free, needy = await submitted(ce, TRUE, TRUE.model_copy(update={"inputs": (InputFile(name="a", content="x"),)}))

    async def ended() -> bool:
        return free in await ce.ended([free])

    await eventually(ended, "the end of a job without inputs")
    assert (await ce.states([needy]))[needy].state is S.SUBMITTED

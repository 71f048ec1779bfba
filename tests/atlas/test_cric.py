"""CRIC's queues: what is used of them, who is served, and that one bad entry hurts nobody."""

import json

import pytest

from act_core.atlas.cric import LONGEST_WALLTIME, Parsed, Queue, parse_queues
from act_core.errors import BadInput
from act_core.settings.app_model import Cric, PandaSite
from act_core.settings.model import Site
from act_core.simulators.cric_queues import CeDescription, QueueDescription, entry_of

ARC = CeDescription(name="arc01", endpoint="https://arc01.test.example:443/arex")


def entry(**fields: object) -> dict[str, object]:
    return entry_of(QueueDescription(name="Q", ces=(ARC,), fields=fields))


def parsed(
    entries: object,
    sites: dict[str, PandaSite] | None = None,
    arc: dict[str, Site] | None = None,
    cric: Cric | None = None,
) -> Parsed:
    return parse_queues(json.dumps(entries), cric or Cric(), sites or {}, arc or {})


def queue(
    fields: dict[str, object] | None = None, *, site: PandaSite | None = None, arc: dict[str, Site] | None = None
) -> Queue:
    found = parsed({"Q": entry(**(fields or {}))}, {"Q": site} if site else None, arc)
    assert found.problems == ()
    return found.queues["Q"]


def ce(**fields: object) -> dict[str, object]:
    listed = entry()["queues"]
    assert isinstance(listed, list)
    return {**listed[0], **fields}


TRUE: dict[str, object] = {"copytools": {"rucio": {}}, "acopytools": {"pr": ["rucio"]}}
CONDOR = {"ce_flavour": "HTCONDOR-CE", "ce_endpoint": "h.example:9619"}


@pytest.mark.parametrize("ces", [[ce()], [ce(**CONDOR)], [ce(), ce(**CONDOR)]], ids=["arc", "htcondor", "both"])
def test_true_pilots_run_at_both_kinds_of_ces(ces: list[dict[str, object]]) -> None:
    found = queue(TRUE | {"queues": ces})
    assert (found.served, found.why, found.truepilot) == (True, "", True)


def test_a_kind_of_ce_of_which_the_application_knows_nothing() -> None:
    arc = {"odd": Site(kind="odd", endpoint="https://odd.example")}
    found = queue(TRUE, site=PandaSite(endpoints=("odd",)), arc=arc)
    assert (found.served, found.why) == (False, "true pilots run at ARC CEs and HTCondor-CEs, not at odd")


def test_a_good_queue() -> None:
    found = queue()
    assert (found.served, found.why, found.push, found.truepilot) == (True, "", True, False)
    assert (found.cores, found.maxrss, found.maxwalltime, found.type, found.status) == (
        8,
        16000,
        2880,
        "unified",
        "online",
    )
    (one,) = found.endpoints
    assert (one.name, one.endpoint, one.kind) == ("arc01.test.example/atlas", ARC.endpoint, "arc-rest")
    assert (one.queue, one.jobmanager, one.maxwalltime) == ("atlas", "slurm", 2880)
    assert (found.corecount, found.corepower, found.python_version, found.unlimited) == (8, 12.5, "3", False)
    assert Queue.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"corecount": None}, {"cores": 1, "corecount": None}),
        ({"corecount": -4}, {"cores": 1, "corecount": None}),
        ({"maxrss": -1}, {"maxrss": None}),
        ({"corepower": "12.5"}, {"corepower": 12.5}),
        ({"corepower": 0}, {"corepower": None}),
        ({"corepower": "inf"}, {"corepower": None}),
        ({"corepower": "nan"}, {"corepower": None}),
        ({"corepower": [1]}, {"corepower": None}),
        ({"python_version": None}, {"python_version": None}),
        ({"maxtime": 0, "queues": []}, {"unlimited": True, "maxwalltime": LONGEST_WALLTIME}),
        ({"maxtime": 10**9}, {"unlimited": False, "maxwalltime": LONGEST_WALLTIME}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_queue_says_of_its_limits(fields: dict[str, object], said: dict[str, object]) -> None:
    found = queue(fields).model_dump()
    assert {key: found[key] for key in said} == said


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"pilot_manager": "Harvester"}, "pilot_manager is 'Harvester', not 'aCT'"),
        ({"pilot_manager": None}, "pilot_manager is None"),
        ({"state": "INACTIVE"}, "state is 'INACTIVE'"),
        ({"state": None}, "state is None"),
        ({"is_virtual": True}, "virtual"),
        ({"status": "strange"}, "status 'strange' is not known"),
        ({"status": None}, "status 'unknown' is not known"),
        ({"workflow": "pull"}, "a pull queue"),
        ({"queues": []}, "no active CE"),
        ({"queues": None}, "no active CE"),
        ({"queues": [ce(ce_state="DISABLED")]}, "no active CE"),
        ({"queues": [ce(ce_flavour="HTCONDOR-CE", ce_endpoint="h.example:9619")]}, "needs an ARC CE, not htcondor"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_why_a_queue_is_not_served(fields: dict[str, object], why: str) -> None:
    found = queue(fields)
    assert not found.served
    assert why in found.why


@pytest.mark.parametrize("status", ["online", "offline", "test", "brokeroff", "paused", "standby"])
def test_the_status_is_for_the_stages_to_heed(status: str) -> None:
    assert (queue({"status": status}).status, queue({"status": status}).served) == (status, True)


@pytest.mark.parametrize(
    ("fields", "truepilot"),
    [
        ({"copytools": {"mv": {}}, "acopytools": None}, False),
        ({"copytools": {"mv": {}, "rucio": {}}, "acopytools": {"pr": ["mv"]}}, False),
        ({"copytools": {"mv": {}, "rucio": {}}, "acopytools": {"pr": ["rucio"]}}, True),
        ({"copytools": None, "acopytools": None}, True),
        ({"copytools": ["mv"], "acopytools": {}}, False),
    ],
)
def test_who_moves_the_data(fields: dict[str, object], truepilot: bool) -> None:
    assert queue(fields).truepilot is truepilot


@pytest.mark.parametrize(
    ("fields", "minutes"),
    [
        ({"maxtime": 7200}, 120),
        ({"maxtime": "7200"}, 120),
        ({"maxtime": 0}, 2880),
        ({"maxtime": None}, 2880),
        ({"maxtime": 0, "queues": [ce(ce_queue_maxwctime=0)]}, LONGEST_WALLTIME),
        ({"maxtime": 10**8}, LONGEST_WALLTIME),
    ],
    ids=str,
)
def test_the_longest_walltime(fields: dict[str, object], minutes: int) -> None:
    assert queue(fields).maxwalltime == minutes


@pytest.mark.parametrize(
    ("endpoint", "flavour", "address", "name"),
    [
        ("https://h.example:443/arex", "ARC-CE", "https://h.example:443/arex", "h.example/atlas"),
        ("https://h.example/arex/", "ARC-CE", "https://h.example:443/arex", "h.example/atlas"),
        ("https://h.example:8443/my/arex", "ARC-CE", "https://h.example:8443/my/arex", "h.example:8443/atlas"),
        ("gsiftp://h.example:2811/jobs", "ARC-CE", "https://h.example:443/arex", "h.example/atlas"),
        ("h.example", "ARC-CE", "https://h.example:443/arex", "h.example/atlas"),
        ("h.example:8443", "ARC-CE", "https://h.example:8443/arex", "h.example:8443/atlas"),
        ("h.example:9619", "HTCONDOR-CE", "h.example:9619", "h.example:9619/atlas"),
        ("h.example", "HTCONDOR-CE", "h.example:9619", "h.example:9619/atlas"),
    ],
)
def test_addresses_and_names_of_ces(endpoint: str, flavour: str, address: str, name: str) -> None:
    (one,) = queue({"queues": [ce(ce_endpoint=endpoint, ce_flavour=flavour)]}).endpoints
    assert (one.endpoint, one.name) == (address, name)


def test_a_default_queue_counts_only_when_there_is_no_other() -> None:
    both = queue({"queues": [ce(), ce(ce_queue_name="default")]})
    assert [one.name for one in both.endpoints] == ["arc01.test.example/atlas"]
    (alone,) = queue({"queues": [ce(ce_queue_name="default")]}).endpoints
    assert (alone.name, alone.queue) == ("arc01.test.example", None)


def test_a_configured_ce_gives_its_name() -> None:
    arc = {"home": Site(endpoint="https://arc01.test.example/arex"), "here": Site(kind="local")}
    (one,) = queue(arc=arc).endpoints
    assert (one.name, one.endpoint, one.queue) == ("home", "https://arc01.test.example/arex", "atlas")
    (local,) = queue({"queues": [ce(ce_name="here", ce_flavour="LOCAL-CE", ce_endpoint="local")]}, arc=arc).endpoints
    assert (local.name, local.kind) == ("here", "local")


def test_the_configuration_wins_over_cric() -> None:
    arc = {"home": Site(endpoint="https://home.example/arex", options={"queue": "long"})}
    site = PandaSite(
        endpoints=("home", "https://other.example:443/arex"), schedconfig="Q-cfg", type="analysis", corecount=1,
        maxjobs=5, status="test", maxwalltime=60, truepilot=False, push=True, cricjsons=True,
    )  # fmt: skip
    foreign: dict[str, object] = {"pilot_manager": "Harvester", "state": "INACTIVE", "copytools": {"rucio": {}}}
    found = queue(foreign | {"workflow": "pull"}, site=site, arc=arc)
    assert (found.served, found.why) == (True, "")
    assert (found.schedconfig, found.type, found.cores, found.maxjobs) == ("Q-cfg", "analysis", 1, 5)
    assert (found.status, found.maxwalltime, found.cricjsons) == ("test", 60, True)
    assert [(one.name, one.queue) for one in found.endpoints] == [("home", "long"), ("other.example", None)]
    assert queue(site=PandaSite(maxjobs=0)).why == "maxjobs is 0"


def test_a_queue_may_be_in_the_configuration_only() -> None:
    found = parsed(
        {}, {"MINE": PandaSite(endpoints=("home", "no such"))}, {"home": Site(endpoint="https://h.example/arex")}
    )
    assert (found.queues["MINE"].served, found.queues["MINE"].status, found.queues["MINE"].type) == (
        True,
        "online",
        "production",
    )
    (problem,) = found.problems
    assert "'MINE'" in problem
    assert "no such" in problem


def test_other_managers_can_be_asked_for() -> None:
    entries = {"Q": entry(pilot_manager="Harvester", pilot_version="2")}
    assert parsed(entries, cric=Cric(pilotmanager="all")).queues["Q"].served
    assert parsed(entries, cric=Cric(pilotmanager="Harvester")).queues["Q"].served
    assert "pilot_version" in parsed(entries, cric=Cric(pilotmanager="all", pilotversion="3")).queues["Q"].why


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (None, "no object but NoneType"),
        ([], "no object but list"),
        ("text", "no object but str"),
        (entry(corecount="many"), "corecount: 'many' is no number"),
        (entry(corecount=[8]), "corecount"),
        (entry(maxtime={}), "maxtime"),
        (entry(type="strange"), "type: 'strange'"),
        (entry(status=["online"]), "status"),
        (entry(params="x"), "params"),
        (entry(copytools=5), "copytools"),
        (entry(queues="x"), "queues"),
        (entry(is_virtual="perhaps"), "is_virtual"),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_a_bad_entry_is_named_and_skipped(bad: object, words: str) -> None:
    found = parsed({"BAD": bad, "GOOD": entry()})
    assert list(found.queues) == ["GOOD"]
    (problem,) = found.problems
    assert problem.startswith("queue 'BAD'")
    assert words in problem


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "n\n", "\u00e9"])
def test_a_bad_name_is_skipped(name: str) -> None:
    assert len(parsed({name: entry(), "GOOD": entry()}).queues) == 1


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "x",
        ce(ce_flavour="CREAM-CE"),
        ce(ce_flavour=None),
        ce(ce_endpoint=None),
        ce(ce_endpoint="https://"),
        ce(ce_endpoint="h:99999"),
        ce(ce_endpoint="h e"),
        ce(ce_queue_maxwctime="x"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_ce_is_told_and_the_others_serve(bad: object) -> None:
    found = parsed({"Q": entry(queues=[bad, ce()])})
    assert len(found.problems) == 1
    assert [one.name for one in found.queues["Q"].endpoints] == ["arc01.test.example/atlas"]


@pytest.mark.parametrize("feed", ["", "<html>", "[]", "null", "[" * 100_000])
def test_a_feed_that_is_none(feed: str) -> None:
    with pytest.raises(BadInput, match="CRIC"):
        parse_queues(feed, Cric(), {}, {})


def test_a_bad_entry_is_not_served_by_configuration_alone() -> None:
    found = parsed({"Q": entry(corecount="x")}, {"Q": PandaSite(endpoints=("https://h.example/arex",))})
    assert found.queues == {}
    assert len(found.problems) == 1


def test_many_bad_entries_among_many() -> None:
    good, bad = entry(), entry(corecount="x")
    found = parsed({f"Q{i}": good if i % 20 else bad for i in range(1000)})
    assert (len(found.queues), len(found.problems)) == (950, 50)

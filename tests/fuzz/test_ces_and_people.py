"""Whatever CEs, batch systems and people's descriptions write: the documented error, or a value that can be kept."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from act_core.ce import arc_adl, arc_conf, arc_dialect, arc_records
from act_core.ce import htcondor_dialect as condor
from act_core.ce.arc_transfer import safe
from act_core.ce.descriptions import read_descriptions
from act_core.db.models import ERROR_LENGTH
from act_core.errors import BadInput, ConfigError, ProtocolError
from act_core.simple.campaign import read_file
from act_core.words import kept
from tests.fuzz.hostile import GOOD, SNIPPETS, TEXTS, VALUES, cut_up, fuzzed, spoiled, storable

NOW, PATIENCE = datetime(2026, 3, 1, 12, tzinfo=UTC), timedelta(minutes=5)
COLUMN = 2**31


@fuzzed(
    body=st.one_of(
        spoiled({"job": [GOOD["element"], {"id": "good", "status-code": "200"}]}),
        spoiled({"job": GOOD["element"]}),
        TEXTS,
    )
)
def test_lists_and_answers_of_arc(body: str) -> None:
    raw = body.encode("utf-8", "surrogatepass")
    for read in (arc_dialect.listed, arc_dialect.versions, arc_dialect.listing):
        with suppress(ProtocolError):
            assert len(read(raw)) < 2000
    with suppress(ProtocolError):
        for one in arc_dialect.by_id(raw).values():
            told = arc_dialect.facts(arc_dialect.activity(one))
            assert storable((told.exit_code, told.wall_s, told.cpu_s, told.cores), COLUMN)
            assert storable((told, arc_dialect.seen(str(one.get("state")))))
            assert storable((arc_dialect.reason(one), arc_dialect.name_of(one), arc_dialect.code(one)))


@fuzzed(listing=spoiled({"file": ["a", "b"], "dir": ["c"]}))
def test_names_of_files_that_a_ce_lists(listing: str) -> None:
    with suppress(ProtocolError):
        for name in [one for some in arc_dialect.listing(listing.encode("utf-8", "surrogatepass")) for one in some]:
            there = Path("/srv/job") / safe(name)
            assert there.parent == Path("/srv/job")
            assert there.name not in (".", "..")


@fuzzed(body=spoiled(GOOD["glue2"]))
def test_information_of_a_ce(body: str) -> None:
    with suppress(ProtocolError):
        assert storable(arc_dialect.capacity(body.encode("utf-8", "surrogatepass")), COLUMN)


@fuzzed(
    xml=cut_up(GOOD["xml"]),
    diag=cut_up(GOOD["diag"]),
    failed=SNIPPETS,
    local=cut_up("localid=17\nfailedstate=PREPARING\n"),
    word=TEXTS,
)
def test_control_files_of_arex(xml: str, diag: str, failed: str, local: str, word: str) -> None:
    document: Any = {}
    with suppress(ProtocolError):
        document = arc_records.document(xml)
    files = {"diag": diag, "failed": failed, "local": local}
    for over in (False, True):
        found = arc_records.facts(document, over, files)
        assert storable(found)
        assert storable((found.exit_code, found.wall_s, found.cpu_s, found.cores), COLUMN)
    assert storable(arc_records.seen(word, document, failed))
    arc_adl.name_in(xml)


@fuzzed(ad=spoiled(GOOD["ad"]))
def test_ads_of_htcondor(ad: str) -> None:
    try:
        said = json.loads(ad)
    except (ValueError, RecursionError):
        return
    if not isinstance(said, dict):
        return
    said = {name: value for name, value in said.items() if value is None or isinstance(value, str | int | float | bool)}
    good = condor.by_id([said, GOOD["ad"]])
    assert len(good) <= 2
    for job in good:
        assert len(job) <= 255
        assert condor.parsed(job) is not None
    found = condor.facts(said, NOW, PATIENCE)
    assert storable((found.exit_code, found.wall_s, found.cpu_s, found.cores), COLUMN)
    assert storable(found)
    assert storable(kept(condor.seen(said, NOW, PATIENCE).native, 64))
    condor.as_text(said)
    condor.away([said, GOOD["ad"]], "condor c c:9619", NOW, PATIENCE)
    for slots in (False, True):
        assert storable(
            condor.capacity({**said, "CondorVersion": said.get("HoldReason"), "slots": [said, GOOD["ad"]]}, slots)
        )


@fuzzed(text=st.one_of(cut_up(GOOD["conf"]), SNIPPETS))
def test_arc_conf(text: str) -> None:
    with suppress(ConfigError):
        found = arc_conf.read_conf(text)
        assert found.control.is_absolute()
        assert found.most is None or found.most < 2**63


@fuzzed(
    text=st.one_of(
        cut_up(GOOD["xrsl"]),
        cut_up(f"+({GOOD['xrsl']})({GOOD['xrsl']})"),
        cut_up(GOOD["adl"]),
        cut_up(GOOD["yaml"]),
        SNIPPETS,
        st.builds("&{}".format, TEXTS),
    )
)
def test_descriptions_of_people(text: str) -> None:
    try:
        specs = read_descriptions(text, Path("/srv/u/job.x"))
    except BadInput:
        return
    for spec in specs:
        assert type(spec).model_validate_json(spec.model_dump_json()) == spec


@fuzzed(
    value=VALUES,
    where=st.sampled_from(["executable", "arguments", "inputs", "environment", "walltime", "name", "outputs"]),
)
def test_values_in_our_own_yaml(value: Any, where: str) -> None:
    text = json.dumps({"executable": "/bin/echo", where: value})
    with suppress(BadInput):
        read_descriptions(text, Path("/srv/u/job.x"))


@fuzzed(text=st.one_of(cut_up(GOOD["campaign"]), SNIPPETS))
def test_campaigns(text: str) -> None:
    with suppress(BadInput):
        assert read_file(text, Path("/srv/u/campaign.yaml")).specs


@fuzzed(text=st.one_of(SNIPPETS, st.builds(lambda one, n: one * n, SNIPPETS, st.integers(1, 50))))
def test_what_is_said_of_an_error(text: str) -> None:
    assert storable(kept(text[:200_000], ERROR_LENGTH))

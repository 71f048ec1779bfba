"""Whatever PanDA and CRIC say: a job is refused with a reason, or becomes a JobSpec that every back end it may meet can
write; and its pilot reads the job as PanDA sent it.
"""

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from act_core.atlas.cric import Queue, parse_queues
from act_core.atlas.modes import Mode, mode_of
from act_core.atlas.translate import translate
from act_core.atlas.wire import MalformedJob, PandaJob, decode_for_pilot, encode_for_pilot, with_secrets
from act_core.ce import htcondor_jobs
from act_core.errors import BadInput
from act_core.jobspec import JobSpec
from act_core.settings.app_model import Cric
from tests.atlas.goldens import BOOKED, SETTINGS, Golden, adl, classad, goldens

GOLDEN = [golden for golden in goldens() if "spec" in golden.held]
WORDS = st.sampled_from(
    ["", "NULL", "None", "0", "-1", "8", "600", "1e400", "nan", "9" * 30, "a,b", "../x", "a b", "rc_test", "-z", "$(x)"]
)
NASTY = st.text(alphabet="\x00\x01\x7f\n\r\t\ufffe\ud800 '\"$(),;<&:/ab", max_size=12)
ADDRESS = st.builds("https://pilots.example/{}".format, NASTY)
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), WORDS, NASTY, ADDRESS, st.text(max_size=20),
    st.lists(WORDS, max_size=2), st.dictionaries(WORDS, WORDS, max_size=2),
)  # fmt: skip
FIELDS = sorted({key for golden in GOLDEN for key in golden.held["job"]} | {"secrets", "pilotSecrets", "resource_type"})
KEYS = sorted({key for golden in GOLDEN for entry in golden.held["queue"].values() for key in entry})
PARAMS = st.fixed_dictionaries({}, optional={"pilot_args": ODD, "pilot_url": ODD})
CHANGES = st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=4)
ENTRIES = st.one_of(
    st.just({}), st.builds(lambda p: {"params": p}, PARAMS), st.dictionaries(st.sampled_from(KEYS), ODD, max_size=2)
)
MANY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def queue_of(golden: Golden, changes: dict[str, Any]) -> Queue | None:
    """None: CRIC's entry is refused as a whole."""
    ((name, entry),) = golden.held["queue"].items()
    found = parse_queues(json.dumps({name: entry | changes}), Cric(), {}, {})
    return found.queues.get(name)


def check_written(spec: JobSpec, mode: Mode) -> None:
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    if mode is not Mode.HTCONDOR:
        assert ElementTree.fromstring("".join(adl(spec))).tag.endswith("ActivityDescription")
    if mode is not Mode.NATIVE:
        assert not [value for value in classad(spec).values() if "\n" in value or "$(act_" in value]
        assert htcondor_jobs.script(spec).encode()


@MANY
@given(golden=st.sampled_from(GOLDEN), job=CHANGES, entry=ENTRIES)
def test_a_hostile_job_is_refused_or_can_be_written(golden: Golden, job: dict[str, Any], entry: dict[str, Any]) -> None:
    queue = queue_of(golden, entry)
    if queue is None:
        return
    try:
        spec = translate(PandaJob.parse(golden.held["job"] | job), queue, SETTINGS, BOOKED)
    except BadInput:
        return
    assert spec.walltime is not None
    assert spec.walltime.total_seconds() <= queue.maxwalltime * 60
    check_written(spec, mode_of(queue))


@MANY
@given(job=st.dictionaries(st.text(max_size=10), ODD, max_size=6))
def test_the_pilot_reads_what_panda_sent(job: dict[str, Any]) -> None:
    raw = {"PandaID": 5, "prodSourceLabel": "managed"} | job
    try:
        found = PandaJob.parse(raw)
    except MalformedJob:
        return
    sent = {key: str(value) for key, value in raw.items() if key not in ("secrets", "pilotSecrets")}
    assert decode_for_pilot(encode_for_pilot(found.raw)) == sent
    assert PandaJob.parse(json.loads(json.dumps(found.raw))).panda_id == found.panda_id


@given(
    job=st.dictionaries(
        st.text(alphabet=st.characters(codec="utf-8"), min_size=1), st.text(alphabet=st.characters(codec="utf-8"))
    )
)
def test_both_forms_of_the_job_say_the_same(job: dict[str, str]) -> None:
    assert decode_for_pilot(json.dumps({"7": job})) == decode_for_pilot(encode_for_pilot(job)) == job


@pytest.mark.parametrize(
    "text", ["nothing", "a=1&a=2", "{", "{}", '{"1": {}, "2": {}}', '{"1": 5}', '{"1": ' * 2000],
    ids=["no pairs", "twice", "no JSON", "no job", "two jobs", "no object", "deep"],
)  # fmt: skip
def test_what_is_no_job_for_a_pilot(text: str) -> None:
    with pytest.raises(BadInput, match="no job for a pilot"):
        decode_for_pilot(text)


def test_secrets_come_at_the_last_moment() -> None:
    encoded = encode_for_pilot({"PandaID": 5, "jobPars": "a&b"})
    secrets = {"secrets": SecretStr('{"k": "h&sh"}'), "pilotSecrets": SecretStr("x y")}
    told = decode_for_pilot(with_secrets(encoded, secrets))
    assert told == {"PandaID": "5", "jobPars": "a&b", "secrets": '{"k": "h&sh"}', "pilotSecrets": "x y"}
    assert with_secrets(encoded, {}) == encoded
    assert encode_for_pilot({"PandaID": 5, "jobPars": "a&b"}, secrets) == with_secrets(encoded, secrets)

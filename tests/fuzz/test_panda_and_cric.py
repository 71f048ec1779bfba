"""Whatever PanDA, CRIC, a pilot or a Harvester write: the documented error or a typed value, and neighbours live."""

import json
from contextlib import suppress
from datetime import UTC, datetime

from hypothesis import strategies as st

from act_core.atlas import panda_legacy_dialect as legacy
from act_core.atlas import panda_v1
from act_core.atlas.cric import Queue, parse_queues
from act_core.atlas.cric_downtimes import feed_of, matched, parse_downtimes
from act_core.atlas.cric_feed import queues_of
from act_core.atlas.fetch_jobs import booked, failed
from act_core.atlas.harvester import WorkSpec, read_specs
from act_core.atlas.panda_client import items, read_job
from act_core.atlas.pilot_word import parse_heartbeat
from act_core.atlas.wire import MalformedJob, PandaJob, decode_for_pilot
from act_core.errors import BadInput, CredentialError, OutcomeUnknown, ProtocolError, Transient
from act_core.settings.app_model import Cric
from tests.fuzz.hostile import GOOD, SNIPPETS, TEXTS, cut_up, fuzzed, spoiled, storable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOB, QUEUE = GOOD["job"], GOOD["queue"]
GOOD_JOB, GOOD_QUEUE = {"PandaID": 5, "prodSourceLabel": "managed"}, "GOOD"


def check_job(job: PandaJob | MalformedJob) -> None:
    """It makes a row in any case, and the row can be read again."""
    if isinstance(job, MalformedJob):
        assert not job.panda_id or storable(failed(job, "s", "q", NOW))
    else:
        row = booked(job, "s", "q", NOW)
        assert storable(row)
        again = PandaJob.parse(json.loads(row["job"]))
        assert (again.panda_id, again.inputs, again.outputs) == (job.panda_id, job.inputs, job.outputs)


@fuzzed(text=spoiled([JOB, GOOD_JOB]), whole=spoiled(JOB))
def test_jobs_of_the_new_api(text: str, whole: str) -> None:
    for data in (text, f"[{whole}, {json.dumps(GOOD_JOB)}]"):
        try:
            said = panda_v1._envelope("m", f'{{"success": true, "message": "", "data": {data}}}'.encode()).must("m")
        except ProtocolError:
            continue
        jobs = [read_job(one) for one in said] if isinstance(said, list) else []
        for job in jobs:
            check_job(job)
        if data != text:
            assert isinstance(jobs[1], PandaJob), "the neighbour of a hostile job"


@fuzzed(
    text=st.one_of(
        spoiled({"success": False, "message": "m", "data": {"q": {"managed": {"M": {"running": 5}}}}}), TEXTS
    )
)
def test_envelopes(text: str) -> None:
    try:
        said = panda_v1._envelope("m", text.encode("utf-8", "surrogatepass"))
        for _queue, stats in items(said.must("m")):
            list(panda_v1._flat(stats))
        panda_v1._status(said.data)
    except (ProtocolError, Transient, CredentialError):
        pass


@fuzzed(
    text=st.one_of(
        spoiled({"StatusCode": 0, "jobs": [JOB, GOOD_JOB], "command": "NULL"}),
        cut_up("StatusCode=0&status=a+b&attemptNr=1+2"),
    )
)
def test_answers_of_the_old_api(text: str) -> None:
    for said in (text, {"type": "json", "content": text}):
        answer = legacy.read(said)
        assert storable(legacy.read_answer(answer).message.encode("utf-8", "replace"))
        legacy.read_statuses(answer, 2)
        list(legacy.read_statistics(answer))
        for job in legacy.read_jobs(answer) or []:
            check_job(read_job(job))
        with suppress(ProtocolError, Transient, CredentialError, OutcomeUnknown):
            legacy.must("m", answer)


@fuzzed(text=st.one_of(spoiled([True, [{"StatusCode": 0}]]), spoiled([False, "role required"]), TEXTS))
def test_pairs_of_the_old_api(text: str) -> None:
    with suppress(ProtocolError, Transient, CredentialError):
        legacy.must_pair("m", text)
    legacy.read_attributes(text, production=True)
    legacy.lacking(text)


@fuzzed(entry=spoiled(QUEUE), name=st.one_of(TEXTS, st.just("Q")))
def test_queues(entry: str, name: str) -> None:
    feed = f'{{{json.dumps(name)}: {entry}, "{GOOD_QUEUE}": {json.dumps(QUEUE)}}}'
    try:
        said = queues_of(feed)
    except ProtocolError:
        assert "[" * 70 in feed or '{"a":' * 70 in feed  # nothing else spoils a whole feed
        return
    found = parse_queues(said, Cric(), {}, {})
    assert found.queues[GOOD_QUEUE].endpoints or name == GOOD_QUEUE
    assert storable((found.stored, found.problems))
    for kept in found.stored.values():
        Queue.model_validate(json.loads(json.dumps(kept, allow_nan=False)))


@fuzzed(entry=spoiled(GOOD["downtime"]), where=st.sampled_from(['{"d": %s}', '{"S": {"d": %s}}', "[%s]", "%s"]))
def test_downtimes(entry: str, where: str) -> None:
    try:
        feed = feed_of(where % entry)
    except ProtocolError:
        return
    found = parse_downtimes(feed, NOW)
    assert storable([*found.announced, *found.problems])
    matched(found.announced, {"c": "c.example.org:443/arex", "d": "https://["}, {"S": ["c"]})


@fuzzed(text=st.one_of(spoiled(GOOD["heartbeat"]), cut_up(json.dumps(GOOD["heartbeat"])), SNIPPETS))
def test_heartbeats_of_pilots(text: str) -> None:
    try:
        found = parse_heartbeat(text, 7)
    except BadInput:
        return
    assert storable(found, numbers=2**70)
    json.dumps(dict(found.fields), allow_nan=False)


@fuzzed(text=st.one_of(spoiled([GOOD["worker"]]), SNIPPETS))
def test_workers_that_a_harvester_hands_over(text: str) -> None:
    try:
        specs = read_specs(text)
    except BadInput:
        return
    for one in specs:
        assert isinstance(one, WorkSpec)
        assert one.access_point is None or (
            one.access_point.startswith("/") and ".." not in one.access_point.split("/")
        )
        with suppress(BadInput):
            check_job(read_job(decode_for_pilot(one.job) if isinstance(one.job, str) else one.job))


@fuzzed(text=st.one_of(cut_up("PandaID=5&prodSourceLabel=managed&inFiles=a%2Cb"), spoiled({"5": JOB}), SNIPPETS))
def test_the_job_as_a_pilot_has_it(text: str) -> None:
    try:
        job = decode_for_pilot(text)
    except BadInput:
        return
    assert all(isinstance(one, str) for pair in job.items() for one in pair)

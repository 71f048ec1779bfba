"""The door for a Harvester: what is taken and refused, what is killed, and that PanDA never hears of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from act_core.atlas import hand_back, harvester, heartbeat, worker_states
from act_core.atlas.books import HARVESTER, Change, settle
from act_core.atlas.hand_back import REPORT, Over, after_delivery, outcome
from act_core.atlas.handed import Link
from act_core.atlas.harvester import Answer, WorkSpec, read_specs
from act_core.atlas.instance import server_of
from act_core.atlas.reports import Update
from act_core.atlas.wire import encode_for_pilot
from act_core.atlas.worker_states import WORDS, word
from act_core.db import operator_modes
from act_core.db.models import Description
from act_core.db.modes import Mode, Wanted
from act_core.db.operator_modes import Kind
from act_core.db.panda_models import PandaRow
from act_core.errors import BadInput
from act_core.settings.model import Observing
from act_core.states import CeState, PandaState
from tests.atlas.house import BOOKED, QUEUE, House

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NAME = "CERN_central"
TRUE: dict[str, object] = {"copytools": {"rucio": {}}, "acopytools": {"pr": ["rucio"]}}


@pytest.fixture
async def handed_queue(atlas: House) -> House:
    """A tower that serves TEST for a Harvester."""
    atlas.configure(cric={"handedby": (NAME,)})
    await atlas.serve(fields={"pilot_manager": "Harvester", "harvester": NAME})
    return atlas


def spec_of(house: House, number: int, worker: int = 1, **fields: Any) -> WorkSpec:
    job = dict(house.books.describe(house.books.jobs[number]))
    known = {"harvester_id": NAME, "worker_id": worker, "queue": QUEUE, "job": job}
    return WorkSpec.model_validate(known | fields)


async def submit(house: House, *specs: WorkSpec) -> list[Answer]:
    return await house.rt.write(harvester.hand_over, house.rt.settings, specs, house.rt.now())


async def state(house: House, one: int) -> str:
    found = await house.rt.read(worker_states.states, "atlas", [one])
    return found[one].status


async def test_a_worker_is_handed_over_once(handed_queue: House) -> None:
    first, second = handed_queue.order(2)
    specs = [spec_of(handed_queue, first, 1), spec_of(handed_queue, second, 2)]
    answers = await submit(handed_queue, *specs)
    assert [one.refused for one in answers] == [None, None]
    assert await submit(handed_queue, *specs, specs[0]) == [*answers, answers[0]]
    rows = await handed_queue.rows()
    assert {(row.reporter, row.state, row.heartbeat_due_at) for row in rows.values()} == {(HARVESTER, "sent", None)}
    assert {row.id for row in rows.values()} == {one.id for one in answers}


async def test_the_job_may_be_the_legacy_text(handed_queue: House) -> None:
    (number,) = handed_queue.order()
    text = encode_for_pilot(handed_queue.books.describe(handed_queue.books.jobs[number]))
    (answer,) = await submit(handed_queue, spec_of(handed_queue, number, job=text))
    assert (answer.refused, answer.id) == (None, (await handed_queue.row(number)).id)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"harvester_id": "another"}, "Harvester 'another' is none of cric.handedby"),
        ({"queue": "NOWHERE"}, "no PanDA queue 'NOWHERE' is known"),
        ({"queue": "FOREIGN"}, "queue 'FOREIGN' is not served: pilot_manager is 'Harvester', not 'aCT'"),
        ({"queue": "OFF"}, "queue 'OFF' is offline"),
        ({"job": {}}, "PanDA job without a PandaID: PandaID"),
        ({"job": {"PandaID": 7, "prodSourceLabel": "managed", "secrets": "x" * 60_000}}, "its secrets are"),
        ({"job": "PandaID"}, "no job for a pilot"),
    ],
    ids=str,
)
async def test_what_is_refused_is_refused_alone(handed_queue: House, fields: dict[str, Any], words: str) -> None:
    await handed_queue.serve(name="FOREIGN", fields={"pilot_manager": "Harvester"})
    await handed_queue.serve(name="OFF", status="offline")
    number, good = handed_queue.order(2)
    bad = spec_of(handed_queue, number, **fields)
    refused, taken = await submit(handed_queue, bad, spec_of(handed_queue, good, 2))
    assert words in str(refused.refused)
    assert (refused.id, taken.refused) == (None, None)
    assert list(await handed_queue.rows()) == [good]


@pytest.mark.parametrize(("kind", "mode"), [(Kind.QUEUE, Mode.STOP), (Kind.TOWER, Mode.DRAIN)], ids=str)
async def test_what_an_operator_does_not_want_is_refused(handed_queue: House, kind: Kind, mode: Mode) -> None:
    name, server = (QUEUE, server_of(handed_queue.rt)) if kind is Kind.QUEUE else ("", "")
    wanted = Wanted(mode, "alice", "a move")
    await handed_queue.rt.write(operator_modes.put, kind, name, wanted, handed_queue.rt.now(), server)
    (number,) = handed_queue.order()
    (answer,) = await submit(handed_queue, spec_of(handed_queue, number))
    assert "by alice (a move)" in str(answer.refused)


async def test_a_job_that_is_known_is_not_taken_twice(handed_queue: House) -> None:
    (number,) = handed_queue.order()
    both = await submit(handed_queue, spec_of(handed_queue, number, 1), spec_of(handed_queue, number, 2))
    assert [one.refused for one in both] == [None, f"PanDA job {number} is known already"]
    (again,) = await submit(handed_queue, spec_of(handed_queue, number, 3))
    assert again.refused == f"PanDA job {number} is known already"


async def test_a_tower_that_observes_takes_nothing(handed_queue: House) -> None:
    arc = handed_queue.rt.settings.arc.model_copy(update={"tower": Observing(observe=True)})
    handed_queue.rt.settings = handed_queue.rt.settings.model_copy(update={"arc": arc})
    (number,) = handed_queue.order()
    (answer,) = await submit(handed_queue, spec_of(handed_queue, number))
    assert "only observes" in str(answer.refused)


async def test_panda_hears_nothing_whatever_happens(handed_queue: House) -> None:
    (number,) = handed_queue.order()
    await submit(handed_queue, spec_of(handed_queue, number))
    await handed_queue.run("translate")
    for moved in ("submitted", "running", "finishing", "done"):
        await handed_queue.moved(number, moved, ce="here", remote_id="r1")
        await handed_queue.tower.news()
        handed_queue.later(hours=2)
        assert await heartbeat.due(handed_queue.rt) == []
        await handed_queue.run("heartbeat")
    assert handed_queue.books.jobs[number].updates == []


async def test_no_heartbeat_can_become_due(handed_queue: House) -> None:
    (number,) = handed_queue.order()
    await submit(handed_queue, spec_of(handed_queue, number))
    row = replace(BOOKED, id=(await handed_queue.row(number)).id, reporter=HARVESTER, state=PandaState.SENT)
    await handed_queue.rt.write(settle, {row: Change(PandaState.STARTING, {"heartbeat_due_at": NOW})}, NOW)
    assert (await handed_queue.row(number)).heartbeat_due_at is None


async def test_the_pilot_knows_whose_worker_it_is(handed_queue: House) -> None:
    await handed_queue.serve(fields=TRUE | {"pilot_manager": "Harvester", "harvester": NAME})
    (number,) = handed_queue.order()
    await submit(handed_queue, spec_of(handed_queue, number, 42))
    await handed_queue.run("translate")
    row, attempt = await handed_queue.row(number), await handed_queue.attempt(number)
    assert (row.reporter, attempt.vouched_until) == (HARVESTER, None)
    question = select(Description.spec).where(Description.id == attempt.description_id)
    told = json.loads(await handed_queue.rt.read(lambda session: session.scalars(question).one()))["environment"]
    assert (told["PANDA_JSID"], told["HARVESTER_ID"], told["HARVESTER_WORKER_ID"]) == (f"harvester-{NAME}", NAME, "42")


@pytest.mark.parametrize(("ended", "status"), [("done", "finished"), ("donefailed", "failed"), ("lost", "failed")])
async def test_of_a_true_pilot_the_ce_knows_the_end(
    handed_queue: House, tmp_path: Path, ended: str, status: str
) -> None:
    await handed_queue.serve(fields=TRUE | {"pilot_manager": "Harvester", "harvester": NAME})
    (number,) = handed_queue.order()
    (answer,) = await submit(handed_queue, spec_of(handed_queue, number, access_point=str(tmp_path)))
    assert answer.id is not None
    await handed_queue.run("translate")
    await handed_queue.moved(number, "running", ce="here", remote_id="r1")
    await handed_queue.tower.news()
    assert await state(handed_queue, answer.id) == "running"
    await handed_queue.moved(number, ended)
    await handed_queue.tower.news()
    await handed_queue.run("heartbeat")
    assert await state(handed_queue, answer.id) == status
    assert not (tmp_path / REPORT).exists()
    assert handed_queue.books.jobs[number].updates == []


async def test_what_is_wanted_dead_dies(handed_queue: House, tmp_path: Path) -> None:
    sent, bound = handed_queue.order(2)
    first, second = await submit(
        handed_queue,
        spec_of(handed_queue, sent, 1, access_point=str(tmp_path)),
        spec_of(handed_queue, bound, 2),
    )
    assert first.id is not None
    assert second.id is not None
    await handed_queue.change(sent, state=PandaState.TOVALIDATE.value)  # not bound in the next line
    await handed_queue.run("translate")
    await handed_queue.change(sent, state=PandaState.SENT.value)
    wanted = [first.id, second.id, 999_999]
    said = await handed_queue.rt.write(harvester.kill, handed_queue.rt.settings, wanted, handed_queue.rt.now())
    assert said == {first.id: "kill", second.id: "kill", 999_999: "unknown"}
    assert (await handed_queue.attempt(bound)).request == "cancel"
    await handed_queue.run("heartbeat", "submit")
    await handed_queue.tower.news()
    await handed_queue.run("heartbeat")
    assert [await state(handed_queue, one) for one in (first.id, second.id)] == ["cancelled", "cancelled"]
    assert json.loads((tmp_path / REPORT).read_text())["pilotErrorCode"] == "1144"
    again = await handed_queue.rt.write(harvester.kill, handed_queue.rt.settings, wanted[:2], handed_queue.rt.now())
    assert again == {first.id: "over", second.id: "over"}


async def test_what_is_over_and_archived_is_still_told(handed_queue: House) -> None:
    (number,) = handed_queue.order()
    (answer,) = await submit(handed_queue, spec_of(handed_queue, number))
    assert answer.id is not None
    await handed_queue.change(number, state=PandaState.CLOSED.value, told="finished")
    handed_queue.later(hours=1)
    await handed_queue.run("clean")
    assert await handed_queue.rt.read(lambda session: session.scalars(select(PandaRow.id)).all()) == []
    assert await state(handed_queue, answer.id) == "finished"


def test_every_state_has_a_word() -> None:
    assert set(WORDS) == set(PandaState) - {PandaState.CLOSED}
    assert [word("closed", told) for told in ("finished", "cancelled", "transferring", None)] == [
        "finished", "cancelled", "failed", "failed",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("truepilot", "state", "report", "told"),
    [
        (False, CeState.DONE, {"job_status": "finished"}, "finished"),
        (False, CeState.DONE, {"job_status": "failed"}, "failed"),
        (True, CeState.DONE, {"job_status": "failed"}, "finished"),
        (True, CeState.LOST, {"job_status": "failed"}, "failed"),
        (True, None, {"job_status": "failed"}, "failed"),
        (True, CeState.DONE, {"job_status": "failed", "pilot_error_code": 1144}, "cancelled"),
    ],
)
def test_how_a_worker_ended(truepilot: bool, state: CeState | None, report: dict[str, Any], told: str) -> None:
    over = Over(BOOKED, Link(1, NAME, 1, None, truepilot), state)
    assert outcome(over, Update.model_validate({"job_id": 7, "attempt_nr": 1} | report)) == told


@pytest.mark.parametrize(
    ("trouble", "to"),
    [
        (None, PandaState.CLOSED),
        (FileNotFoundError("gone"), PandaState.CLOSED),
        (PermissionError("no"), None),
        (OSError("full"), None),
    ],
)
def test_a_report_is_handed_back_until_it_is_there(trouble: OSError | None, to: PandaState | None) -> None:
    row = replace(BOOKED, state=PandaState.TOREPORT, reporter=HARVESTER, refused=2)
    change = after_delivery(row, Update(job_id=7, job_status="failed"), "failed", trouble, NOW)
    assert change.to is to
    due = change.columns["heartbeat_due_at"]
    assert due == (None if to else NOW + timedelta(seconds=40))


@pytest.mark.parametrize("make", [lambda place: None, lambda place: place.write_text("a file")], ids=["gone", "a file"])
async def test_an_access_point_in_trouble(handed_queue: House, tmp_path: Path, make: Callable[[Path], object]) -> None:
    place = tmp_path / "17"
    make(place)
    (number,) = handed_queue.order()
    await submit(handed_queue, spec_of(handed_queue, number, access_point=str(place)))
    row = await handed_queue.row(number)
    await handed_queue.rt.write(harvester.kill, handed_queue.rt.settings, [row.id], handed_queue.rt.now())
    await handed_queue.run("heartbeat")
    after = await handed_queue.row(number)
    if place.exists():
        assert (after.state, after.refused) == ("toreport", 1)
        assert "cannot be handed back" in str(after.error)
        assert await hand_back.due(handed_queue.rt) == []
        place.unlink()
        place.mkdir()
        handed_queue.later(minutes=1)
        assert await hand_back.due(handed_queue.rt) == [server_of(handed_queue.rt)]
        await handed_queue.run("heartbeat")
        assert (place / REPORT).is_file()
    assert (await handed_queue.row(number)).state == "closed"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("{}", "a list of at most"),
        ("[7]", "worker 1"),
        ('[{"harvester_id": "a b", "worker_id": 1, "queue": "Q", "job": {}}]', "worker 1: harvester_id"),
        ('[{"harvester_id": "a", "worker_id": 0, "queue": "Q", "job": {}}]', "worker_id"),
        ('[{"harvester_id": "a", "worker_id": 1, "queue": "Q", "job": {}, "access_point": "x"}]', "absolute path"),
        (
            '[{"harvester_id": "a", "worker_id": 1, "queue": "Q", "job": {}, "access_point": "/x/../y"}]',
            "absolute path",
        ),
        ('[{"harvester_id": "a", "worker_id": 1, "queue": "Q", "job": {}, "more": 1}]', "more"),
    ],
)
def test_what_is_no_list_of_workers(text: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        read_specs(text)

"""Sealed inputs: opened for the CE alone; without the key their jobs wait, and the others go on."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime

import pytest
from sqlalchemy import select

from act_core.ce.base import OutcomeLost, Refused, RemoteId, SubmissionKey
from act_core.credentials.vault import key_file, make_key, rotate
from act_core.db import wishes
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.models import Description
from act_core.db.sealed import wipe
from act_core.engine.sealed import WIPED, opened, vault
from act_core.engine.submit import send_inputs, submit
from act_core.errors import BadInput
from act_core.jobspec import InputFile, JobSpec
from tests.engine.house import CE, House, SlowCe

HUSH = "hush-hush"
SEALED = JobSpec(name="j1", executable="run", inputs=(InputFile(name="f", sealed=True),))
PLAIN = JobSpec(name="j2", executable="run", inputs=(InputFile(name="f", content="plain"),))


class Listening(SlowCe):
    """A CE that remembers what it was given."""

    specs: dict[str, JobSpec]
    files: dict[str, str | None]

    async def submit(
        self, specs: Mapping[SubmissionKey, JobSpec], deadline: datetime | None = None
    ) -> Mapping[SubmissionKey, RemoteId | Refused | OutcomeLost]:
        self.specs = {spec.name: spec for spec in specs.values()}
        return await super().submit(specs, deadline)

    async def put_inputs(self, files: Mapping[RemoteId, Collection[InputFile]]) -> Mapping[RemoteId, Refused | None]:
        self.files |= {self.world.jobs[job].name: file.content for job, some in files.items() for file in some}
        return await super().put_inputs(files)


@pytest.fixture
async def ce(house: House) -> Listening:
    """A tower with a key, one job with a sealed input, and one without."""
    make_key(house.settings, first=True)
    end = Listening(house.end.world)
    end.specs, end.files, house.end = {}, {}, end
    sealed = vault(house).seal(json.dumps({"f": HUSH}))
    new = [NewJob("manual", "j1", SEALED, frozenset({CE}), 3, sealed=sealed)]
    new += [NewJob("manual", "j2", PLAIN, frozenset({CE}), 3)]
    await house.write(add_jobs, house.tower, new, house.now())
    return end


async def waits(house: House) -> dict[str, tuple[str, str | None]]:
    """State and trouble by job."""
    return {row.app_job_id: (row.state, row.error) for row in await house.rows()}


async def test_the_ce_is_given_what_the_tables_do_not_have(house: House, ce: Listening) -> None:
    assert await submit(house, CE) == {"submitted": 2}
    assert ce.specs["j1"].inputs == (InputFile(name="f", content=HUSH),)  # for a back end that spools at once
    await send_inputs(house, CE)
    assert ce.files == {"j1": HUSH, "j2": "plain"}
    kept = await house.read(lambda session: [str(vars(row)) for row in session.scalars(select(Description))])
    assert len(kept) == 2
    assert not [row for row in kept if HUSH in row]


async def test_without_the_key_its_jobs_wait_and_the_others_go_on(house: House, ce: Listening) -> None:
    key_file(house.settings).rename(key_file(house.settings).with_name("away"))
    assert await submit(house, CE) == {"submitted": 1, "tosubmit": 1}
    assert set(ce.specs) == {"j2"}
    state, error = (await waits(house))["j1"]
    assert state == "tosubmit"
    assert f"{key_file(house.settings)} cannot be read" in str(error)
    key_file(house.settings).with_name("away").rename(key_file(house.settings))
    house.ahead += house.settings.arc.jobs.spread * 60
    assert await submit(house, CE) == {"submitted": 1}
    assert ce.specs["j1"].inputs[0].content == HUSH


async def test_a_wrong_key_after_submission_waits_too(house: House, ce: Listening) -> None:
    await submit(house, CE)
    good = key_file(house.settings).read_bytes()
    key_file(house.settings).unlink()
    rotate(house.settings)
    await send_inputs(house, CE)
    assert ce.files == {"j2": "plain"}
    state, error = (await waits(house))["j1"]
    assert state == "submitted"
    assert "does not hold the key that sealed" in str(error)
    key_file(house.settings).write_bytes(key_file(house.settings).read_bytes() + good)
    house.ahead += house.settings.arc.jobs.spread * 60
    await send_inputs(house, CE)
    assert ce.files["j1"] == HUSH


async def test_what_is_wiped_is_not_sent_and_the_job_ends(house: House, ce: Listening) -> None:
    await house.write(wipe, "manual", ["j1", "j2"])
    closed, plain = [row.description_id for row in await house.rows()]
    found = await opened(house, [closed, plain])
    assert (found.refused, set(found.specs)) == ({closed: Refused(WIPED, for_good=True)}, {plain})
    await submit(house, CE)
    assert (await waits(house))["j1"] == ("donefailed", WIPED)


async def test_a_released_job_keeps_no_secrets(house: House, ce: Listening) -> None:
    question = select(Description.id).where(Description.sealed.is_not(None))
    assert len(await house.read(lambda session: session.scalars(question).all())) == 1
    await house.write(wishes.release, "manual", ["j1", "j2"], house.now())
    assert await house.read(lambda session: session.scalars(question).all()) == []


async def test_no_file_of_a_user_names_sealed_inputs(house: House) -> None:
    with pytest.raises(BadInput, match="sealed by the application"):
        await house.write(add_jobs, house.tower, [NewJob("manual", "j3", SEALED, frozenset({CE}), 3)], house.now())

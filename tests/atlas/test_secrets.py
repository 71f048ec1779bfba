"""The secrets of jobs reach their payload, and nobody and nothing else; they are gone when the job is."""

import asyncio
import logging
import shlex
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, inspect
from sqlalchemy.orm import Session

from act_core.atlas.sealing import LONGEST, waiting
from act_core.atlas.wire import decode_for_pilot
from act_core.ce.registry import kinds
from act_core.cli import job_show
from act_core.cli.explain import explained
from act_core.cli.stories import story
from act_core.credentials.vault import key_file, make_key, rotate
from act_core.db.bootstrap import open_tables
from act_core.monitor.ticket import ticket
from act_core.monitor.ticket_read import read_ticket
from act_core.runtime import Runtime
from act_core.settings.model import Settings
from act_core.simulators.pilot_file import wrapper
from act_core.states import PandaState
from tests.atlas.house import CE, WRAPPER, House

CANARY = "canary-7c1f&e"
SECRETS = {"secrets": f'{{"TOKEN": "{CANARY}"}}', "pilotSecrets": f"for the pilot: {CANARY}"}
ROUND = ("fetch-jobs", "translate", "submit", "sweep-status", "fetch-validate", "heartbeat", "clean")
SENT, STARTING = PandaState.SENT.value, PandaState.STARTING.value


@pytest.fixture
def keyed(queue: House) -> House:
    """A tower with a key."""
    make_key(queue.rt.settings, first=True)
    return queue


def rows_of(session: Session) -> Iterator[str]:
    """Every row of every table, as text."""
    metadata = MetaData()
    metadata.reflect(session.get_bind())
    assert "panda_jobs_archive" in inspect(session.get_bind()).get_table_names()
    for table in metadata.tables.values():
        yield from (f"{table.name}: {dict(row)}" for row in session.execute(table.select()).mappings())


async def sealed_rows(house: House) -> list[str]:
    texts = await house.rt.read(lambda session: list(rows_of(session)))
    return [text.partition(":")[0] for text in texts if "b'gAAAA" in text]


def shown(settings: Settings, job: str) -> Iterator[str]:
    """What commands tell of a job."""
    db = open_tables(settings)
    try:
        told = story(db, settings, job)
        yield str(told)
        yield from (job_show._in_words(told, language) for language in job_show.Language)
        answer = explained(db, settings, job)
        yield str(answer.for_programs())
        for subject in (CE, *[one["remote_id"] for one in told["attempts"] if one["remote_id"]]):
            found = db.read(read_ticket, settings, subject, kinds(), db.clock())
            assert found is not None
            yield str(ticket(*found, db.clock()).for_programs())
    finally:
        db.close()


def files_that_tell(root: Path) -> list[str]:
    """Files that have it in them and that others may read."""
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            words = path.read_bytes()
            there = any(form in words for form in (CANARY.encode(), CANARY.replace("&", "%26").encode()))
            mode = path.stat().st_mode & 0o077
            if there and (mode or path.name != "pandaJobData.out"):
                found.append(f"{path} {mode:o}")
    return found


async def all_that_is_shown(house: House, number: int) -> list[str]:
    """Rows, files that others may read, and what commands tell of a job that is in the tables still."""
    found = await house.rt.read(lambda session: list(rows_of(session)))
    found += await asyncio.to_thread(files_that_tell, house.rt.settings.state_dir)
    if number in await house.rows():
        found += await asyncio.to_thread(lambda: list(shown(house.rt.settings, f"{number}.1")))
    return found


def spying(seen: Path, gate: Path) -> bytes:
    """A pilot that tells what it was given, and goes on when the gate is there."""
    spy = f"""#!/bin/sh
cp pandaJobData.out {shlex.quote(str(seen))}
while [ ! -e {shlex.quote(str(gate))} ]; do sleep 0.02; done
exec python3 "$0" "$@"
"""
    return spy.encode() + wrapper()


async def test_they_reach_the_payload_alone(
    keyed: House,
    tmp_path: Path,
    eventually: Callable[..., Awaitable[Any]],
    end_all: Callable[..., Awaitable[None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    keyed.configure(joblog={"urlprefix": "https://logs.example/act"})
    seen, gate = tmp_path / "seen", tmp_path / "gate"
    keyed.shelf.files.put(WRAPPER, spying(seen, gate))
    (number,) = keyed.order(kind="analysis", run_s=0, extra=SECRETS)
    quiet: list[str] = []

    async def over() -> bool:
        await keyed.run(*ROUND)
        if seen.exists() and not gate.exists():
            quiet.extend(await all_that_is_shown(keyed, number))
            assert sorted(await sealed_rows(keyed)) == ["job_descriptions", "panda_jobs"]
            gate.touch()
        return keyed.book(number).status == "finished"

    try:
        await eventually(over, "the job's end")
    finally:
        gate.touch()
        await end_all(await keyed.rt.ce(CE), keyed.rt.settings.state_dir / "local" / CE)
    told = decode_for_pilot(seen.read_text())
    assert {name: told[name] for name in SECRETS} == SECRETS
    assert await sealed_rows(keyed) == []
    keyed.later(minutes=5)
    await keyed.run("clean")
    quiet.extend(await all_that_is_shown(keyed, number))
    assert any("'***'" in text for text in quiet)
    for text in (*quiet, caplog.text):
        assert CANARY not in text
        assert CANARY.replace("&", "%26") not in text


async def test_without_a_key_its_jobs_wait_before_they_are_booked_and_no_others(keyed: House) -> None:
    away = key_file(keyed.rt.settings).rename(key_file(keyed.rt.settings).with_name("away"))
    (secret,), (plain,) = keyed.order(extra=SECRETS), keyed.order()
    await keyed.run("fetch-jobs")
    assert await keyed.states() == {plain: SENT}
    assert str(key_file(keyed.rt.settings)) in str((await keyed.queue()).trouble)
    (later,) = keyed.order()
    keyed.later(minutes=2)
    await keyed.run("fetch-jobs")
    assert keyed.book(later).acquisitions == 0  # what has to be kept in memory does not grow
    away.rename(key_file(keyed.rt.settings))
    keyed.later(minutes=5)
    await keyed.run("fetch-jobs")
    assert await keyed.states() == dict.fromkeys((secret, plain), SENT)
    assert (await keyed.queue()).trouble is None
    await keyed.run("fetch-jobs")
    assert await keyed.states() == dict.fromkeys((secret, plain, later), SENT)
    assert {keyed.book(number).acquisitions for number in (secret, plain, later)} == {1}


async def test_a_key_that_comes_too_late_finds_no_job_that_panda_has_taken_back(
    keyed: House, caplog: pytest.LogCaptureFixture
) -> None:
    key_file(keyed.rt.settings).unlink()
    (number,) = keyed.order(extra=SECRETS)
    await keyed.run("fetch-jobs")
    keyed.later(minutes=26)
    rotate(keyed.rt.settings)
    await keyed.run("fetch-jobs")
    assert await keyed.rows() == {}
    assert f"not booked for want of a key for their secrets: {number}" in caplog.text


async def test_what_waits_in_memory_is_named_when_the_process_ends(
    keyed: House, caplog: pytest.LogCaptureFixture
) -> None:
    key_file(keyed.rt.settings).unlink()
    (number,) = keyed.order(extra=SECRETS)
    await keyed.run("fetch-jobs")
    await waiting(keyed.rt).close()
    assert f"secrets: {number}" in caplog.text
    assert CANARY not in caplog.text


async def test_without_the_key_booked_jobs_wait_and_the_others_are_bound(keyed: House) -> None:
    (secret,), (plain,) = await keyed.taken(extra=SECRETS), await keyed.taken()
    good = key_file(keyed.rt.settings).read_bytes()
    key_file(keyed.rt.settings).unlink()
    rotate(keyed.rt.settings)
    await keyed.run("translate")
    assert await keyed.states() == {secret: SENT, plain: STARTING}
    assert await keyed.run("translate") == {}  # not asked again at once
    (more,) = await keyed.taken()
    assert await keyed.run("translate") == {"bound": 1}
    key_file(keyed.rt.settings).write_bytes(key_file(keyed.rt.settings).read_bytes() + good)
    keyed.later(minutes=2)
    assert await keyed.run("translate") == {"bound": 1}
    assert await keyed.states() == dict.fromkeys((secret, plain, more), STARTING)


async def test_a_job_that_ends_before_it_is_bound_leaves_no_secrets(keyed: House) -> None:
    (number,) = await keyed.taken(extra=SECRETS | {"coreCount": 10**9})
    assert await keyed.rows() != {}
    (secret,) = await keyed.taken(inputs=1, extra=SECRETS | {"inFiles": "pandaJobData.out"})
    assert await sealed_rows(keyed) == ["panda_jobs"]
    await keyed.run("translate", "heartbeat")
    assert await keyed.states() == dict.fromkeys((number, secret), PandaState.CLOSED.value)
    assert await sealed_rows(keyed) == []


async def test_secrets_that_no_row_can_hold_are_refused_by_name(keyed: House) -> None:
    (number,) = await keyed.taken(extra={"secrets": "x" * LONGEST})
    await keyed.run("heartbeat")
    assert keyed.book(number).status == "failed"
    assert f"more than {LONGEST}" in str(keyed.book(number).columns["pilotErrorDiag"])
    (number,) = await keyed.taken(extra={"secrets": "x" * (LONGEST - 20)})
    await keyed.run("translate")
    assert (await keyed.row(number)).state == STARTING


async def test_another_process_opens_what_this_one_sealed(keyed: House) -> None:
    (number,) = await keyed.taken(extra=SECRETS)
    async with Runtime.open(keyed.rt.settings) as other:
        keyed.tower.rt, mine = other, keyed.rt
        assert await keyed.run("translate") == {"bound": 1}
        keyed.tower.rt = mine
    assert (await keyed.row(number)).state == STARTING

"""A file of the configuration that says nothing any more (a save that failed), and an observation that begins."""

import pytest

from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.session import Database
from act_core.jobspec import JobSpec
from act_core.live import Live
from act_core.stages import Tower
from tests.test_live import Files, changed, files, live, tables, tower

__all__ = ["files", "live", "tables", "tower"]  # fixtures of that module


@pytest.mark.parametrize("words", ["", " \n", "# sites: see the wiki\n---\n"])
def test_a_file_that_says_nothing_any_more_is_a_save_that_failed(
    live: Live, tables: Database, files: Files, words: str
) -> None:
    """It would take all CEs out of service, and end an observation."""
    files.sites(more="tower: {observe: true}")
    live.look(hurry=True)
    live.tell(tables)
    files.write(arc=words)
    assert not live.look(hurry=True)
    assert live.holds.arc.tower.observe
    assert "arc.yaml: is empty; to set nothing in it, let it say {}" in live.problems[0]
    again = Live.open(files.env)
    assert (again.holds.arc.tower.observe, len(again.problems)) == (True, 1)
    files.write(arc="{}")
    assert live.look(hurry=True)
    assert not live.problems
    assert not live.holds.arc.sites


def test_a_file_that_is_found_and_then_gone_is_missed(files: Files, tables: Database) -> None:
    place = files.root / "venv" / "etc" / "act"
    place.mkdir(parents=True)
    (files.root / "arc.yaml").replace(place / "aCTConfigARC.yaml")
    env = {key: value for key, value in files.env.items() if key != "ACTCONFIGARC"}
    env["VIRTUAL_ENV"] = str(files.root / "venv")
    live = Live.open(env)
    live.tell(tables)
    (place / "aCTConfigARC.yaml").unlink()
    assert not live.look(hurry=True)
    assert "is not there any more" in live.problems[0]
    assert "here" in Live.open(env).holds.arc.sites


async def test_a_tower_that_begins_to_observe_sends_nothing_more(
    tower: Tower, live: Live, tables: Database, files: Files
) -> None:
    """Not even the round that was found before; and it goes on only when the files say so."""
    job = NewJob("manual", "j1", JobSpec(executable="/bin/true"), frozenset({"here"}), 3)
    await tower.rt.write(add_jobs, tower.rt.tower, [job], tower.rt.now())
    (found,) = await tower.due("submit")
    files.sites(more="tower: {observe: true}")
    await changed(live, tables)
    assert await tower.due("submit") == []
    assert await tower.round(*found) == {}
    files.write(arc="")
    await changed(live, tables)
    assert await tower.due("submit") == []
    files.sites()
    await changed(live, tables)
    assert found in await tower.due("submit")
    assert (await tower.round(*found))["submitted"] == 1

"""`act report`: the original's tables, of when they are, and nothing done beside."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from act_core.atlas.report import word_of
from act_core.db import listing
from act_core.db.models import Ce, JobCount, Tower
from act_core.db.panda_models import PandaRow
from act_core.db.session import Database
from act_core.settings import load_settings
from act_core.states import PandaState
from tests.cli.conftest import Act, Said
from tests.cli.test_tables import Tables

SERVER = "panda.example.org"
APP = f"modules: {{app: [manual, atlas]}}\npanda: {{server: 'https://{SERVER}'}}\n"


@pytest.fixture
def tables(act: Act, place: Path) -> Iterator[Tables]:
    """Four jobs at two CEs of different kinds, two that wait, and PanDA jobs in two queues."""
    (place / "aCTConfigAPP.yaml").write_text(APP)
    act("ces", "list")
    db = Database(load_settings().settings)
    made = Tables(db)
    made.add("a", "b", "c", "d", "e", "f")
    for name, ce, state in (("a", "here", "running"), ("b", "here", "lost"), ("c", "there", "running")):
        made.job(name, ce=ce, state=state)
    made.job("d", ce="there", state="holding")
    made.put(Ce, Ce.name == "there", kind="arc-rest", endpoint="https://ce.example.org/arex", next_poll_at=made.now)
    panda(db, made, ("Q10", "running", "running", 8), ("Q10", "closed", "finished", 1), ("Q9", "tokill", "running", 1))
    yield made
    db.close()


def panda(db: Database, tables: Tables, *jobs: tuple[str, str, str, int], server: str = SERVER) -> None:
    times = dict.fromkeys(("state_since", "created", "modified"), tables.now)
    rows = [
        {"server": server, "panda_id": n, "attempt_nr": 1, "queue": queue, "label": "", "job": "{}", "state": state}
        | {"told": told, "cores": cores, **times}
        for n, (queue, state, told, cores) in enumerate(jobs, 1)
    ]
    db.write(lambda session: session.execute(insert(PandaRow), rows) and None)


def body(said: Said) -> dict[str, Any]:
    return {table["title"]: table for table in said.json["tables"]}


def test_text_has_a_table_a_family_and_totals(act: Act, tables: Tables) -> None:
    said = act("report")
    assert (said.code, said.err) == (0, "")
    first, *lines = said.lines
    assert re.fullmatch(r"tower \w+: counted at \S+Z, [01] s ago", first)
    assert lines == [
        "",
        "ARC CEs",
        "CE host holding running total",
        "there ce.example.org 1 1 2",
        "total 1 1 2",
        "",
        "other CEs",
        "CE host running lost total",
        "here 1 1 2",
        "total 1 1 2",
        "",
        "waiting for a CE (tosubmit)",
        "application share jobs cores oldest",
        "manual 2 2 " + lines[13].removeprefix("manual 2 2 "),
        "total 2 2",
        "",
        "no word of their CE for 24 h",
        "CE running last word",
        "here 1 never",
        "total 1",
        "",
        f"PanDA jobs at {SERVER}",
        "queue running slots done tobekilled",
        "Q9 0 0 0 1",
        "Q10 1 8 1 0",
        "total 1 8 1 1",
    ]


def test_programs_get_every_column(act: Act, tables: Tables) -> None:
    said = act("report", "--json")
    (row,) = body(said)["ARC CEs"]["rows"]
    assert (row["CE"], row["running"], row["finished"], row["total"]) == ("there", 1, 0, 2)
    assert body(said)[f"PanDA jobs at {SERVER}"]["totals"]["slots"] == 8
    assert 0 <= said.json["age_s"] < 10


def test_what_a_tower_has_counted_is_told_and_not_counted_again(act: Act, tables: Tables) -> None:
    act("report")
    tables.put(JobCount, JobCount.ce == "here", n=1000)
    tables.put(Tower, Tower.id == 1, counted_at=tables.now - timedelta(seconds=9))
    assert body(act("report", "--json"))["other CEs"]["totals"]["running"] == 1000
    tables.put(Tower, Tower.id == 1, counted_at=tables.now - timedelta(seconds=99))
    assert body(act("report", "--json"))["other CEs"]["totals"]["running"] == 1


def test_the_status_believes_a_tower_that_counts_and_else_its_own_eyes(act: Act, tables: Tables) -> None:
    act("report")
    tables.put(JobCount, JobCount.ce == "here", n=1000)
    (running, *_) = (row["jobs"]["running"] for row in act("status", "--json").json["ces"])
    assert running == 1  # no tower is up here
    for age, told in ((9, 1000), (31, 1)):
        tables.put(Tower, Tower.id == 1, counted_at=tables.now - timedelta(seconds=age))
        counted = tables.db.read(listing.lately, tables.now, by_tower=True)
        assert {one.n for one in counted.counts if (one.ce, one.state) == ("here", "running")} == {told}
        assert (counted.at == tables.now) == (told == 1)


def test_a_page_that_needs_nothing_else(act: Act, tables: Tables, place: Path) -> None:
    hostile = "<script>alert(1)</script>"
    tables.db.write(lambda s: s.execute(update(PandaRow).values(queue=hostile)) and None)
    mask = os.umask(0o077)
    said = act("report", "--web", place / "report.html")
    os.umask(mask)
    assert (said.code, said.out, said.err) == (0, "", "")
    page = (place / "report.html").read_text()
    assert '<meta http-equiv="refresh" content="60">' in page
    assert "&lt;script&gt;alert" in page
    assert "<script" not in page
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert (place / "report.html").stat().st_mode & 0o777 == 0o644
    assert [one.name for one in place.iterdir() if "report" in one.name] == ["report.html"]


def test_a_page_that_cannot_be_written(act: Act, tables: Tables, place: Path) -> None:
    said = act("report", "--web", place / "no" / "r.html")
    assert (said.code, said.err) == (2, f"{place}/no/r.html: the page cannot be written: No such file or directory\n")
    assert act("report", "--web", place).err.endswith("is a directory; name the page's file\n")


def test_other_towers_by_their_files(act: Act, tables: Tables, place: Path) -> None:
    here, gone = place / "aCTConfigARC.yaml", place / "gone.yaml"
    gone.write_text(f"db: {{file: {place}/gone.sqlite}}\nsites: {{}}\n")
    said = act("report", here, "aCTConfigAPP.yaml", gone, "--json")
    assert said.code == 1
    assert [one["tables"][-1]["title"] for one in said.json] == [f"PanDA jobs at {SERVER}"]
    assert said.err == f"warning: {gone}: {place}/gone.sqlite: no state tables; run `act bootstrap`\n"
    said = act("report", "aCTConfigAPP.yaml", here)
    assert (said.code, said.err.startswith("aCTConfigAPP.yaml: an aCTConfigAPP.yaml belongs behind")) == (2, True)


def test_each_instance_has_its_own_queues(act: Act, tables: Tables, place: Path) -> None:
    more = "instances: {doma: {panda: {server: 'https://doma.example.org'}}}\n"
    (place / "aCTConfigAPP.yaml").write_text(APP + more)
    tables.db.write(
        lambda s: s.execute(update(PandaRow).where(PandaRow.queue == "Q9").values(server="doma.example.org")) and None
    )
    found = body(act("report", "--json"))
    assert [row["queue"] for row in found[f"PanDA jobs at {SERVER}"]["rows"]] == ["Q10"]
    assert [row["queue"] for row in found["PanDA jobs at doma.example.org (doma)"]["rows"]] == ["Q9"]


def test_a_tower_without_jobs(act: Act) -> None:
    assert act("report").lines[1:] == ["no jobs"]


@pytest.mark.parametrize(
    ("state", "told", "word"),
    [
        ("running", "running", "running"),
        ("tokill", "running", "tobekilled"),
        ("toreport", "running", "toreport"),
        ("closed", "finished", "done"),
        ("closed", "failed", "donefailed"),
        ("closed", "running", "donecancelled"),
        ("closed", "", "donecancelled"),
    ],
)
def test_jobs_stand_under_the_originals_words(state: str, told: str, word: str) -> None:
    assert word_of(PandaState(state), told) == word

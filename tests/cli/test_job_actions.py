"""Bulk actions over jobs: looked at first, asked for, told."""

import io
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from act_core.db.panda_models import PandaRow
from act_core.db.session import Database
from act_core.settings import load_settings
from tests.cli.conftest import Act
from tests.cli.test_tables import Tables


@pytest.fixture
def tables(act: Act) -> Iterator[Tables]:
    db = Database(load_settings().settings)
    made = Tables(db)
    made.add("a", "b", "c")
    made.add("77.1", "78.1", app="atlas")
    made.job("a", ce="here", state="running", remote_id="r-a")
    made.job("b", ce="here", state="failed", error="no space left", state_since=made.now - timedelta(days=2))
    made.job("77.1", ce="there", state="running", share="Q")
    made.job("78.1", share="Q")
    yield made
    db.close()


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def _wishes(act: Act) -> dict[str, str]:
    return {row["id"]: row["wish"] for row in act("jobs", "list", "--json").json if row["wish"]}


def test_a_dry_run_counts_and_names_the_first_and_changes_nothing(act: Act, tables: Tables) -> None:
    said = act("jobs", "cancel", "--state", "running", "--dry-run")
    assert said.code == 0
    assert said.lines == [
        "app CE state jobs",
        "atlas there running 1",
        "manual here running 1",
        "2 jobs, the oldest ones: a, 77.1",
    ]
    told = act("jobs", "cancel", "--state", "running", "--dry-run", "--json").json
    assert (told["matched"], told["granted"], told["first"]) == (2, 0, ["a", "77.1"])
    assert _wishes(act) == {}


def test_with_yes_it_is_done_and_told(act: Act, tables: Tables) -> None:
    said = act("jobs", "cancel", "--state", "running", "--ce", "here", "--yes")
    assert (said.code, said.out) == (0, "cancel: wished for 1 of 1 jobs\n")
    assert act("jobs", "resubmit", "--older", "1d", "--error", "NO SPACE", "--yes", "--json").json["granted"] == 1
    assert _wishes(act) == {"a": "tocancel", "b": "toresubmit"}
    assert act("jobs", "cancel", "--share", "Q", "--app", "manual", "--yes").out == "no jobs: nothing to do\n"


def test_what_is_not_granted_ends_with_1(act: Act, tables: Tables) -> None:
    tables.job("a", request="clean")
    said = act("jobs", "cancel", "--state", "running", "--yes", "--json")
    assert (said.code, said.json["granted"], said.json["not_done"]) == (1, 1, {"a": "kept: clean"})
    assert "a: not done: it is to be removed from its CE" in act("jobs", "cancel", "--ce", "here", "--yes").out


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        pytest.param("jobs cancel", "needs a filter", id="nothing is named"),
        pytest.param("jobs cancel --app manual --yes", "needs a filter", id="an application is no filter"),
        pytest.param("jobs cancel --state running", "cancel of 2 jobs: nobody is here to be asked; --yes", id="no yes"),
        pytest.param("jobs clean --older soon", "--older 'soon': a time is wanted, such as 30m", id="a time"),
        pytest.param("jobs clean --ids no.txt", "no.txt: No such file", id="a file"),
        pytest.param("jobs clean --ce heer", "no CE 'heer'; the nearest: here", id="a typo"),
    ],
)
def test_mistakes_change_nothing(act: Act, tables: Tables, words: str, culprit: str) -> None:
    said = act(*words.split())
    assert (said.code, said.out) == (2, "")
    assert culprit in said.err
    assert _wishes(act) == {}


@pytest.mark.parametrize(("typed", "code", "wishes"), [("y\n", 0, {"a"}), ("n\n", 1, set())], ids=["yes", "no"])
def test_somebody_is_asked_with_the_number(
    act: Act, tables: Tables, monkeypatch: pytest.MonkeyPatch, typed: str, code: int, wishes: set[str]
) -> None:
    asked = Terminal()
    with monkeypatch.context() as typing:
        typing.setattr(sys, "stdin", Terminal(typed))
        typing.setattr(sys, "stderr", asked)
        said = act("jobs", "cancel", "--ce", "here", "--state", "running")
    assert said.code == code
    assert "cancel 1 jobs?" in asked.getvalue()
    assert set(_wishes(act)) == wishes


def test_ids_come_out_of_a_file_or_a_pipe(
    act: Act, tables: Tables, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert act("ces", "list").code == 0  # which enters them
    (place / "ids.txt").write_text("# of this morning\nb\n\nr-a  # by its id on the CE\nnosuch\n")
    assert act("jobs", "list", "--ids", "ids.txt", "--json").json[0]["id"] == "b"
    said = act("jobs", "fetch", "--ids", "ids.txt", "--yes")
    assert (said.out, said.err) == (
        "fetch: wished for 2 of 2 jobs\n",
        "warning: 3 ids are named, and 2 open jobs match\n",
    )
    with monkeypatch.context() as piped:
        piped.setattr(sys, "stdin", io.StringIO("c\n"))
        assert act("jobs", "cancel", "--ids", "-", "--yes").code == 0
    assert _wishes(act) == {"a": "tofetch", "b": "tofetch", "c": "tocancel"}


@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
def test_jobs_of_panda_are_found_by_queue_and_number(act: Act, tables: Tables, place: Path, many: bool) -> None:
    now = tables.now
    row = {"server": "pandaserver.cern.ch:25443", "queue": "Q", "label": "managed", "job": "{}", "state": "starting"}
    times = {"state_since": now, "created": now, "modified": now}
    jobs = [PandaRow(panda_id=number, attempt_nr=1, **row, **times) for number in (77, 78)]
    tables.db.write(lambda session: session.add_all(jobs))
    assert act("jobs", "list", "--share", "Q", "--count", "--json").json["n"] == 2
    (place / "ids.txt").write_text("77\n" + "".join(f"{n}\n" for n in range(1000, 1100) if many))
    said = act("jobs", "cancel", "--ids", "ids.txt", "--yes")
    assert said.out == "cancel: wished for 1 of 1 jobs\n"
    assert _wishes(act) == {"77.1": "tocancel"}


def test_a_count_is_by_application_ce_and_state(act: Act, tables: Tables) -> None:
    assert act("jobs", "list", "--ce", "here", "--count").lines == [
        "app CE state jobs",
        "manual here failed 1",
        "manual here running 1",
        "2 jobs",
    ]
    assert act("jobs", "list", "--archived", "--count", "--json").json == {"n": 0, "counts": []}

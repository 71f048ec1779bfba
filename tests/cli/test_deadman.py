"""`act deadman` as a timer calls it: its exit codes are what counts."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import update

from act_core.db import leases
from act_core.db.models import Tower
from act_core.db.session import Database
from act_core.settings import load_settings
from tests.cli.conftest import Act
from tests.monitor import filled


def _at_work(late: timedelta | None = None) -> None:
    db = Database(load_settings(None, None).settings)
    now = db.clock()
    db.write(lambda session: session.execute(update(Tower).values(counted_at=now)) and None)
    db.write(leases.take, "submit/submit", "here", leases.holder(), now)
    if late:
        db.write(filled.panda, now, late)
    db.close()


def test_all_is_well(act: Act) -> None:
    _at_work()
    said = act("deadman")
    assert (said.code, said.lines[0]) == (0, "the tower is at work")
    assert "no report to PanDA is due" in said.lines
    assert said.lines[-1].endswith("(lives): at work")


def test_something_is_late(act: Act) -> None:
    _at_work(timedelta(hours=1))
    said = act("deadman", "--json")
    assert said.code == 1
    assert not said.json["good"]
    assert len(said.json["wrong"]) == 1
    (overdue,) = said.json["overdue"]
    assert (overdue["server"], overdue["reports"], overdue["late_s"] // 60) == (filled.SERVER, 2, 60)
    assert said.json["workers"][0]["lives"] is True
    words = act("deadman")
    assert (words.code, words.lines[0]) == (1, "the tower is not at work as it should be:")
    assert "2 reports to panda.example.org overdue" in words.out
    assert act("deadman", "--late", "2h").code == 0


def test_it_never_ran(act: Act) -> None:
    assert act("deadman").code == 1


def test_mistakes_and_a_database_that_is_away(bare: Act, place: Path) -> None:
    said = bare("deadman", "--late", "soon")
    assert (said.code, said.err) == (2, "--late 'soon': a time is wanted, such as 30m, 2h or 3d\n")
    said = bare("deadman")
    assert said.code == 2
    assert "act bootstrap" in said.err
    (place / "aCTConfigARC.yaml").write_text("db: {type: mysql, host: 127.0.0.1, port: 1}\n")
    assert bare("deadman").code == 3

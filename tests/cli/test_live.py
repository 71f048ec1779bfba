"""What an operator sees of a configuration that changed while the tower is up, and of a disk that is too full."""

from pathlib import Path

from act_core.db import ledger
from act_core.db.session import Database
from act_core.disks import FileSystem, Stops
from act_core.engine.room import line
from act_core.live import Live
from act_core.settings.model import Settings
from act_core.settings.policy import Disk
from tests.cli.conftest import CONFIGURATION, Act


def up(place: Path) -> tuple[Live, Database]:
    """This process is the worker of a tower that is up."""
    live, db = Live.open(), Database(Settings(state_dir=place / "state"))
    live.tell(db)
    return live, db


def test_a_bad_file_is_red_and_every_command_goes_on(act: Act, place: Path) -> None:
    live, db = up(place)
    file = place / "aCTConfigARC.yaml"
    assert act("config", "check", "--json").json["tower"]["in_force"]
    file.write_text(CONFIGURATION + "breaker: {failures: 9}\n")
    said = act("config", "check")
    assert "has not taken it over yet" in said.out
    assert live.look(hurry=True)
    live.tell(db)
    assert "the tower that is up has taken it over" in act("config", "check").out
    file.write_text("sites: [\n")
    live.look(hurry=True)
    live.tell(db)
    said = act("status", "--json")
    (own,) = said.json["own"]
    assert "refuses it (aCTConfigARC.yaml" in own["why"]
    assert "warning: refused: aCTConfigARC.yaml" in said.err
    assert {ce["name"] for ce in said.json["ces"]} == {"here", "there"}
    (tower,) = act("explain", "here", "--json").json["tower"]
    assert tower.startswith("The configuration was changed")
    assert act("explain", "here").out.startswith("The configuration was changed")
    assert act("config", "check").code == 2
    file.write_text(CONFIGURATION)
    live.look(hurry=True)
    live.tell(db)
    assert act("status", "--json").json["own"] == []
    db.close()


def test_what_wants_a_restart_is_told(act: Act, place: Path) -> None:
    live, db = up(place)
    (place / "aCTConfigARC.yaml").write_text(CONFIGURATION + "prefect: {pause: 3}\n")
    live.look(hurry=True)
    live.tell(db)
    assert "cannot take over what was changed in prefect.pause" in act("status").out
    assert "a restart is wanted by prefect.pause" in act("config", "check").out
    db.close()


def test_without_a_tower_a_bad_file_is_refused(act: Act, place: Path) -> None:
    (place / "aCTConfigARC.yaml").write_text("sites: [\n")
    assert act("status").code == 2


def test_a_full_disk_is_red(act: Act, place: Path) -> None:
    full = FileSystem(Path("/data"), ("results",), 10**9, 10**11)
    db = Database(Settings(state_dir=place / "state"))
    db.write(ledger.note, [line(full, Stops.DOWNLOADS, Disk(), ())], db.clock())
    db.close()
    out = act("status").out
    assert "/data on " in out
    assert "has 1.0 GB free (1.0 %), and the limit for downloads is 5 % (disk.downloads)" in out
    assert "Make room on that file system at once" in act("explain", "here").out

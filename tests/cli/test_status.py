"""What `act status` says of PanDA."""

from pathlib import Path

from act_core.atlas.panda_check import line_of
from act_core.atlas.reports import Attributes
from act_core.db import ledger
from act_core.db.session import Database
from act_core.settings.model import Settings
from tests.cli.conftest import Act

SERVER = "panda.example.org:25443"


def test_a_panda_that_gives_us_no_role_is_told_by_name(act: Act, place: Path) -> None:
    assert act("status", "--json").json["panda"] == []
    db = Database(Settings(state_dir=place / "state"))
    said = Attributes("/CN=robot", ("/atlas/Role=pilot",), production=False)
    db.write(ledger.note, [line_of(SERVER, said)], db.clock())
    db.close()
    (words,) = act("status", "--json").json["panda"]
    assert words.startswith(f"{SERVER} gives /CN=robot no production role")
    assert "/atlas/Role=pilot" in act("status").out

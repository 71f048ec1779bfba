"""What a pass of `refresh-queues` costs: a feed of 3,000 queues, 5 % of them broken, parsed and written.

`python -m benchmarks.cric_queues --queues 3000 --broken 0.05 --database sqlite --json`. Seconds, the least of
`--passes`: parsed; written for the first time; a pass in which nothing is new; one in which a tenth is. Statements:
of each of the three. Exit 1: a broken entry was not named, or a good one did not come in.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import delete

from act_core.atlas.cric import Parsed, parse_queues
from act_core.atlas.cric_feed import queues_of
from act_core.atlas.refresh import Owner, write_queues
from act_core.db.bootstrap import bootstrap
from act_core.db.models import Ce
from act_core.db.panda_models import PandaQueue
from act_core.db.session import Database
from act_core.settings.app_model import Cric
from act_core.settings.model import ArcSettings, Settings
from act_core.simulators.cric_crowd import Crowd, crowd
from benchmarks.tables import state_tables
from benchmarks.tally import Tally

CHANGED = 10  # each so-manieth queue, where some change


def parsed(text: str) -> Parsed:
    return parse_queues(queues_of(text), Cric(), {}, {})


def least(passes: int, deed: Callable[[], Any], before: Callable[[], Any] = lambda: None) -> float:
    seconds = []
    for _ in range(passes):
        before()
        began = time.perf_counter()
        deed()
        seconds.append(time.perf_counter() - began)
    return round(min(seconds), 3)


def statements_of(tally: Tally, deed: Callable[[], Any]) -> int:
    """How many a deed takes."""
    before = tally.statements
    deed()
    return tally.statements - before


def emptied(db: Database) -> None:
    db.write(lambda session: [session.execute(delete(table)) for table in (PandaQueue, Ce)] and None)


def measure(settings: Settings, made: Crowd, passes: int) -> dict[str, float]:
    text = json.dumps(made.entries)
    same = parsed(text)
    good = [name for name in made.entries if name not in made.broken]
    online: dict[str, Any] = dict(made.entries)
    for name in good[::CHANGED]:
        online[name] = online[name] | {"status": "test"}
    other = parsed(json.dumps(online))
    with closing(Database(settings)) as db:
        bootstrap(db, db.clock())
        tally = Tally(db)

        def write(what: Parsed) -> Callable[[], Any]:
            return lambda: db.write(write_queues, Owner("panda.example", "cric"), what, {}, db.clock())

        found: dict[str, float] = {
            "megabytes": round(len(text) / 1e6, 1),
            "parsed_s": least(passes, lambda: parsed(text)),
            "first_s": least(passes, write(same), lambda: emptied(db)),
            "same_s": least(passes, write(same)),
            "changed_s": least(passes, write(other), write(same)),
        }
        emptied(db)
        found["first_statements"] = statements_of(tally, write(same))
        found["same_statements"] = statements_of(tally, write(same))
        found["changed_statements"] = statements_of(tally, write(other))
    lost = set(made.broken) - same.unreadable, set(good) - set(same.queues)
    return found | {"not_named": len(lost[0]), "not_read": len(lost[1])}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cric_queues", description=__doc__)
    parser.add_argument("--queues", type=int, default=3000)
    parser.add_argument("--broken", type=float, default=0.05, help="part of them")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--database", default="sqlite", help="sqlite, or mysql://user:password@host:port")
    parser.add_argument("--json", action="store_true", help="for programs")
    asked = parser.parse_args()
    made = crowd(asked.queues, asked.broken)
    with tempfile.TemporaryDirectory(prefix="act-cric-") as directory, state_tables(asked.database) as db:
        settings = Settings(state_dir=Path(directory), arc=ArcSettings(db=db))
        found = {"queues": asked.queues, "broken": len(made.broken)} | measure(settings, made, asked.passes)
    sys.stdout.write(f"{json.dumps(found)}\n" if asked.json else "".join(f"{k:18} {v}\n" for k, v in found.items()))
    return 1 if found["not_named"] or found["not_read"] else 0


if __name__ == "__main__":
    sys.exit(main())

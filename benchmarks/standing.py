"""A tower that is up, as `act up` brings it up: what its processes use, and its state tables to look into."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from act_core.db import runs
from act_core.db.session import Database
from act_core.processes import await_up, standing
from act_core.settings import Settings, load_settings
from act_core.settings.load import VARIABLES
from act_core.settings.model import Db
from benchmarks.processes import all_cpu_s, cpu_s, family, pss
from benchmarks.tables import server_process
from flows.standing import take_down

UP_S, DOWN_S, LOOK_S = 180.0, 40.0, 0.2
HOUR = timedelta(hours=1)
ENGINE = ("submit", "sweep-status", "fetch-validate", "clean")
PANDA = ("fetch-jobs", "translate", "heartbeat")
PREFECT = "prefect-server"
SUPERVISOR, DATABASE = "supervisor", "database server"


class NotUp(Exception):
    """The tower did not come up, and its last words."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`settings`: the tower's, `db`: connections of our own to its state tables."""

    settings: Settings
    db: Database

    def processes(self) -> dict[str, int]:
        """Name → number: the supervisor, its children, and the database server where it runs here."""
        said = standing(self.settings.state_dir)
        if said is None:
            raise NotUp("the tower has gone down")
        found = {SUPERVISOR: said["pid"]} | {name: pid for name, (pid, _) in said["children"].items()}
        server = server_process(self.settings.arc.db) if self.settings.arc.db.type == "mysql" else None
        return found | ({DATABASE: server} if server else {})

    def number(self) -> int:
        """How many processes the tower is made of; the database server is none of them."""
        return len(family(self.processes()[SUPERVISOR]))

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of each process so far, its children's included."""
        alone = (SUPERVISOR, DATABASE)  # of the children of the one the others are told by name
        return {name: cpu_s(n) if name in alone else all_cpu_s(family(n)) for name, n in self.processes().items()}

    def memory(self) -> dict[str, int]:
        """Bytes (PSS) of each process, its children's included."""
        return {
            name: pss(n) if name == SUPERVISOR else sum(map(pss, family(n))) for name, n in self.processes().items()
        }


def write_configuration(root: Path, arc: Mapping[str, Any], app: Mapping[str, Any]) -> dict[str, str]:
    """Both files of a tower whose state directory is below `root`; what its processes need in their environment."""
    made = {"ACT_STATE_DIR": str(root / "state")}
    for kind, held in (("arc", arc), ("app", app)):
        path = root / f"{kind}.yaml"
        path.write_text(yaml.safe_dump(dict(held), sort_keys=False), encoding="utf-8")
        made[VARIABLES[kind]] = str(path)
    return made


def tables_environment(db: Db) -> dict[str, str]:
    """The state tables of a tower, as environment instead of what its file says."""
    if db.type == "sqlite":
        return {}
    held = {"type": db.type, "host": db.host, "port": db.port, "user": db.user, "name": db.name}
    return {f"ACT_DB__{name.upper()}": str(value) for name, value in held.items()} | {
        "ACT_DB__PASSWORD": db.password.get_secret_value()
    }


@contextlib.contextmanager
def tower(root: Path, environment: Mapping[str, str]) -> Iterator[Standing]:
    """Up until the block ends, on ports of its own, once each stage has begun its first window. Raises NotUp."""
    env = {**os.environ, **environment}
    settings = load_settings(env=env).settings
    with (root / "tower.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "act_core.cli", "up", "--port", "0"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            if not await_up(settings.state_dir, lambda: process.poll() is None):
                said = (root / "tower.log").read_text(errors="replace")
                raise NotUp(f"the tower does not come up: {said.strip()[-800:]}")
            with closing(Database(settings)) as db:
                _await_windows(db, "atlas" in settings.app.modules.app)
                yield Standing(settings, db)
        finally:
            take_down(settings.state_dir)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(DOWN_S)
            process.kill()
            process.wait()


def _await_windows(db: Database, atlas: bool) -> None:
    """A tower that is up for good has a window of each stage open: `act up` is through before that."""
    wanted, end = {*ENGINE, *(PANDA if atlas else ())}, time.monotonic() + UP_S
    while missing := wanted - db.read(runs.newest, db.clock() - HOUR).keys():
        if time.monotonic() > end:
            raise NotUp(f"no window was ever opened of {', '.join(sorted(missing))}")
        time.sleep(LOOK_S)

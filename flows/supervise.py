"""`act up`: Prefect's server and a worker as children, started again when they die; what `act down` ends."""

import base64
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from act_core.apps import applications
from act_core.credentials.vault import make_key
from act_core.db import bootstrap, ces, downtimes, orphans
from act_core.db.session import Database
from act_core.errors import ActError, ConfigError
from act_core.logs import log
from act_core.processes import lives, process_start
from act_core.settings import Settings
from flows.environment import client_environment, password_file, server_environment

logger = log(__name__)
SERVER_UP_S, STOP_S, CHECK_S = 120.0, 15.0, 30.0
RESTARTS, PER_S = 5, 60.0  # more deaths than this in so many seconds: something is wrong that a restart does not mend
PR_SET_PDEATHSIG = 1
FURNISH_S = 120.0
OBSERVING = "; OBSERVING: nothing is taken, sent, killed, reported or cleaned"


def state_file(state_dir: Path) -> Path:
    return state_dir / "up.json"


def standing(state_dir: Path) -> dict[str, Any] | None:
    """What the supervisor wrote of itself; None: no tower is up in this state directory."""
    try:
        read: dict[str, Any] = json.loads(state_file(state_dir).read_text(encoding="utf-8"))
        return read if lives(read["pid"], read["start"]) else None
    except (OSError, ValueError, KeyError):
        return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Child:
    """A process that is kept alive."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    deaths: list[float] = field(default_factory=list)

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 - our own servers
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def died(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def again(self) -> None:
        """Start it again. Raises ActError when it dies too often."""
        now = time.monotonic()
        self.deaths = [one for one in self.deaths if now - one < PER_S] + [now]
        code = self.process.returncode if self.process else None
        logger.warning("%s died (exit code %s), starting it again", self.name, code)
        if len(self.deaths) > RESTARTS:
            raise ActError(f"{self.name} died {len(self.deaths)} times within {PER_S:.0f} s: see {self.log}")
        self.start()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _die_with_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """Brings the tower up and keeps it up, in the foreground."""

    def __init__(self, settings: Settings, port: int, say: Callable[[str], None]) -> None:
        self.settings, self.port, self.say = settings, port, say
        prefect = settings.arc.prefect
        logs = settings.arc.logger.logdir or settings.state_dir / "log"
        logs.mkdir(parents=True, exist_ok=True, mode=0o750)
        self.clients = client_environment(settings, port)
        self.server = Child(
            "prefect-server",
            [sys.executable, "-m", "flows.prefect_server", prefect.host, str(port)],
            server_environment(settings, port),
            logs / "prefect-server.log",
        )
        self.worker = Child(
            "worker", [sys.executable, "-m", "flows.serve", prefect.pool], self.clients, logs / "worker.log"
        )
        self._stop = False

    @property
    def url(self) -> str:
        return f"http://{self.settings.arc.prefect.host}:{self.port}"

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises ActError when something does not come up or dies too often."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        prepare(self.settings, self.say)
        self.say(f"Prefect UI: {self.url}   (password: {password_file(self.settings)})")
        try:
            self._bring_up()
            self._write("up")
            self._keep()
        finally:
            self.say("going down: worker, then server")
            self.worker.stop()
            self.server.stop()
            state_file(self.settings.state_dir).unlink(missing_ok=True)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop = True

    def _bring_up(self) -> None:
        self._write("starting")
        self.say("starting Prefect's server")
        self.server.start()
        self._await_server()
        self.say("pool, limits, deployments")
        self._furnish("--first")
        self.worker.start()

    def _await_server(self) -> None:
        end = time.monotonic() + SERVER_UP_S
        while not healthy(self.url):
            if self._stop:
                return
            if self.server.died() or time.monotonic() > end:
                words = self.server.log.read_text(errors="replace")[-800:]
                raise ActError(f"Prefect's server does not come up at {self.url}: {words}")
            time.sleep(0.2)

    def _furnish(self, *words: str) -> None:
        """Pool, limits, deployments, automation. Raises ActError."""
        command = [sys.executable, "-m", "flows.server", *words]
        try:
            done = subprocess.run(  # noqa: S603 - our own module
                command, env={**os.environ, **self.clients}, capture_output=True, timeout=FURNISH_S, check=False
            )
        except subprocess.TimeoutExpired as err:
            raise ActError(f"Prefect's server did not take the deployments within {FURNISH_S:.0f} s") from err
        if done.returncode != 0:
            words_of_it = done.stderr.decode(errors="replace").strip()[-800:]
            raise ActError(f"Prefect's server did not take the deployments: {words_of_it}")

    def _keep(self) -> None:
        """Start again what died; furnish again what was lost with Prefect's database."""
        checked = time.monotonic()
        while not self._stop:
            time.sleep(0.5)
            if self.server.died():
                self.server.again()
                checked = self._back_again()
            if self.worker.died():
                self.worker.again()
                self._write("up")
            if time.monotonic() - checked > CHECK_S:
                checked = time.monotonic()
                self._mend()

    def _back_again(self) -> float:
        """Await the server that was started again; one that does not come up is ended, and counted as dead."""
        try:
            self._await_server()
        except ActError as err:
            logger.warning("%s", err)
            self.server.stop()
        return 0.0  # when the pool was looked for: long ago

    def _mend(self) -> None:
        """Deploy again what was lost with Prefect's database; what fails is tried again at the next look."""
        if self._pool_is_there():
            return
        logger.warning("Prefect has lost the pool: deploying again")
        try:
            self._furnish()
        except ActError as err:
            logger.warning("%s", err)

    def _pool_is_there(self) -> bool:
        token = base64.b64encode(self.clients["PREFECT_API_AUTH_STRING"].encode()).decode()
        path = f"{self.url}/api/work_pools/{self.settings.arc.prefect.pool}"
        request = urllib.request.Request(path, headers={"Authorization": f"Basic {token}"})  # noqa: S310 - our own
        try:
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
        except urllib.error.HTTPError as err:
            return err.code != 404
        except OSError:
            return True  # not to be asked now: no reason to deploy
        return True

    def _write(self, phase: str) -> None:
        children = {
            one.name: [one.process.pid, process_start(one.process.pid)]
            for one in (self.server, self.worker)
            if one.process
        }
        me = os.getpid()
        said = {"pid": me, "start": process_start(me), "phase": phase, "prefect": self.url, "children": children}
        said["observing"] = self.settings.arc.tower.observe
        fresh = state_file(self.settings.state_dir).with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(said), encoding="utf-8")
        fresh.replace(state_file(self.settings.state_dir))


def prepare(settings: Settings, say: Callable[[str], None]) -> None:
    """State directory, state tables, generation.

    Raises ConfigError if a tower is up here already, and for an application that is not installed.
    """
    if standing(settings.state_dir):
        raise ConfigError(f"a tower is up in {settings.state_dir} already: `act status`, `act down`")
    apps = applications(settings)
    settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    db = Database(settings)
    try:
        now = db.clock()
        made = bootstrap.bootstrap(db, now)
        db.write(ces.sync_ces, settings.arc.sites, ces.CONFIG, now)
        db.write(downtimes.sync_configured, settings.arc.downtime)
        trouble = make_key(settings, first=made.before != made.now or settings.arc.db.type == "sqlite")
        generation = db.write(bootstrap.start_generation)
        former = bootstrap.remember_generation(settings.state_dir, made.tower, generation)
        if former is not None and former >= generation:
            waiting = db.write(orphans.wait_after_restore, now)
            doubtful = sum(db.write(app.restored, now) for app in apps if app.restored)
            say(f"the database is older than this directory (generation {generation} after {former}): was it restored?")
            minutes = int(orphans.LISTS_READ.total_seconds() // 60)
            say(f"{waiting} jobs that wait are sent in {minutes} min, when the CEs' lists have been read")
            if doubtful:
                say(f"{doubtful} jobs may have been sent since: they are asked about first (docs/safety.md)")
        if trouble:
            say(trouble)
    finally:
        db.close()
    say(f"tower {made.tower}, start {generation}, schema {made.now}{OBSERVING if settings.arc.tower.observe else ''}")


def healthy(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/api/health", timeout=5).close()  # noqa: S310 - our own server
    except urllib.error.HTTPError as err:
        return err.code in (401, 403)  # it answers, and wants the password
    except OSError:
        return False
    return True


def take_down(state_dir: Path) -> bool:
    """End the tower of this state directory; False: none was up. Ends by force what does not go."""
    said = standing(state_dir)
    if said is None:
        return False
    os.kill(said["pid"], signal.SIGTERM)
    end = time.monotonic() + 3 * STOP_S
    while lives(said["pid"], said["start"]) and time.monotonic() < end:
        time.sleep(0.1)
    for pid, start in [*said["children"].values(), (said["pid"], said["start"])]:
        if lives(pid, start):
            os.kill(pid, signal.SIGKILL)
    state_file(state_dir).unlink(missing_ok=True)
    return True

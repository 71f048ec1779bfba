"""`act up`: Prefect's server and a worker as children, started again when they die; what `act down` ends."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path

from act_core.credentials.vault import make_key
from act_core.db import bootstrap, orphans, recovery
from act_core.db.session import Database
from act_core.errors import ActError, ConfigError
from act_core.hooks import bootstrap_apps, restored_apps
from act_core.installed import applications
from act_core.logs import log
from act_core.notify import Notifier
from act_core.processes import NAMED_BY, process_start, standing, up_file, worker_name
from act_core.settings import Settings
from flows.children import Child, stop_all
from flows.environment import client_environment, password_file, server_environment
from flows.page import Page
from flows.standing import healthy
from flows.vital_signs import VitalSigns

logger = log(__name__)
SERVER_UP_S, CHECK_S = 120.0, 30.0
FURNISH_S = 120.0
OBSERVING = "; OBSERVING: nothing is taken, sent, killed, reported or cleaned"


class Supervisor:
    """Brings the tower up and keeps it up, in the foreground."""

    def __init__(self, settings: Settings, port: int, say: Callable[[str], None], page_port: int | None = None) -> None:
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
        self.workers = [
            self._worker(worker_name(number + 1), logs) for number in range(prefect.workers - prefect.elsewhere)
        ]
        self.page = Page(settings, logs, page_port) if settings.arc.web.enabled else None
        self._stop, self._reload, self._unwritten = False, False, False
        self.signs = VitalSigns(Notifier(), settings.state_dir, (self.server, *self.workers), lambda: healthy(self.url))

    def _worker(self, name: str, logs: Path) -> Child:
        command = [sys.executable, "-m", "flows.serve", self.settings.arc.prefect.pool]
        return Child(name, command, {**self.clients, NAMED_BY: name}, logs / f"{name}.log")

    @property
    def url(self) -> str:
        return f"http://{self.settings.arc.prefect.host}:{self.port}"

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises ActError when something does not come up or dies too often."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        if not sys.stdin or not sys.stdin.isatty():  # a terminal that hangs up ends what runs in it
            signal.signal(signal.SIGHUP, self._on_hangup)
        prepare(self.settings, self.say)
        self.say(f"Prefect UI: {self.url}   (password: {password_file(self.settings)})")
        if self.page:
            self.say(self.page.words())
        try:
            self._bring_up()
            self._write("up")
            self._keep()
        finally:
            self.say("going down: worker, then server")
            self.signs.notifier.stopping("going down: page, worker, then server")
            if self.page:
                self.page.stop()
            stop_all(self.workers)
            self.server.stop()
            up_file(self.settings.state_dir).unlink(missing_ok=True)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stop = True

    def _on_hangup(self, _number: int, _frame: object) -> None:
        self._reload = True

    def _bring_up(self) -> None:
        self._write("starting")
        self.signs.begin()
        self.say("starting Prefect's server")
        self.server.start()
        self._await_server()
        self.say("pool, limits, deployments")
        self._furnish("--first")
        for worker in self.workers:
            worker.start()
        if self.page:
            self.page.start()

    def _await_server(self) -> None:
        end = time.monotonic() + SERVER_UP_S
        while not healthy(self.url):
            self.signs.notifier.alive()  # for a time that is bounded
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
            self.signs.look()
            self._reload_if_asked()
            if self.server.died():
                self.server.again()
                self._write("up")  # before it answers: who takes the tower down meanwhile has to find it
                checked = self._back_again()
            died = [worker for worker in self.workers if worker.died()]
            for worker in died:
                worker.again()
            if died or (self.page and self.page.look()):
                self._write("up")
            if time.monotonic() - checked > CHECK_S:
                checked = time.monotonic()
                self._mend()
                if self._unwritten:
                    self._write("up")

    def _reload_if_asked(self) -> None:
        if self._reload:
            self._reload = False
            for worker in self.workers:
                self.signs.reload(worker)

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
        except (OSError, HTTPException):
            return True  # not to be asked now: no reason to deploy
        return True

    def _write(self, phase: str) -> None:
        known = (self.server, *self.workers, *([self.page.child] if self.page else []))
        children = {one.name: [one.process.pid, process_start(one.process.pid)] for one in known if one.process}
        me = os.getpid()
        said = {"pid": me, "start": process_start(me), "phase": phase, "prefect": self.url, "children": children}
        said |= {"observing": self.settings.arc.tower.observe, "page": self.page.url if self.page else None}
        fresh = up_file(self.settings.state_dir).with_suffix(".new")
        try:
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(said), encoding="utf-8")
            fresh.replace(up_file(self.settings.state_dir))
        except OSError as err:
            if phase == "starting":  # nobody could end this tower
                raise ConfigError(f"{fresh}: cannot be written: {err.strerror or err}") from err
            self._unwritten = True
            logger.warning("%s: cannot be written, tried again: %s", fresh, err.strerror or err)
        else:
            self._unwritten = False


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
        made = bootstrap.bootstrap(db, now, settings.state_dir)
        bootstrap.enter_configured(db, settings, now)
        first = made.before != made.now or settings.arc.db.type == "sqlite"
        troubles = [*filter(None, [make_key(settings, first=first)]), *bootstrap_apps(db, apps)]
        generation = db.write(bootstrap.start_generation)
        former = bootstrap.remember_generation(settings.state_dir, made.tower, generation)
        if former is not None and former >= generation:
            waiting = db.write(orphans.wait_after_restore, now)
            say(f"the database is older than this directory (generation {generation} after {former}): was it restored?")
            minutes = orphans.LISTS_READ.total_seconds() // 60
            say(f"{waiting} jobs that wait are sent in {minutes:.0f} min, when the CEs' lists have been read")
            if doubtful := restored_apps(db, apps, now):
                say(f"{doubtful} jobs may have been sent since: they are asked about first (docs/safety.md)")
            db.write(recovery.begin, recovery.OLDER, recovery.TOWER, now)
            say("RECOVERY: its jobs are found again on the CEs first; `act recover` tells how far (docs/recovery.md)")
        for words in troubles:
            say(words)
    finally:
        db.close()
    say(f"tower {made.tower}, start {generation}, schema {made.now}{OBSERVING if settings.arc.tower.observe else ''}")

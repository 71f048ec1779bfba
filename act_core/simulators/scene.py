"""A whole grid on one machine: simulators as processes, and the configuration of a tower that uses them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from act_core.credentials.tls import client_context
from act_core.errors import ActError
from act_core.simulators.pilot_file import wrapper
from act_core.simulators.pki import TestPki
from act_core.simulators.serve import Running
from act_core.simulators.witness import count

START_S, STOP_S, CALL_S = 60.0, 8.0, 60.0
PROXY_LIFE = timedelta(hours=96)  # a job's proxy must outlive the queue limit
WRAPPER = "/pilot/runpilot2-wrapper.sh"


@dataclass(frozen=True, slots=True)
class ArcCe:
    """A simulated ARC CE of the scene."""

    name: str
    flavour: str  # 6.17 or 7
    slots: int = 20


@dataclass(frozen=True, slots=True)
class QueuePlan:
    """A PanDA queue of the scene and its CEs: names of ARC CEs, or `here` for the local one."""

    name: str
    ces: tuple[str, ...]
    share: float  # of the jobs


ARCS = (ArcCe("arc6", "6.17"), ArcCe("arc7a", "7"), ArcCe("arc7b", "7"))
LOCAL = "here"
QUEUES = (
    QueuePlan("DEMO_ARC6", ("arc6",), 0.3),
    QueuePlan("DEMO_ARC7", ("arc7a", "arc7b"), 0.55),
    QueuePlan("DEMO_LOCAL", (LOCAL,), 0.15),
)


class Scene:
    """Starts and stops the simulators; a context manager. Everything lies below `root`."""

    def __init__(
        self, root: Path, arcs: Sequence[ArcCe] = ARCS, queues: Sequence[QueuePlan] = QUEUES, info_period: float = 3
    ) -> None:
        self.root = root
        self.arcs, self.queues, self.info_period = tuple(arcs), tuple(queues), info_period
        self.witness = root / "witness.jsonl"
        self.servers: dict[str, Running] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.pki = TestPki(root / "pki")
        self.proxy = self.pki.proxy("tower", PROXY_LIFE, path=root / "proxy.pem")
        self.state_dir = root / "state"
        self.state_dir.mkdir(exist_ok=True, mode=0o700)

    def __enter__(self) -> "Scene":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Storage first: PanDA tells it of inputs, and the pilot lies there."""
        self._await([self._spawn("storage")])
        storage = self.servers["storage"]
        self._put(f"{storage.url}{WRAPPER}", wrapper())
        names = [self._spawn("panda", "--storage-control", storage.control)]
        for arc in self.arcs:
            names.append(self._spawn(arc.name, *self._arc_options(arc), command="arc"))
        self._await(names)
        self._await([self._spawn("cric", "--queues", str(self._write_queues()))])
        self._write_configuration()

    def _arc_options(self, arc: ArcCe) -> list[str]:
        return [
            *("--flavour", arc.flavour, "--slots", str(arc.slots), "--info-period", str(self.info_period)),
            *("--witness", str(self.witness), "--name", arc.name, "--run", "0.2,1.5", "--stage"),
        ]

    def _spawn(self, name: str, *options: str, command: str | None = None) -> str:
        ready = self.root / f"{name}.json"
        ready.unlink(missing_ok=True)
        words = [sys.executable, "-m", "act_core.cli", "simulate", command or name]
        common = ["--pki", str(self.pki.root), "--ready-file", str(ready)]
        with (self.root / f"{name}.log").open("wb") as out:
            self._processes[name] = subprocess.Popen(  # noqa: S603 - our own servers
                [*words, *common, *options], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        return name

    def _await(self, names: Sequence[str]) -> None:
        end = time.monotonic() + START_S
        for name in names:
            ready = self.root / f"{name}.json"
            while not ready.exists():
                if self._processes[name].poll() is not None or time.monotonic() > end:
                    words = (self.root / f"{name}.log").read_text(errors="replace")[-500:]
                    raise ActError(f"the simulated {name} did not start: {words}")
                time.sleep(0.05)
            said = json.loads(ready.read_text())
            self.servers[name] = Running(said["url"], said["control"])

    def stop(self) -> None:
        """End every server that was started here."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    def pids(self) -> Mapping[str, int]:
        return {name: process.pid for name, process in self._processes.items()}

    @property
    def environment(self) -> dict[str, str]:
        """What commands need to speak of this scene's tower."""
        return {
            "ACT_STATE_DIR": str(self.state_dir),
            "ACTCONFIGARC": str(self.root / "aCTConfigARC.yaml"),
            "ACTCONFIGAPP": str(self.root / "aCTConfigAPP.yaml"),
        }

    def _write_queues(self) -> Path:
        storage = f"--storage {self.servers['storage'].url}/out"
        # a simulated CE testifies for its payloads; a real process testifies itself
        args = {True: f"{storage} --witness {self.witness}", False: storage}
        queues = [
            {"name": q.name, "ces": [self._ce(ce) for ce in q.ces], "pilot_args": args[LOCAL in q.ces]}
            for q in self.queues
        ]
        path = self.root / "queues.yaml"
        path.write_text(yaml.safe_dump(queues))
        return path

    def _ce(self, name: str) -> dict[str, str]:
        if name == LOCAL:
            return {"name": name, "endpoint": "localhost", "flavour": "LOCAL-CE"}
        return {"name": name, "endpoint": f"{self.servers[name].url}/arex", "batch_queue": "fork"}

    def _write_configuration(self) -> None:
        sites: dict[str, Any] = {arc.name: {"endpoint": f"{self.servers[arc.name].url}/arex"} for arc in self.arcs}
        sites[LOCAL] = {"kind": "local", "options": {"slots": os.cpu_count() or 1}, "poll": "2 s"}
        arc = {
            "sites": sites,
            "jobs": {"checkinterval": f"{self.info_period + 2:.0f} s", "checkmintime": "1 s", "grace": "3 s"},
            "voms": {"proxypath": str(self.proxy), "cacertdir": str(self.pki.ca_dir)},
            "clean": {"keepfailed": 0},
        }
        storage = self.servers["storage"].url
        app = {
            "modules": {"app": ["atlas", "manual"]},
            "panda": {"server": self.servers["panda"].url, "minjobs": 1000, "fetchpause": "2 s"},
            "cric": {"server": f"{self.servers['cric'].url}/api/atlas/pandaqueue/query/?json"},
            "executable": {
                "wrapperurl": f"{storage}{WRAPPER}",
                "queuedata": "",
                "replicas": storage + "/replicas/{scope}/{lfn}",
            },
        }
        (self.root / "aCTConfigARC.yaml").write_text(yaml.safe_dump(arc, sort_keys=False))
        (self.root / "aCTConfigAPP.yaml").write_text(yaml.safe_dump(app, sort_keys=False))

    def _put(self, url: str, content: bytes) -> None:
        request = urllib.request.Request(url, content, method="PUT")  # noqa: S310 - our own server
        context = client_context(self.pki.ca_dir, self.proxy)
        urllib.request.urlopen(request, timeout=CALL_S, context=context).close()  # noqa: S310

    def call(self, name: str, path: str, body: object = None) -> Any:
        """A question to a server's control port (POST with a body). Raises OSError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - our own server
            f"{self.servers[name].control}{path}", data, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=CALL_S) as answer:  # noqa: S310
            return json.load(answer)

    def order(self, jobs: int, **wishes: object) -> int:
        """Ask PanDA for jobs, spread over the queues; returns how many it made."""
        numbers = [round(jobs * queue.share) for queue in self.queues]
        numbers[-1] = jobs - sum(numbers[:-1])
        common: dict[str, object] = {"inputs": 1, "outputs": 1, "run_s": 0.5} | wishes
        orders = [{"queue": q.name, "n": n, **common} for q, n in zip(self.queues, numbers, strict=True) if n > 0]
        self.call("panda", "/jobs", orders)
        return sum(max(n, 0) for n in numbers)

    def executions(self) -> Mapping[str, int]:
        """How often each payload ran, by its own word."""
        return count(self.witness)

    def left(self) -> dict[str, int]:
        """Jobs that are still on each CE, by the CE's own list."""
        found = {arc.name: self.call(arc.name, "/jobs/summary")["present"] for arc in self.arcs}
        here = self.state_dir / "local" / LOCAL
        found[LOCAL] = sum(not one.name.startswith(".") for one in here.iterdir()) if here.is_dir() else 0
        return found

"""A whole grid on one machine: simulators as processes, and the configuration of a tower that uses them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from act_core.credentials.private import write_private
from act_core.credentials.tls import client_context
from act_core.errors import ActError
from act_core.simulators.pilot_file import wrapper
from act_core.simulators.pki import TestPki
from act_core.simulators.scene_plan import CONDOR, LOCAL, ORIGIN, ArcCe, Plan, QueuePlan, new_token
from act_core.simulators.serve import Running
from act_core.simulators.witness import count

START_S, STOP_S, CALL_S = 60.0, 8.0, 60.0
PROXY_LIFE = timedelta(hours=96)  # a job's proxy must outlive the queue limit
WRAPPER = "/pilot/runpilot2-wrapper.sh"
TRACE = "trace"  # on storage: a file for each execution where no file of this machine can be shared


class Scene:
    """Starts and stops the simulators; a context manager. Everything lies below `root`."""

    def __init__(self, root: Path, plan: Plan | None = None) -> None:
        self.root, self.plan = root, plan or Plan()
        self.witness = root / "witness.jsonl"
        self.servers: dict[str, Running] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.pki = TestPki(root / "pki")
        self.proxy = self.pki.proxy("tower", PROXY_LIFE, path=root / "proxy.pem")
        self.state_dir = root / "state"
        self.state_dir.mkdir(exist_ok=True, mode=0o700)
        self.token = new_token(root / "panda-token") if self.plan.panda_auth == "token" else None

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
        knows = ["--token-file", str(self.token)] if self.token else []
        names = [self._spawn("panda", "--storage-control", storage.control, *knows)]
        for arc in self.plan.arcs:
            names.append(self._spawn(arc.name, *self._arc_options(arc), command="arc"))
        self._await(names)
        self._await([self._spawn("cric", "--queues", str(self._write_queues()))])
        self._write_configuration()

    def _arc_options(self, arc: ArcCe) -> list[str]:
        return [
            *("--flavour", arc.flavour, "--slots", str(arc.slots), "--info-period", str(self.plan.info_period)),
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

    @property
    def environment(self) -> dict[str, str]:
        """What commands need to speak of this scene's tower."""
        return {
            "ACT_STATE_DIR": str(self.state_dir),
            "ACTCONFIGARC": str(self.root / "aCTConfigARC.yaml"),
            "ACTCONFIGAPP": str(self.root / "aCTConfigAPP.yaml"),
        }

    def _write_queues(self) -> Path:
        queues = [
            {
                "name": queue.name,
                "native": not queue.true,
                "ces": [self._ce(ce) for ce in queue.ces],
                "pilot_args": " ".join(self._pilot_args(queue)),
            }
            for queue in self.plan.all_queues
        ]
        path = self.root / "queues.yaml"
        path.write_text(yaml.safe_dump(queues))
        return path

    def _pilot_args(self, queue: QueuePlan) -> list[str]:
        """A simulated CE testifies for its payloads; a real process testifies itself."""
        storage = self.servers["storage"].url
        words = ["--storage", f"{storage}/out"]
        if LOCAL in queue.ces:
            words += ["--witness", str(self.witness)]
        if CONDOR in queue.ces:
            words += ["--witness", f"{storage}/{TRACE}", "--cadir", str(self.pki.ca_dir)]
        if queue.true:
            words += ["--replicas", f"{storage}/replicas"]
        if queue.true and self.token is not None:
            words += ["--token", str(self._pilots_token(queue)), "--origin", ORIGIN]
        return words

    def _pilots_token(self, queue: QueuePlan) -> Path:
        """The token where pilots can read it, and nobody else."""
        assert self.token is not None
        account = self.plan.condor.account if self.plan.condor is not None else None
        if CONDOR not in queue.ces or account is None:
            return self.token
        copy = self.root / "pilots-token"
        write_private(copy, self.token.read_bytes())
        os.chown(copy, account, -1)
        return copy

    def _ce(self, name: str) -> dict[str, str]:
        if name == LOCAL:
            return {"name": name, "endpoint": "localhost", "flavour": "LOCAL-CE"}
        if name == CONDOR and self.plan.condor is not None:
            return {"name": name, "endpoint": str(self.plan.condor.site.get("endpoint")), "flavour": "HTCONDOR-CE"}
        return {"name": name, "endpoint": f"{self.servers[name].url}/arex", "batch_queue": "fork"}

    def _write_configuration(self) -> None:
        sites: dict[str, Any] = {arc.name: {"endpoint": f"{self.servers[arc.name].url}/arex"} for arc in self.plan.arcs}
        sites |= self._condor_site()
        sites[LOCAL] = {"kind": "local", "options": {"slots": os.cpu_count() or 1}, "poll": "2 s"}
        arc = {
            "sites": sites,
            "jobs": {"checkinterval": f"{self.plan.info_period + 2:.0f} s", "checkmintime": "1 s", "grace": "3 s"},
            "voms": {"proxypath": str(self.proxy), "cacertdir": str(self.pki.ca_dir)},
            "clean": {"keepfailed": 0},
            "disk": {"fetchjobs": "200 MB", "downloads": "100 MB"},  # it is no reason not to look at a demo
            "tokens": dict(self.plan.condor.tokens) if self.plan.condor is not None else {},
        }
        storage = self.servers["storage"].url
        app = {
            "modules": {"app": ["atlas", "manual"]},
            "panda": {
                "server": self.servers["panda"].url,
                "minjobs": 1000,
                "fetchpause": "2 s",
                "pilotpatience": "5 s",
                **({"tokenfile": str(self.token), "origin": ORIGIN} if self.token else {}),
            },
            "cric": {"server": f"{self.servers['cric'].url}/api/atlas/pandaqueue/query/?json"},
            "executable": {
                "wrapperurl": f"{storage}{WRAPPER}" if self.plan.condor is None else str(self._pilot_file()),
                "queuedata": "",
                "replicas": storage + "/replicas/{scope}/{lfn}",
            },
        }
        (self.root / "aCTConfigARC.yaml").write_text(yaml.safe_dump(arc, sort_keys=False))
        (self.root / "aCTConfigAPP.yaml").write_text(yaml.safe_dump(app, sort_keys=False))

    def _condor_site(self) -> dict[str, Any]:
        """HTCondor's site; where its jobs are another account's, that one finds its way to their files."""
        if self.plan.condor is None:
            return {}
        directory = self.root / CONDOR
        directory.mkdir(exist_ok=True)
        if self.plan.condor.account is not None:
            self.root.chmod(0o711)
            for one in (self.pki.root, self.pki.ca_dir, directory):
                one.chmod(0o755)
        site = dict(self.plan.condor.site)
        return {CONDOR: {"poll": "2 s"} | site | {"options": {"directory": str(directory)} | site["options"]}}

    def _pilot_file(self) -> Path:
        """The pilot as a file of this machine: HTCondor's nodes do not know our certificate authority."""
        path = self.root / Path(WRAPPER).name
        path.write_bytes(wrapper())
        return path

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
        queues = self.plan.all_queues
        numbers = [round(jobs * queue.share) for queue in queues]
        numbers[-1] = jobs - sum(numbers[:-1])
        common: dict[str, object] = {"inputs": 1, "outputs": 1, "run_s": 0.5} | wishes
        orders = [{"queue": q.name, "n": n, **common} for q, n in zip(queues, numbers, strict=True) if n > 0]
        self.call("panda", "/jobs", orders)
        return sum(max(n, 0) for n in numbers)

    def executions(self) -> Mapping[str, int]:
        """How often each payload ran, by its own word."""
        found = Counter(count(self.witness))
        if self.plan.condor is not None:
            paths = (one["path"].split("/") for one in self.call("storage", "/books")["files"])
            found.update(Counter(parts[1] for parts in paths if parts[0] == TRACE))
        return found

    def stored(self) -> int:
        """Outputs and logs of jobs that lie on storage."""
        return sum(one["path"].startswith("out/") for one in self.call("storage", "/books")["files"])

    def left(self) -> dict[str, int]:
        """Jobs that are still on each simulated CE, by the CE's own list."""
        found = {arc.name: self.call(arc.name, "/jobs/summary")["present"] for arc in self.plan.arcs}
        here = self.state_dir / "local" / LOCAL
        found[LOCAL] = sum(not one.name.startswith(".") for one in here.iterdir()) if here.is_dir() else 0
        return found

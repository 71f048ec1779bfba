"""How many files a second are checked on storage: size and adler32, over https, file and root.

`python -m benchmarks.validations` asks a simulated storage over TLS, and the disk below it. `--facts FILE` asks a real
one by all protocols (root:// where its library is installed): the JSON that `python tests/real/xrootd.py start` prints.
`cold`: storage computes each checksum, and connections are new. What was not answered is asked again, and counted.
Exit 1: not every file was found whole.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from act_core.credentials.tls import client_context
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import run_forever
from act_core.simulators.storage_server import StorageOptions, serve_storage
from act_core.storage.base import Backend, Limits, Outcome, Wanted
from act_core.storage.disk import Disk
from act_core.storage.root import Root
from act_core.storage.storage import Storage
from act_core.storage.webdav import Webdav
from benchmarks.servers import in_a_process

ROUNDS = 5
DIRECTORY = "benchmark"


def _serve(pki: Path, data: Path, ready: Path) -> None:
    made = TestPki(pki)
    options = StorageOptions(directory=data, tls=server_context(made.host, made.ca_dir))
    asyncio.run(run_forever(lambda: serve_storage(options), ready))


@contextmanager
def _simulated(home: Path) -> Iterator[dict[str, str]]:
    """The facts of a simulated storage in a process of its own. Raises RuntimeError if it does not come up."""
    pki, data, ready = home / "pki", home / "data", home / "ready"
    data.mkdir()
    TestPki(pki)
    with in_a_process(_serve, pki, data, ready=ready) as storage:
        yield {"https": storage.url, "ca": str(pki / "certificates"), "data": str(data)}


def _lay_out(facts: Mapping[str, str], files: int, size: int) -> dict[str, tuple[int, str]]:
    """Fresh files, owned by who owns the storage's directory: name → size and adler32."""
    data = Path(facts["data"])
    owner, made = data.stat(), {}
    (data / DIRECTORY).mkdir(exist_ok=True)
    for n in range(files):
        name, content = f"{DIRECTORY}/{n:06}", os.urandom(size)
        (data / name).unlink(missing_ok=True)  # with the checksum that is kept beside it
        (data / name).write_bytes(content)
        if os.geteuid() == 0:
            os.chown(data / name, owner.st_uid, owner.st_gid)
        made[name] = (size, f"{zlib.adler32(content):08x}")
    return made


@asynccontextmanager
async def _opened(facts: Mapping[str, str], perhost: int) -> AsyncIterator[Storage]:
    context = client_context(Path(facts["ca"]))
    backends: dict[str, Backend] = {
        "https": Webdav(lambda: context),
        "root": Root(),
        "file": Disk((Path(facts["data"]),)),
    }
    storage = Storage(backends, Limits(perhost=perhost, rest=timedelta(0)))
    try:
        yield storage
    finally:
        await storage.close()


async def _measure(facts: Mapping[str, str], wanted: argparse.Namespace) -> dict[str, Any]:
    told: dict[str, Any] = {"files": wanted.files, "size": wanted.size, "perhost": wanted.perhost}
    facts = {"file": Path(facts["data"]).as_uri(), **facts}
    speaks = ("https", "file", "root") if find_spec("XRootD") else ("https", "file")
    for scheme in (one for one in speaks if one in facts):
        made = await asyncio.to_thread(_lay_out, facts, wanted.files, wanted.size)
        asked = [Wanted(f"{facts[scheme]}/{name}", size, adler) for name, (size, adler) in made.items()]
        async with _opened(facts, wanted.perhost) as storage:
            for pass_ in ("cold", "warm"):
                began, used = time.perf_counter(), time.process_time()
                again = await _checked(storage, asked)
                seconds, cpu = time.perf_counter() - began, time.process_time() - used
                numbers = {"per_s": round(wanted.files / seconds), "cpu_ms": 1000 * cpu / wanted.files, "again": again}
                told[f"{scheme} {pass_}"] = numbers
    return told


async def _checked(storage: Storage, asked: Sequence[Wanted]) -> int:
    """How many files were asked for again. Raises RuntimeError unless all are whole in the end."""
    left, again, words = list(asked), 0, ""
    for _ in range(ROUNDS):
        verdicts = await storage.check(left)
        bad = [verdict for verdict in verdicts.values() if verdict.outcome not in (Outcome.MATCH, Outcome.UNREACHABLE)]
        left = [file for file, verdict in verdicts.items() if verdict.outcome is Outcome.UNREACHABLE]
        if bad:
            raise RuntimeError(f"{len(bad)} files are not whole: {bad[0].words}")
        if not left:
            return again
        again, words = again + len(left), verdicts[left[0]].words
    raise RuntimeError(f"{len(left)} files are not answered: {words}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--size", type=int, default=20_000, help="bytes")
    parser.add_argument("--perhost", type=int, default=6, help="files at a time")
    parser.add_argument("--facts", type=Path, help="JSON with https, root, ca, data; data must be writable here")
    parser.add_argument("--json", action="store_true", help="for programs")
    wanted = parser.parse_args()
    try:
        if wanted.facts:
            told = asyncio.run(_measure(json.loads(wanted.facts.read_text()), wanted))
        else:
            with tempfile.TemporaryDirectory() as home, _simulated(Path(home)) as facts:
                told = asyncio.run(_measure(facts, wanted))
    except RuntimeError as err:
        sys.stderr.write(f"{err}\n")
        return 1
    sys.stdout.write(json.dumps(told) + "\n" if wanted.json else _for_people(told))
    return 0


def _for_people(told: Mapping[str, Any]) -> str:
    lines = [f"{told['files']} files of {told['size']} bytes, {told['perhost']} at a time"]
    rows = ((name, said) for name, said in told.items() if isinstance(said, dict))
    for name, said in rows:
        speed = f"{said['per_s']:6} a second {said['cpu_ms']:7.2f} ms CPU of ours a file"
        lines.append(f"{name:12} {speed}, {said['again']} asked again")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())

"""`act jobs try`: the payload of a PanDA job in this terminal, before or after it fails somewhere else."""

import json as js
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from act_core.atlas import queues, tryout
from act_core.atlas.cric import Queue
from act_core.atlas.instance import server_key
from act_core.atlas.modes import mode_of
from act_core.atlas.sealing import opened
from act_core.atlas.translate import TranslateSettings
from act_core.atlas.tryout import Kept, Made, Tried
from act_core.atlas.wire import PandaJob
from act_core.cli.context import database, now, settings, text_of
from act_core.cli.ending import ended_in_order, run_in_order
from act_core.cli.out import err, out, plain, print_json, table
from act_core.credentials.vault import Vault, key_file
from act_core.db.session import Database
from act_core.errors import BadInput
from act_core.settings import Settings


def try_(
    panda_id: Annotated[int, typer.Argument(help="the job's number in PanDA", metavar="PANDAID", min=1)],
    job: Annotated[
        Path | None, typer.Option(help="JSON of the job, for one that the tower does not have; `--queue` says where")
    ] = None,
    queue: Annotated[str | None, typer.Option(help="as if the job were of this PanDA queue")] = None,
    server: Annotated[str | None, typer.Option(help="the PanDA server, where several have this number")] = None,
    directory: Annotated[
        Path | None, typer.Option(help="a new directory to run in, which stays. Default: a temporary one")
    ] = None,
    with_proxy: Annotated[
        bool,
        typer.Option("--with-proxy", help="show a true pilot the proxy: it can then read inputs, and WRITE outputs"),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="the result for programs; what the payload says is on stderr")
    ] = False,
) -> None:
    """Run the payload of a PanDA job here: translated as the tower would, as a process of this machine and account.

    Nobody is told: PanDA hears nothing, outputs are not sent, no table is changed. True pilots run with reports off.
    What it says is shown as it comes; at the end the outputs, and what PanDA would be told.

    Exit 0: PanDA would be told `finished`; 1: `failed`; 2: it cannot be tried. Ctrl-C or SIGTERM ends the payload.
    """
    held = settings()
    with database(held) as db:
        found = _job(held, db, panda_id, job, queue, server)
        seen_by = _settings_of(held, found.server)
        entry = db.read(queues.parsed, found.server, found.queue)
    if entry is None:
        raise BadInput(f"PanDA queue {found.queue!r} is not known here: `act sweep refresh-queues` asks CRIC")
    tried, place = _tried(seen_by, found, Queue.model_validate(entry), directory, with_proxy=with_proxy, json=json)
    if json:
        print_json(_for_programs(panda_id, tried, place))
    else:
        _show(tried, place)
    if not tried.good:
        raise typer.Exit(1)


def _job(
    held: Settings, db: Database, panda_id: int, file: Path | None, queue: str | None, server: str | None
) -> Kept:  # fmt: skip
    """The job that is meant. Raises BadInput."""
    servers = [one for one in map(server_key, held.everybody()) if server in (None, one)]
    if not servers:
        raise BadInput(f"no PanDA server {server}; there are {', '.join(map(server_key, held.everybody()))}")
    if file is not None:
        if queue is None or len(servers) > 1:
            raise BadInput(
                f"{file} does not say where: name the queue with `--queue`, of several servers one with `--server`"
            )
        return Kept(servers[0], queue, _read(file, panda_id))
    found = db.read(tryout.kept, servers, panda_id)
    if not found:
        raise BadInput(f"the tower has no PanDA job {panda_id}; `--job FILE` names a file with it")
    if len(found) > 1:
        raise BadInput(
            f"PanDA job {panda_id} is of several servers: `--server` {' or '.join(one.server for one in found)}"
        )
    (one,) = found
    return one if queue is None else replace(one, queue=queue)


def _read(file: Path, panda_id: int) -> str:
    """One job, or one of a list, or `{"<PandaID>": {…}}`. Raises BadInput."""
    try:
        held = js.loads(text_of(file))
    except (ValueError, RecursionError) as err:
        raise BadInput(f"{file}: {err}") from err
    jobs = held if isinstance(held, list) else [held, *held.values()] if isinstance(held, dict) else []
    for job in jobs:
        if isinstance(job, dict) and str(job.get("PandaID")) == str(panda_id):
            return js.dumps(job)
    raise BadInput(f"{file} holds no job with PandaID {panda_id}")


def _settings_of(held: Settings, server: str) -> Settings:
    return next(one for one in held.everybody() if server_key(one) == server)


def _tried(
    held: Settings, found: Kept, queue: Queue, directory: Path | None, *, with_proxy: bool, json: bool
) -> tuple[Tried, Path | None]:
    """Runs it; the directory, if it stays."""
    job = PandaJob.parse(js.loads(found.job))
    if found.secrets is not None:
        job = job.model_copy(update={"secrets": opened(Vault(key_file(held)), found.secrets)})
    spec = tryout.prepared(job, queue, TranslateSettings.of(held.app), now(), proxy=with_proxy)
    console = err if json else out
    err.print(f"PanDA job {job.panda_id} as of {queue.name} ({mode_of(queue)}); PanDA is told nothing", markup=False)
    place = _fresh(directory)

    def show(text: str) -> None:
        console.print(plain(text), markup=False, end="")

    with ended_in_order():
        try:
            seen, facts, session = run_in_order(tryout.run(held, spec, place, now, show))
            return tryout.judged(held, job, queue, seen, facts, session, now()), directory
        finally:
            if directory is None:
                shutil.rmtree(place, ignore_errors=True)


def _fresh(directory: Path | None) -> Path:
    if directory is None:
        return Path(tempfile.mkdtemp(prefix="act-try-"))
    try:
        directory.mkdir(parents=True, mode=0o700)
    except OSError as wrong:
        raise BadInput(f"--directory {directory}: {wrong.strerror}; name a new one") from wrong
    return directory.absolute()


def _show(tried: Tried, place: Path | None) -> None:
    code = "none" if tried.facts.exit_code is None else tried.facts.exit_code
    out.print(
        f"\nexit code {code}; {tried.seen.native.lower()} {plain(tried.facts.error or '')}".rstrip(), markup=False
    )
    if tried.outputs:
        table(("output", "bytes", "adler32", ""), [_cells(one) for one in tried.outputs])
    out.print("\nPanDA would be told:")
    for name, value in tried.report.body().items():
        out.print(f"  {name:21} {plain(str(value))}", markup=False, highlight=False)
    if place is not None:
        out.print(f"\nall of it is in {place}", markup=False)


def _cells(made: Made) -> tuple[str, ...]:
    return made.lfn, "" if made.size is None else str(made.size), made.adler32 or "", made.trouble


def _for_programs(panda_id: int, tried: Tried, place: Path | None) -> dict[str, Any]:
    return {
        "panda_id": panda_id,
        "good": tried.good,
        "exit_code": tried.facts.exit_code,
        "error": tried.facts.error,
        "outputs": [
            {"lfn": one.lfn, "size": one.size, "adler32": one.adler32, "trouble": one.trouble} for one in tried.outputs
        ],
        "report": tried.report.body(),
        "directory": None if place is None else str(place),
    }

"""`act simulate`: PanDA, CRIC, storage and ARC CEs as real servers on this machine, with faults on demand."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from ssl import SSLContext
from typing import Annotated

import typer
from pydantic import SecretStr, TypeAdapter

from act_core.cli.out import err, plain
from act_core.credentials.tokens import read_token
from act_core.errors import BadInput
from act_core.foreign import read_yaml
from act_core.simulators import pilot_run
from act_core.simulators.arc import ArcOptions, serve_arc
from act_core.simulators.arc_pace import Pace
from act_core.simulators.arc_pilot import native_payload, running_payload
from act_core.simulators.arc_transfers import StagingOptions
from act_core.simulators.arc_wire import Flavour
from act_core.simulators.cric import CricOptions, serve_cric
from act_core.simulators.cric_queues import QueueDescription
from act_core.simulators.panda import PandaOptions, serve_panda
from act_core.simulators.panda_methods import Generation
from act_core.simulators.panda_records import Patience
from act_core.simulators.panda_roles import Token
from act_core.simulators.pilot_file import wrapper
from act_core.simulators.pilot_ways import WAYS, checked
from act_core.simulators.pki import TestPki, server_context
from act_core.simulators.serve import Opening, run_forever
from act_core.simulators.storage_server import StorageOptions, serve_storage

app = typer.Typer(
    help="Simulated servers on loopback. Each prints its addresses as one line of JSON, and ends with Ctrl-C.\n"
    "Faults are set through the control address: see docs/simulators.md.",
    no_args_is_help=True,
)
Pki = Annotated[Path, typer.Option(help="directory of the test CA; made if it is not there")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: a free one")]
Ready = Annotated[Path | None, typer.Option(help="write the addresses there too")]


def _serve(opening: Opening, ready: Path | None) -> None:
    try:
        asyncio.run(run_forever(opening, ready))
    except BrokenPipeError:
        raise
    except OSError as err:
        raise BadInput(f"the server cannot be: {err}") from err


def _tls(pki: Path) -> SSLContext:
    try:
        made = TestPki(pki)
        return server_context(made.host, made.ca_dir)
    except OSError as err:
        raise BadInput(f"--pki {pki}: no test CA can be there: {err}") from err


@app.command()
def panda(
    pki: Pki = Path("act-pki"),
    port: Port = 0,
    control_port: Port = 0,
    storage_control: Annotated[str | None, typer.Option(help="control address of a simulated storage")] = None,
    adder: Annotated[float, typer.Option(help="seconds from a final report to the job's end")] = 1.0,
    api: Annotated[Generation, typer.Option(help="v1: servers from 1.0; both: 0.6 to 0.8; legacy: before")] = "v1",
    token_file: Annotated[
        Path | None, typer.Option(help="who shows this token (Origin: atlas.production) may all; certificates nothing")
    ] = None,
    ready_file: Ready = None,
) -> None:
    """PanDA, either API, as strict as the real one. Jobs are made by POST /jobs on the control address."""
    tls = _tls(pki)
    options = PandaOptions(
        patience=Patience(adder=timedelta(seconds=adder)),
        storage_control=storage_control,
        fqans=None if token_file is None else {},
        tokens=() if token_file is None else (Token(SecretStr(read_token(token_file))),),
        api=api,
        tls=tls,
        port=port,
        control_port=control_port,
    )
    _serve(lambda: serve_panda(options), ready_file)


@app.command()
def cric(
    queues: Annotated[Path, typer.Option(help="YAML: a list of queues (name, ces, status, kind, …)")],
    pki: Pki = Path("act-pki"),
    port: Port = 0,
    control_port: Port = 0,
    ready_file: Ready = None,
) -> None:
    """CRIC: the pandaqueue feed of the queues that a file describes."""
    try:
        described = TypeAdapter(tuple[QueueDescription, ...]).validate_python(read_yaml(queues.read_text("utf-8")))
    except (OSError, ValueError) as err:
        raise BadInput(f"{queues}: {err}") from err
    tls = _tls(pki)
    options = CricOptions(queues=described, tls=tls, port=port, control_port=control_port)
    _serve(lambda: serve_cric(options), ready_file)


@app.command()
def arc(
    pki: Pki = Path("act-pki"),
    name: Annotated[str, typer.Option(help="the CE's name, for its documents and the witness")] = "arc1",
    flavour: Annotated[Flavour, typer.Option(help="the generation that is imitated")] = Flavour.V7,
    slots: Annotated[
        int | None, typer.Option(min=0, help="jobs that run at the same time; default: 100, of real ones 4 a processor")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(help="run nothing, but play runs of so many seconds, such as 1,2; default: jobs really run"),
    ] = None,
    info_period: Annotated[float, typer.Option(min=0, help="so late are `status` and `info`, s; real: 60")] = 60,
    stage: Annotated[
        bool, typer.Option("--stage", help="with --run: yet really fetch inputs and send outputs over https")
    ] = False,
    witness: Annotated[Path | None, typer.Option(help="file that gets a line for each execution of a payload")] = None,
    port: Port = 0,
    control_port: Port = 0,
    ready_file: Ready = None,
) -> None:
    """An ARC CE over REST, as strict as A-REX 6.17 or 7: jobs wait for their inputs, states come late.

    Jobs are processes of this machine and of your account, with no sandbox; who has a certificate of the test CA can
    send some from this machine. The pilots of PanDA jobs are played. With --run nothing is run.
    """
    really = run is None
    if really:
        _tell_how(pki)
    options = ArcOptions(
        pki=pki,
        name=name,
        flavour=flavour,
        pace=_pace(run, slots, info_period),
        staging=StagingOptions(really=stage or really),
        payload=running_payload if really else native_payload,
        witness=witness,
        port=port,
        control_port=control_port,
    )
    _serve(lambda: serve_arc(options), ready_file)


def _pace(run: str | None, slots: int | None, info_period: float) -> Pace:
    """Raises BadInput."""
    if run is None:
        return Pace(slots=(os.cpu_count() or 1) * 4 if slots is None else slots, info_period=info_period)
    try:
        shortest, _, longest = run.partition(",")
        told = float(shortest), float(longest or shortest)
        return Pace(slots=100 if slots is None else slots, run_s=told, info_period=info_period)
    except ValueError as wrong:
        raise BadInput(f"--run {run!r}: two numbers of seconds are wanted, such as 1,2: {wrong}") from wrong


def _tell_how(pki: Path) -> None:
    """A proxy that the CE takes, and how a tower is told of it."""
    try:
        proxy = TestPki(pki).proxy("me", path=pki / "proxy.pem").absolute()
    except OSError as wrong:
        raise BadInput(f"--pki {pki}: no test CA can be there: {wrong}") from wrong
    if err.is_terminal:
        told = f"export ACT_VOMS__PROXYPATH={proxy} ACT_VOMS__CACERTDIR={pki.absolute() / 'certificates'}"
        err.print(plain(f"for commands that use it:\n  {told}\n  act ces add URL"), markup=False)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="\n\n".join(("Ways to die:", *(f"{name}: {way.words}" for name, way in WAYS.items()))),
)
def pilot(
    context: typer.Context,
    directory: Annotated[Path, typer.Option(help="of the job: pandaJobData.out, inputs; outputs come there")] = Path(),
    die: Annotated[str, typer.Option(help="a way to die, see below; default: $ACT_PILOT_DIE, or as the job says")] = "",
    write: Annotated[
        Path | None, typer.Option(help="run nothing, write the pilot as one executable file, for executable.wrapperurl")
    ] = None,
) -> None:
    """A pilot in this terminal, with the options of the true wrapper: -q QUEUE -j LABEL --url https://HOST -p PORT …

    With --url and without -z it is a true one: reports to PanDA (with $X509_USER_PROXY, or $PANDA_AUTH_TOKEN and
    $PANDA_AUTH_ORIGIN), asks it for a job if there is no pandaJobData.out, and sends outputs to storage itself.
    Without, it is native: it leaves outputs, heartbeat.json and output.list. The payload does what jobPars say
    (--sleep S --size BYTES --fail CODE). Its exit code is the pilot's.

    Of the simulated one alone: --storage URL (outputs), --replicas URL (inputs), --witness FILE (a line for each
    execution), --heartbeat S, --cadir DIR, --token FILE --origin VO.ROLE, --upload (native, outputs sent all the same).
    """
    if write is not None:
        try:
            write.write_bytes(wrapper())
            write.chmod(0o755)
        except OSError as wrong:
            raise BadInput(f"--write {write}: {wrong.strerror}") from wrong
        return
    try:
        checked(die)
    except ValueError as wrong:
        raise BadInput(f"--die: {wrong}") from wrong
    raise typer.Exit(pilot_run.main([*context.args, *(("--die", die) if die else ())], directory))


@app.command()
def storage(
    pki: Pki = Path("act-pki"),
    directory: Annotated[Path | None, typer.Option(help="where files lie; default: in memory")] = None,
    port: Port = 0,
    control_port: Port = 0,
    ready_file: Ready = None,
) -> None:
    """A grid storage over https (WebDAV), with checksums; and a stand-in for Rucio's replica redirect."""
    tls = _tls(pki)
    options = StorageOptions(directory=directory, tls=tls, port=port, control_port=control_port)
    _serve(lambda: serve_storage(options), ready_file)

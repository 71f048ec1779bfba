"""`act doctor`: the whole tower looked at, from the database to the clock, and what to do for each."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import Annotated, Any, TypeVar

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from act_core.cli import doctor_host as host
from act_core.cli import doctor_probes as probes
from act_core.cli.context import now, read_files
from act_core.cli.doctor_tables import Tables, of_tables, read_tables, unavailable
from act_core.cli.out import err, out, plain, print_json
from act_core.monitor import doctor as judge
from act_core.monitor.doctor import Check, Verdict, bad, skipped, worst
from act_core.processes import standing
from act_core.runtime import site_of
from act_core.settings import BadSettings, Loaded, Settings
from act_core.settings.model import Site
from act_core.settings.taken import last_good

COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.BAD: "bold red", Verdict.SKIPPED: "dim"}
TABLES_S = 40.0
WIDE = 16  # most names
NAMED = 3  # CEs of one line
T = TypeVar("T")
Standing = Mapping[str, Any] | None


def doctor(
    ces: Annotated[bool, typer.Option("--ces/--no-ces", help="also try each CE (no jobs are sent)")] = True,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Look at everything the tower needs, and say what is wrong and what to do. Exit 1: something is bad.

    Configuration, state directory, disks with days left, database, Prefect, worker, stages, credentials, PanDA, CEs,
    clocks. Nothing is changed, and no job is sent.
    """
    first: list[Check] = []
    kept: Loaded | None
    try:
        kept = read_files()
    except BadSettings as wrong:
        do = "Mend it; a tower that is up goes on with the last good one."
        first, kept = [bad("configuration", "; ".join(wrong.problems), do)], _last_good(wrong)
    found = first + (_looked(kept, standing(kept.settings.state_dir), with_ces=ces, quiet=json) if kept else [])
    if json:
        verdict = worst(found)
        print_json({"good": verdict is not Verdict.BAD, "checks": [one.for_programs() for one in found]})
    else:
        _print(found)
    if worst(found) is Verdict.BAD:
        raise typer.Exit(1)


def _last_good(wrong: BadSettings) -> Loaded | None:
    """What a tower that is up works with: the rest is looked at by that. None: there never was a good one."""
    try:
        return Loaded(last_good(os.environ, wrong), (), ())
    except BadSettings:
        return None


def _looked(loaded: Loaded, standing: Standing, *, with_ces: bool, quiet: bool) -> list[Check]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as progress:
        task = progress.add_task("looking")

        def waiting_for(names: Iterable[str]) -> None:
            progress.update(task, description=f"waiting for {', '.join(names)}"[:100])

        return asyncio.run(Look(loaded, standing, with_ces, waiting_for).all())


class Look:
    """One look at everything; what can be asked side by side is."""

    def __init__(
        self, loaded: Loaded, standing: Standing, with_ces: bool, waiting_for: Callable[[Iterable[str]], None]
    ) -> None:
        self.loaded, self.held, self.standing = loaded, loaded.settings, standing
        self._with_ces, self._tell = with_ces, waiting_for
        self._waiting: dict[str, None] = {}
        self._offsets: dict[str, float] = {}
        self._gate = asyncio.Semaphore(probes.AT_A_TIME)

    async def all(self) -> list[Check]:
        """In a fixed order, whatever comes first."""
        tables = asyncio.create_task(self._named("database", self._tables()))
        parts = (self._named("this machine", self._here()), self._prefect(), self._pandas(), self._ces(tables))
        here, prefect, pandas, ces = await asyncio.gather(*parts)
        known = await tables
        if known.offset is not None:
            self._offsets["the database"] = known.offset
        mine = list(of_tables(known, self.held, self._up, now()))
        return [*here, known.check, *prefect, *mine, judge.clock(self._offsets), *pandas, *together(ces)]

    @property
    def _up(self) -> timedelta | None:
        """For how long; None: it is not."""
        if self.standing is None or self.standing["phase"] != "up":
            return None
        return host.up_for(self.held, now())

    async def _named(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        self._waiting[name] = None
        self._tell(self._waiting)
        try:
            return await work
        finally:
            self._waiting.pop(name, None)
            self._tell(self._waiting)

    async def _tables(self) -> Tables:
        return await probes.guarded("database", probes.aside(lambda: read_tables(self.held)), Tables, TABLES_S)

    async def _here(self) -> list[Check]:
        """Each by itself: a disk that hangs hides no other check."""
        held, moment = self.held, now()
        looks: dict[str, Callable[[], Iterable[Check]]] = {
            "configuration": lambda: host.configuration(self.loaded),
            "state directory": lambda: [host.state_directory(held)],
            "disk": lambda: host.disks(held),
            "secrets key": lambda: [host.secrets_key(held)],
            "credentials": lambda: host.credentials(held, moment),
            "tower": lambda: [host.worker(held, self.standing)],
        }
        done = [probes.guarded(name, probes.aside(partial(_listed, look)), _alone) for name, look in looks.items()]
        return [one for found in await asyncio.gather(*done) for one in found]

    async def _prefect(self) -> list[Check]:
        url = probes.prefect_url(self.standing)
        if url is None:
            return [skipped("Prefect", "no tower is up here, so that no server is awaited"), host.port(self.held)]
        log = (self.held.arc.logger.logdir or self.held.state_dir / "log") / "prefect-server.log"
        return [await self._named("Prefect", probes.guarded("Prefect", probes.prefect(url, log), _same))]

    async def _pandas(self) -> list[Check]:
        every = self.held.everybody() if "atlas" in self.held.app.modules.app else ()
        return list(await asyncio.gather(*(self._panda(held) for held in every)))

    async def _panda(self, held: Settings) -> Check:
        server = held.app.panda.server
        asked = probes.guarded(f"PanDA {server}", probes.panda(held), _same)
        found, _ = await asyncio.gather(self._named("PanDA", asked), self._clock("PanDA", server, None))
        return found

    async def _ces(self, tables: "asyncio.Task[Tables]") -> list[Check]:
        """All that are configured or in the tables; of a database that is away, the configured ones."""
        if not self._with_ces:
            return [skipped("CEs", "not asked for")]
        known = await tables
        sites = dict(self.held.arc.sites) | {
            row.name: site_of(row) for row in known.ces if row.name not in self.held.arc.sites
        }
        return list(await asyncio.gather(*(self._ce(known, name, site) for name, site in sorted(sites.items()))))

    async def _ce(self, known: Tables, name: str, site: Site) -> Check:
        if why := unavailable(known, name):
            return skipped(f"CE {name}", why)
        probe = probes.ce(self.held, name, site, known.tower, self._gate)
        asked = self._named(f"CE {name}", probes.guarded(f"CE {name}", probe, _same, 4 * probes.DEADLINE_S))
        found, _ = await asyncio.gather(asked, self._clock(f"CE {name}", site.endpoint, (name, site)))
        return found

    async def _clock(self, who: str, url: str, of: tuple[str, Site] | None) -> None:
        if url.startswith("https://"):
            offset = await probes.clock(url, probes.contexts(self.held, *(of or (None, None))))
            if offset is not None:
                self._offsets[who] = offset


def _listed(look: Callable[[], Iterable[Check]]) -> list[Check]:
    return list(look())


def _same(check: Check) -> Check:
    return check


def _alone(check: Check) -> list[Check]:
    return [check]


def together(checks: Iterable[Check]) -> list[Check]:
    """CEs that all say the same (of one proxy, of one authority) are one line."""
    found: list[Check] = []
    said = sorted(checks, key=lambda one: (one.verdict is not Verdict.BAD, one.found, one.do))
    for _, same in groupby(said, key=lambda one: (one.verdict, one.found, one.do)):
        some = list(same)
        names = [one.name.removeprefix("CE ") for one in some]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        name = some[0].name if len(some) == 1 else f"CEs {', '.join(names[:NAMED])}{more}"
        found.append(Check(name, some[0].verdict, some[0].found, some[0].do))
    return found


def _print(found: Iterable[Check]) -> None:
    """A line a check, below it what to do; at the end what is bad, once more by name."""
    checks = list(found)
    for one in checks:
        line = Text(f"{one.verdict.value:8}", COLOURS[one.verdict])
        out.print(line.append(f"{plain(one.name):{WIDE}}", "bold").append(f"  {plain(one.found)}", "not bold"))
        if one.do and one.verdict in (Verdict.BAD, Verdict.WARN):
            out.print(Text(f"{'':8}→ {plain(one.do)}"))
    for verdict, words in ((Verdict.BAD, "bad"), (Verdict.WARN, "to look at")):
        names = [one.name for one in checks if one.verdict is verdict]
        if names:
            out.print(Text(f"\n{words}: {plain('; '.join(names))}", COLOURS[verdict]))
    if worst(checks) is Verdict.OK:
        out.print("\nall is well", style="green")

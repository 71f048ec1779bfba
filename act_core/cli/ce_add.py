"""`act ces add`: a CE comes into the tables by hand, and is tried."""

import asyncio
import re
import socket
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
import yaml
from pydantic import ValidationError

from act_core.ce.registry import kinds, open_ce
from act_core.cli.actor import noted
from act_core.cli.ce_test import all_good, for_programs, needed, tried
from act_core.cli.context import check_known, database, now, settings
from act_core.cli.out import err, out, plain, print_json
from act_core.db import ces as ce_rows
from act_core.db.bootstrap import tower_id
from act_core.db.by_hand import add_by_hand, also_known
from act_core.db.by_hand import remove as forget
from act_core.engine.trial import Plan
from act_core.errors import BadInput, ConfigError
from act_core.foreign import read_yaml
from act_core.ids import TowerId
from act_core.settings import BadSettings, Settings
from act_core.settings.complaints import sentences
from act_core.settings.model import Site
from act_core.words import host_of

CONDOR_PORT, ARC_PORT = 9619, 443
PROBE_S = 3.0


def add(
    url: Annotated[str, typer.Argument(help="https://host/arex, or host:9619", metavar="URL")],
    name: Annotated[str | None, typer.Option(help="default: the host's name")] = None,
    kind: Annotated[str | None, typer.Option(help="a back end (`act ces list --kinds`); default: found out")] = None,
    maxjobs: Annotated[int | None, typer.Option(help="on this CE at a time; default: no limit", min=0)] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="one of the back end's own keys, KEY=VALUE; can be repeated")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="though another name has this address: as for a second queue of it")
    ] = False,
    no_test: Annotated[bool, typer.Option("--no-test", help="do not try it")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="try it without jobs")] = False,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Take a CE into the tables, print what to write into aCTConfigARC.yaml, and try it. Can be repeated."""
    held = settings()
    found, endpoint = known_kind(url, kind)
    name = name or host_of(endpoint)
    given: dict[str, Any] = {"endpoint": endpoint, "kind": found}
    given |= {"maxjobs": maxjobs} if maxjobs is not None else {}
    given |= {"options": options_of(option or [])} if option else {}
    site = _site(given)
    check_opens(held, name, site)
    tower, told = _entered(held, name, site, force)
    written = yaml.safe_dump({"sites": {name: given}}, sort_keys=False)
    if not json:
        err.print(plain(f"{name} ({found}): {told}"), markup=False)
        out.print(plain(written), markup=False, end="")
    site = held.arc.sites.get(name, site)
    plan = Plan(environments=tuple(needed(held, site)), quick=quick)
    findings = [] if no_test else tried(held, name, site, tower, plan, quiet=json)
    if json:
        print_json({"done": told, "site": given, **for_programs(name, findings)})
    if not all_good(findings):
        if not json:
            stays = f"`act ces stop {name}` keeps jobs away, `act ces remove {name}` undoes it"
            err.print(f"{name} stays in the tables: {stays}", markup=False)
        raise typer.Exit(1)


def _site(given: dict[str, Any]) -> Site:
    """Raises BadInput."""
    try:
        return Site(**given)
    except ValidationError as err:
        raise BadInput("; ".join(words for _, words in sentences(Site, err))) from err


def remove(
    name: Annotated[str, typer.Argument(help="the CE's name")],
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Forget a CE that was added by hand, or that no file names any more, and that has no job of ours."""
    held = settings()
    with database(held) as db:
        check_known([name], {*held.arc.sites, *(row.name for row in db.read(ce_rows.all_ces))})
        db.write(forget, name, name in held.arc.sites)
        noted(db, "ces.remove", name, {})
    if json:
        print_json({"removed": name})
    else:
        out.print(plain(f"{name} is forgotten"), markup=False)


def _entered(held: Settings, name: str, site: Site, force: bool) -> tuple[TowerId, str]:
    """Who we are, and what was done. Raises BadInput for an address that has another name."""
    with database(held) as db:
        db.write(ce_rows.enter_ces, held.arc.sites, ce_rows.CONFIG, now())
        if not force and (others := db.read(also_known, name, site)):
            raise BadInput(
                f"{site.endpoint} is {', '.join(others)} already, and would get twice the jobs: "
                f"`act ces test {others[0]}` tries it, and --force adds it as {name}, too, "
                "as for another queue (--option queue=NAME)"
            )
        done = db.write(add_by_hand, name, site, now())
        noted(db, "ces.add", name, {"endpoint": site.endpoint, "kind": site.kind, "what": done, "force": force})
        return db.read(tower_id), done


def known_kind(url: str, kind: str | None) -> tuple[str, str]:
    """The back end and the endpoint as that one wants it. Raises BadInput when it cannot be found out."""
    if kind is not None:
        if kind not in kinds():
            raise BadInput(f"no back end {kind!r}; there are {', '.join(kinds())}")
        return kind, url
    parts = urlsplit(url if "://" in url else f"//{url}")
    try:
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as wrong:
        raise BadInput(f"{url!r} is no address: {wrong}") from wrong
    if host is None or any(char.isspace() for char in host):
        raise BadInput(f"{url!r} names no host: https://host:port/arex or host:9619 is wanted, or --kind")
    if "@" in parts.netloc:
        raise BadInput(f"{host}: no user and no password belong into an address: a CE is shown a proxy or a token")
    if parts.scheme == "https":
        return "arc-rest", f"https://{parts.netloc}{parts.path.rstrip('/') or '/arex'}"
    if parts.scheme:
        raise BadInput(f"{url!r}: what speaks {parts.scheme} is not known; say --kind: {', '.join(kinds())}")
    return _by_port(url, host, port)


def _by_port(url: str, host: str, port: int | None) -> tuple[str, str]:
    if port == CONDOR_PORT or (port is None and _listens(host, CONDOR_PORT)):
        return "htcondor", f"{host}:{CONDOR_PORT}"
    if port == ARC_PORT or (port is None and _listens(host, ARC_PORT)):
        return "arc-rest", f"https://{host}:{ARC_PORT}/arex"
    ports = f"{CONDOR_PORT} (HTCondor-CE) or {ARC_PORT} (ARC)"
    raise BadInput(f"{url!r}: its port is not {ports}, or it does not answer there: say --kind and the whole address")


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), PROBE_S):
            return True
    except socket.gaierror as wrong:
        raise BadInput(f"no address is known for {host}: {wrong.strerror}") from wrong
    except OSError:
        return False


def options_of(words: list[str]) -> dict[str, Any]:
    """KEY=VALUE, the values as YAML reads them. Raises BadInput."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise BadInput(f"--option {word!r}: KEY=VALUE is wanted, such as queue=grid")
        try:
            found[key] = read_yaml(value)
        except ValueError as wrong:
            raise BadInput(f"--option {word!r}: its value cannot be read: {wrong}") from wrong
    return found


def check_opens(held: Settings, name: str, site: Site) -> None:
    """Raises BadInput for what the back end does not take."""
    try:
        ce = open_ce(held, name, now, site)
    except BadSettings as wrong:
        raise BadInput("\n".join(map(_bare, wrong.problems))) from wrong
    except ConfigError as wrong:
        raise BadInput(_bare(str(wrong))) from wrong
    asyncio.run(ce.close())


def _bare(complaint: str) -> str:
    """Without the place in a file: the CE stands in none."""
    return re.sub(r"^(?:defaults|\S+:\d+): ", "", complaint)

"""What `act doctor` finds on this machine: files, disks, credentials, processes."""

import os
import socket
import stat
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from act_core.credentials.proxy import read_proxy
from act_core.credentials.tokens import bearer, read_token
from act_core.credentials.values import NEVER
from act_core.credentials.vault import Vault, key_file
from act_core.db.credentials import PROXY
from act_core.disks import looked_at
from act_core.engine.credentials import made, proxy_files, token_files
from act_core.engine.room import read_samples
from act_core.errors import ActError, ConfigError
from act_core.installed import applications
from act_core.monitor import doctor
from act_core.monitor.doctor import Check, bad, ok, skipped, warn
from act_core.processes import lives, tick_age, up_file
from act_core.settings import Loaded, Settings, taken

TICK_LATE = 60.0  # seconds
CONNECT_S = 2.0


def configuration(loaded: Loaded) -> Iterator[Check]:
    """The files as they are, and whether the tower that is up works with them."""
    files = ", ".join(map(str, loaded.files)) or "no file: the defaults hold"
    running = taken.said(loaded.settings.state_dir)
    try:
        applications(loaded.settings)
    except ConfigError as err:
        yield bad("applications", str(err), "Mend modules.app, or install the package that has it.")
    if running and running["problems"]:
        since, problems = running["taken"][:19], "; ".join(running["problems"])
        found = f"the tower refuses the files as it read them last, and goes on with those of {since}: {problems}"
        yield bad("configuration", found, "Mend them; `act config check` tells every problem.")
    elif loaded.warnings:
        do = "Take such keys out, or mend them: nothing breaks meanwhile."
        yield warn("configuration", f"{files}: {len(loaded.warnings)} to look at: {'; '.join(loaded.warnings)}", do)
    else:
        yield ok("configuration", files)
    if running and running["restart"]:
        found = f"{', '.join(running['restart'])} changed, and a tower that is up cannot take that over"
        yield warn("restart", found, "`act down` and `act up`, when it suits you.")


def state_directory(held: Settings) -> Check:
    """Ours alone, and writable."""
    path = held.state_dir
    try:
        mode = path.stat().st_mode
        open_files = [str(one) for one in (path / "prefect" / "password", key_file(held)) if _open_to_others(one)]
    except OSError as err:
        return bad("state directory", f"{path}: {err.strerror}", "Name another by $ACT_STATE_DIR, or make it.")
    if not os.access(path, os.W_OK | os.X_OK):
        do = f"Run as its owner, or `chown` it: it belongs to user {path.stat().st_uid}."
        return bad("state directory", f"user {os.geteuid()} may not write in {path}", do)
    if open_files:
        return bad(
            "state directory", f"others can read {', '.join(open_files)}", f"`chmod 600 {' '.join(open_files)}`."
        )
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        return bad("state directory", f"others may write in {path}", f"`chmod go-w {path}`.")
    return ok("state directory", str(path))


def _open_to_others(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def disks(held: Settings) -> Iterator[Check]:
    found, silent = looked_at(held)
    samples = read_samples(held)
    for one in found:
        yield doctor.disk(one, held.arc.disk, samples.get(str(one.path), ()))
    for words in silent:
        yield bad("disk", words, "Is the file system mounted, and well? See the kernel's log (`dmesg`).")


def secrets_key(held: Settings) -> Check:
    """Whether the secrets of jobs can be sealed and opened."""
    if "atlas" not in held.app.modules.app:
        return skipped("secrets key", "no application seals anything")
    try:
        Vault(key_file(held)).seal("")
    except ActError as err:
        do = "Of a new tower `act bootstrap` makes it. Else bring it back: a copy, another machine (docs/secrets.md)."
        return bad("secrets key", str(err), do)
    return ok("secrets key", f"{key_file(held)} can be used")


def credentials(held: Settings, now: datetime) -> Iterator[Check]:
    """Every proxy and token of the configuration, as its file is now."""
    own = {one.place: (name, one.kind) for name, one in made(held).items()}
    proxies = [*proxy_files(held), *(path for path, (_, kind) in own.items() if kind == PROXY)]
    tokens = [*token_files(held), *(path for path, (_, kind) in own.items() if kind != PROXY)]
    for path in dict.fromkeys(proxies):
        try:
            proxy = read_proxy(path)
        except ActError as err:
            yield doctor.credential(str(path), None, str(err), "", now)
        else:
            yield doctor.credential(str(path), proxy.expires, None, proxy.subject, now)
    for path in dict.fromkeys(tokens):
        try:
            token = bearer(path, read_token(path))
        except ActError as err:
            yield doctor.credential(str(path), None, str(err), "", now)
        else:
            ends = min(token.expires, NEVER)
            yield doctor.credential(str(path), ends, None, token.subject, now)
    if not proxies and not tokens:
        yield skipped("credentials", "none is configured")


def worker(held: Settings, standing: Mapping[str, Any] | None) -> Check:
    """Whether the tower's processes live, and the worker's main loop goes round."""
    if standing is None:
        return skipped("tower", f"no tower is up in {held.state_dir} (`act up`); what it would need is looked at")
    dead = [name for name, (pid, start) in standing["children"].items() if not lives(pid, start)]
    if dead:
        do = f"They are started again by themselves; see {held.state_dir / 'log'} for why they died."
        return bad("tower", f"not running: {', '.join(dead)}", do)
    if standing["phase"] != "up":
        return warn("tower", f"it is {standing['phase']}", "Look again in a minute.")
    age = tick_age(held.state_dir)
    if age is None or age > TICK_LATE:
        told = "not once" if age is None else f"for {age:.0f} s"
        return bad(
            "tower", f"the worker's main loop did not go round {told}", "`act down` and `act up`; report the log."
        )
    return ok("tower", f"up, with {', '.join(standing['children'])}; the worker went round {age:.0f} s ago")


def up_for(held: Settings, now: datetime) -> timedelta:
    """Since the supervisor wrote that it is up."""
    try:
        return now - datetime.fromtimestamp(up_file(held.state_dir).stat().st_mtime, now.tzinfo)
    except OSError:
        return timedelta(0)


def port(held: Settings) -> Check:
    """Of a tower that is not up: whether its port is free."""
    prefect = held.arc.prefect
    with socket.socket() as probe:
        probe.settimeout(CONNECT_S)
        if probe.connect_ex((prefect.host, prefect.port)) != 0:
            return ok("port", f"{prefect.host}:{prefect.port} is free for Prefect's server")
    do = "Name another by prefect.port, or `act up --port 0`."
    return warn("port", f"somebody else listens at {prefect.host}:{prefect.port}", do)

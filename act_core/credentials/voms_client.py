"""Proxies with VOMS attributes, made by the programs that sites trust: arcproxy or voms-proxy-init."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from act_core.credentials import renewal
from act_core.credentials.private import private_directory
from act_core.credentials.proxy import load_source, read_proxy
from act_core.credentials.values import Credential
from act_core.errors import ConfigError, CredentialError
from act_core.settings.policy import Voms
from act_core.words import clean

DEADLINE_S, TRIES, PAUSE_S = 60.0, 3, 1.0
SERVER_S = 20  # that the program may wait for one VOMS server
SAID = 300  # characters of a program's last words
_HOSTS_OWN = ("PATH", "LD_LIBRARY_PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Renewed:
    """A fresh proxy that is in its place. `but`: what is to be said of it all the same."""

    credential: Credential
    but: str | None


def program(voms: Voms, path: str | None = None) -> tuple[str, Path]:
    """The renewer's name and its program. Raises ConfigError: none is there. `path`: instead of $PATH."""
    names = ("arcproxy", "voms-proxy-init") if voms.renewer == "auto" else (voms.renewer,)
    for name in names:
        if found := shutil.which(name, path=str(voms.bindir) if voms.bindir else path):
            return name, Path(found)
    where = voms.bindir or "$PATH"
    raise ConfigError(f"voms.renewer: no {' or '.join(names)} in {where}: install it, or name its place by voms.bindir")


def command(name: str, found: Path, voms: Voms, fqan: str, out: Path) -> list[str]:
    """The words of the command. They hold paths, and no secret."""
    hours, minutes = divmod(int(voms.proxylifetime.total_seconds()) // 60, 60)
    source, seconds = str(voms.proxypath), int(voms.proxylifetime.total_seconds())
    if name == "arcproxy":
        words = ["-P", str(out), "-C", source, "-K", source, "-T", str(voms.cacertdir), "-S", f"{voms.vo}:{fqan}"]
        limits = [f"validityPeriod={seconds}", f"vomsACvalidityPeriod={seconds}", "keybits=2048"]
        words += [word for limit in limits for word in ("-c", limit)] + ["-t", str(SERVER_S)]
        words += ["-V", str(voms.vomses)] if voms.vomses else []
        return [str(found), *words, *(["-s", str(voms.vomsdir)] if voms.vomsdir else [])]
    words = ["-rfc", "-out", str(out), "-cert", source, "-key", source, "-certdir", str(voms.cacertdir)]
    words += ["-voms", f"{voms.vo}:{fqan}", "-valid", f"{hours}:{minutes:02}", "-bits", "2048"]
    words += ["-timeout", str(SERVER_S)]
    return [str(found), *words, *(["-vomses", str(voms.vomses)] if voms.vomses else [])]


def surroundings(voms: Voms, given: Mapping[str, str]) -> dict[str, str]:
    """The program's environment: what the machine needs and what grids set, and nothing of the tower's."""
    kept = {name: value for name, value in given.items() if name in _HOSTS_OWN or name.startswith(("ARC_", "X509_"))}
    kept |= {"X509_CERT_DIR": str(voms.cacertdir), "X509_USER_PROXY": str(voms.proxypath)}
    kept |= {"X509_VOMS_DIR": str(voms.vomsdir)} if voms.vomsdir else {}
    return kept | ({"X509_VOMSES": str(voms.vomses)} if voms.vomses else {})


async def renew(
    voms: Voms,
    role: str | None,
    place: Path,
    now: Callable[[], datetime],
    pause: float | None = None,
    deadline: float = DEADLINE_S,
) -> Renewed:
    """Make the proxy of a role and put it into its place, if it is what was asked for; else the old one stays.

    Raises ConfigError: no program, no source. CredentialError: after all tries; the words are the program's.
    """
    if voms.proxypath is None:
        raise ConfigError("voms.proxypath: with voms.vo it names what proxies are made from: a robot certificate")
    name, found = program(voms)
    source = await asyncio.to_thread(load_source, voms.proxypath, now())
    await asyncio.to_thread(private_directory, place.parent)
    out, fqan = place.with_name(f".{place.name}.{os.getpid()}.new"), renewal.fqan_of(voms, role)
    out.unlink(missing_ok=True)
    for attempt in range(1, TRIES + 1):
        try:
            said = await _run(command(name, found, voms, fqan, out), surroundings(voms, os.environ), deadline)
            return await asyncio.to_thread(_placed, out, place, fqan, source, said, voms.proxylifetime, now())
        except CredentialError as err:
            if attempt == TRIES:
                raise CredentialError(f"{fqan}: {name} made no good proxy in {TRIES} tries: {err}") from err
        finally:
            out.unlink(missing_ok=True)
        await asyncio.sleep(PAUSE_S if pause is None else pause)
    raise AssertionError("unreachable")


def _placed(
    out: Path, place: Path, fqan: str, source: Credential, said: str, lifetime: timedelta, now: datetime
) -> Renewed:
    try:
        made = read_proxy(out)
    except CredentialError as err:
        raise CredentialError(f"{err}; it said: {said}") from err
    used = None
    with contextlib.suppress(CredentialError):
        used = read_proxy(place)
    if why := renewal.unfit(made, fqan, source.subject, now, used):
        raise CredentialError(f"{why}; it said: {said}")
    out.replace(place)
    placed = Credential(place, made.subject, made.expires, made.roles)
    return Renewed(placed, renewal.short(placed, source.expires, lifetime, now))


async def _run(words: list[str], environment: Mapping[str, str], deadline: float) -> str:
    """The program's last words. Raises CredentialError: it failed, or did not end in time; then it is killed."""
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )
    except OSError as err:
        raise CredentialError(f"{words[0]} cannot be started: {err.strerror}") from err
    try:
        async with asyncio.timeout(deadline):
            told, _ = await process.communicate()
    except TimeoutError as err:
        raise CredentialError(f"{words[0]} did not end within {deadline:g} s") from err
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    said = last_words(told)
    if process.returncode:
        raise CredentialError(f"exit code {process.returncode}: {said}")
    return said


def last_words(told: bytes) -> str:
    """The end of what a program wrote, in one line without control characters."""
    lines = clean(told.decode("utf-8", "replace")).split()
    return "".join(one for one in " ".join(lines) if one.isprintable())[-SAID:] or "nothing"

"""Keep the credentials good: look at those that others renew, make the tower's own anew, delegate to the CEs."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from act_core.credentials.places import made_proxy, made_token, proxy_of, token_of
from act_core.credentials.proxy import load_proxy, load_source, read_proxy
from act_core.credentials.renewal import proxy_due, token_due
from act_core.credentials.tokens import bearer, load_token, read_token
from act_core.credentials.values import Bearer, Credential
from act_core.db import credentials
from act_core.db.credentials import PROXY, TOKEN, Found
from act_core.db.due import ces_with_jobs
from act_core.errors import ActError, ConfigError, CredentialError, ProtocolError, Transient
from act_core.logs import log
from act_core.runtime import Counts, Runtime
from act_core.settings.model import Settings
from act_core.settings.policy import Token, Voms

logger = log(__name__)
SOON = {PROXY: timedelta(days=1), TOKEN: timedelta(minutes=30)}
FILES = "files"
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Made:
    """A credential that the tower makes itself. `make`: what came out, and what is to be said of it all the same."""

    kind: str
    place: Path
    renewer: str
    make: Callable[[Clock], Awaitable[tuple[Found, str | None]]]
    due: Callable[[timedelta, timedelta | None], bool]  # by what is left of it, and what it was granted
    best: Callable[[Found, datetime], bool]  # whether none that is made now could last longer


def made(settings: Settings) -> Mapping[str, Made]:
    """What the tower makes itself, by the name that `act credentials renew` takes."""
    found: dict[str, Made] = {}
    for one in _made(settings):
        found[one.place.name if one.place.stem in found else one.place.stem] = one  # a token may be named as a VO is
    return found


def _made(settings: Settings) -> Iterator[Made]:
    voms = settings.arc.voms
    if voms.vo and voms.renewer != "none":
        due = partial(proxy_due, least=voms.minlifetime)
        for role in voms.roles or (None,):
            place = made_proxy(settings, role)
            yield Made(PROXY, place, voms.renewer, partial(_proxy, voms, role, place), due, partial(_at_its_best, voms))
    for name, token in settings.arc.tokens.items():
        if token.issuer:
            place = made_token(settings, name)
            yield Made(TOKEN, place, "issuer", partial(_token, token, place), token_due, _never_at_its_best)


async def _proxy(voms: Voms, role: str | None, place: Path, now: Clock) -> tuple[Found, str | None]:
    from act_core.credentials import voms_client

    done = await voms_client.renew(voms, role, place, now)
    return _of_proxy(done.credential), done.but


def _at_its_best(voms: Voms, used: Found, now: datetime) -> bool:
    """It lasts as long as what it is made from. Made anew every few minutes towards that end, it would be no better."""
    with contextlib.suppress(CredentialError):  # the renewal itself tells of that
        source = load_source(voms.proxypath, now) if voms.proxypath else None
        return source is not None and source.subject == used.subject and source.expires <= used.expires
    return False


def _never_at_its_best(_used: Found, _now: datetime) -> bool:
    return False


async def _token(token: Token, place: Path, now: Clock) -> tuple[Found, str | None]:
    from act_core.credentials import oidc

    return _of_token(await oidc.renew(token, place, now())), None


def _of_proxy(found: Credential) -> Found:
    return Found(PROXY, str(found.proxy), found.subject, found.expires, found.roles)


def _of_token(found: Bearer) -> Found:
    return Found(TOKEN, str(found.file), found.subject, found.expires, found.scopes)


async def renewable(rt: Runtime) -> Sequence[str]:
    return list(made(rt.settings))


async def renew(rt: Runtime, name: str, force: bool = False) -> Counts:
    """Make one credential anew if it is time, or `force`d; the one in use stays until there is a better one.

    What goes wrong is told. It is raised once the one in use is of no use, or will be soon. ConfigError: no such name.
    """
    one = made(rt.settings).get(name)
    if one is None:
        known = ", ".join(made(rt.settings)) or "none"
        raise ConfigError(f"no credential {name!r} that the tower makes; there are: {known}")
    used, now = await asyncio.to_thread(_in_use, one), rt.now()
    row = await rt.read(credentials.row, one.place)
    same = used is not None and row is not None and row.expires == used.expires
    granted = row.expires - row.renewed_at if same and row and row.renewed_at else None
    due = used is None or (one.due(used.expires - now, granted) and not await asyncio.to_thread(one.best, used, now))
    if used and not force and not due:
        if not same:
            await rt.write(credentials.remember, used, now)
        return Counts({"good": 1})
    try:
        fresh, but = await one.make(rt.now)
    except (ConfigError, CredentialError, ProtocolError, Transient) as err:
        return await _not_renewed(rt, name, one, used, err)
    await rt.write(credentials.remember, replace(fresh, renewer=one.renewer), rt.now(), renewed=True)
    logger.info("%s is renewed until %s UTC", name, f"{fresh.expires:%Y-%m-%d %H:%M}")
    if but:
        logger.warning("%s: %s", name, but)
        await rt.write(credentials.complain, one.kind, one.place, but, one.renewer, rt.now())
    return Counts({"renewed": 1})


def _in_use(one: Made) -> Found | None:
    """What lies in its place, good or not; None: nothing that can be read."""
    with contextlib.suppress(CredentialError):
        found = (
            _of_proxy(read_proxy(one.place))
            if one.kind == PROXY
            else _of_token(bearer(one.place, read_token(one.place)))
        )
        return replace(found, renewer=one.renewer)
    return None


async def _not_renewed(rt: Runtime, name: str, one: Made, used: Found | None, err: ActError) -> Counts:
    logger.warning("%s is not renewed: %s", name, err)
    if used:
        await rt.write(credentials.remember, used, rt.now())
    await rt.write(credentials.complain, one.kind, one.place, f"not renewed: {err}", one.renewer, rt.now())
    if used is None or used.expires - rt.now() < SOON[one.kind]:
        raise err
    return Counts({"not renewed": 1})


def proxy_files(settings: Settings) -> tuple[Path, ...]:
    """The proxies that the configuration names and others renew, each once."""
    named = [_source(settings), *(seen.app.panda.proxy for seen in settings.everybody())]
    named += [site.proxy for site in settings.arc.sites.values()]
    voms = settings.arc.voms
    if voms.vo and voms.renewer == "none":
        named += [made_proxy(settings, role) for role in voms.roles or (None,)]
    return tuple(dict.fromkeys(path for path in named if path is not None))


def _source(settings: Settings) -> Path | None:
    """What proxies are made from, or are."""
    return settings.arc.voms.proxypath


def token_files(settings: Settings) -> tuple[Path, ...]:
    """The files of tokens that others renew, each once."""
    return tuple(dict.fromkeys(token.file for token in settings.arc.tokens.values() if token.file))


def named(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Every credential of the configuration, by the name that people call it, and its file."""
    own = {one.place: name for name, one in made(settings).items()}
    for path, name in own.items():
        yield name, path
    for path in (*proxy_files(settings), *token_files(settings)):
        if path not in own:
            yield path.stem, path


async def configured(rt: Runtime) -> Sequence[str]:
    return [FILES] if (*proxy_files(rt.settings), *token_files(rt.settings)) else []


async def look(rt: Runtime, _key: str) -> Counts:
    """Write down whose each credential is that others renew, and until when it is good; say which ones end soon.

    Raises CredentialError, after all were read, for those that cannot be used.
    """
    counts, unusable = Counts(), []
    kinds = [(PROXY, path) for path in proxy_files(rt.settings)] + [(TOKEN, path) for path in token_files(rt.settings)]
    for kind, path in kinds:
        try:
            found = await asyncio.to_thread(_looked_at, rt.settings, kind, path, rt.now())
        except CredentialError as err:
            unusable.append(str(err))
            await rt.write(credentials.complain, kind, path, str(err), "", rt.now())
            continue
        await rt.write(credentials.remember, replace(found, renewer=""), rt.now())
        counts += Counts({"good proxies" if kind == PROXY else "good tokens": 1})
        counts += _ending(kind, path, found.expires, rt.now())
    if unusable:
        raise CredentialError("; ".join(unusable))
    return counts


def _looked_at(settings: Settings, kind: str, path: Path, now: datetime) -> Found:
    if kind == TOKEN:
        return _of_token(load_token(path, now))
    made_from = path == _source(settings) and settings.arc.voms.vo
    return _of_proxy(load_source(path, now) if made_from else load_proxy(path, now))


def _ending(kind: str, path: Path, expires: datetime, now: datetime) -> Counts:
    if expires - now > SOON[kind]:
        return Counts()
    what = "proxy" if kind == PROXY else "token"
    logger.warning("the %s %s ends at %s UTC: renew it", what, path, f"{expires:%Y-%m-%d %H:%M}")
    return Counts({"ending within a day" if kind == PROXY else "ending within half an hour": 1})


async def with_jobs(rt: Runtime) -> Sequence[str]:
    return await rt.read(ces_with_jobs, rt.now())


async def delegate(rt: Runtime, ce: str) -> Counts:
    """Keep fresh what jobs on this CE hold of what it is shown: a delegation, or copies of proxy and token."""
    end, site = await rt.ce(ce), await rt.site(ce)
    if not end.traits.needs_credential:
        return Counts()
    proxy, token = proxy_of(rt.settings, ce, site), token_of(rt.settings, ce, site)
    if proxy is not None:
        await end.renew(await asyncio.to_thread(load_proxy, proxy, rt.now()))
        return Counts({"delegations fresh": 1})
    if token is not None:
        await end.renew(await asyncio.to_thread(load_token, token, rt.now()))
        return Counts({"tokens looked after": 1})
    return Counts()

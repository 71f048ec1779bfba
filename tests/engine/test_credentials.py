"""What is written down of proxies, and what is said of those that end soon."""

from datetime import timedelta
from pathlib import Path

import pytest

from act_core.db import credentials
from act_core.engine import credentials as step
from act_core.errors import CredentialError
from act_core.runtime import Runtime
from act_core.settings.model import Settings, Site, Voms
from act_core.simulators.pki import TestPki


def with_proxies(rt: Runtime, first: Path, *others: Path) -> Runtime:
    """The same runtime under a configuration that names these proxies."""
    sites = {f"ce{number}": Site(kind="local", proxy=path) for number, path in enumerate(others)}
    arc = rt.settings.arc.model_copy(update={"voms": Voms(proxypath=first), "sites": sites})
    rt.settings = rt.settings.model_copy(update={"arc": arc})
    return rt


def test_each_proxy_is_looked_at_once(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    settings = Settings(state_dir=tmp_path)
    assert step.proxy_files(settings) == ()
    sites = {"a": Site(proxy=one), "b": Site(proxy=two), "c": Site()}
    arc = settings.arc.model_copy(update={"voms": Voms(proxypath=one), "sites": sites})
    assert step.proxy_files(settings.model_copy(update={"arc": arc})) == (one, two)


async def test_proxies_are_written_down(runtime: Runtime, tmp_path: Path) -> None:
    pki = TestPki(tmp_path / "pki")
    long, short = pki.proxy("long", timedelta(hours=72)), pki.proxy("short", timedelta(hours=5))
    with_proxies(runtime, long, short)
    assert await step.look(runtime, step.PROXIES) == {"good proxies": 2, "ending within a day": 1}
    rows = await runtime.read(credentials.known)
    assert [(row.path, row.subject) for row in rows] == [
        (str(short), pki.user("short").dn),
        (str(long), pki.user("long").dn),
    ]
    renewed = pki.proxy("short", timedelta(hours=90), path=short)
    assert await step.look(runtime, step.PROXIES) == {"good proxies": 2}
    assert [row.path for row in await runtime.read(credentials.known)] == [str(long), str(renewed)]


async def test_a_bad_proxy_is_named_and_the_others_are_still_read(runtime: Runtime, tmp_path: Path) -> None:
    pki = TestPki(tmp_path / "pki")
    expired, good = pki.proxy("late", timedelta(hours=-1)), pki.proxy("good")
    with_proxies(runtime, expired, tmp_path / "absent.pem", good)
    with pytest.raises(CredentialError, match=r"proxy-late\.pem expired.*absent\.pem"):
        await step.look(runtime, step.PROXIES)
    assert [row.path for row in await runtime.read(credentials.known)] == [str(good)]

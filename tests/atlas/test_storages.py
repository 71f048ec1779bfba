"""Who the tower is on storage, and what the configuration allows: renewed proxies, tokens for few, directories."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from act_core.atlas import storages
from act_core.atlas.storages import open_storage
from act_core.errors import CredentialError
from act_core.settings.app_model import AppSettings
from act_core.settings.model import ArcSettings, Settings
from act_core.settings.policy import Voms
from act_core.simulators.pki import TestPki
from act_core.storage.base import Outcome, Wanted
from tests.atlas.house import House


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> TestPki:
    return TestPki(tmp_path_factory.mktemp("pki"))


def settings(pki: TestPki, proxy: Path | None, directory: Path, **validation: object) -> Settings:
    app = AppSettings.model_validate({"validation": validation})
    arc = ArcSettings(voms=Voms(proxypath=proxy, cacertdir=pki.ca_dir))
    return Settings(state_dir=directory, arc=arc, app=app)


def test_a_renewed_proxy_is_used_at_once_and_an_unchanged_one_keeps_its_connections(pki: TestPki) -> None:
    proxy = pki.proxy("robot")
    who = storages._Identity(pki.ca_dir, proxy)
    first = who.context()
    assert who.context() is first
    pki.proxy("other", path=proxy)
    assert who.context() is not first


def test_changed_authorities_count_within_a_minute(pki: TestPki, monkeypatch: pytest.MonkeyPatch) -> None:
    who = storages._Identity(pki.ca_dir, None)
    first = who.context()
    monkeypatch.setattr(storages, "LOOK_S", 0.0)
    assert who.context() is first
    (pki.ca_dir / "01234567.0").touch()
    try:
        assert who.context() is not first
    finally:
        (pki.ca_dir / "01234567.0").unlink()


@pytest.mark.parametrize("life", [timedelta(hours=-1), None], ids=["expired", "not there"])
async def test_a_credential_of_ours_that_cannot_be_used_judges_no_file(
    pki: TestPki, tmp_path: Path, life: timedelta | None
) -> None:
    proxy = tmp_path / "proxy" if life is None else pki.proxy("late", path=tmp_path / "proxy", lifetime=life)
    storage = open_storage(settings(pki, proxy, tmp_path))
    try:
        with pytest.raises(CredentialError, match="proxy"):
            await storage.check([Wanted("https://localhost:9/x", 1, "1")])
    finally:
        await storage.close()


async def test_file_addresses_are_looked_at_in_the_named_directories_only(pki: TestPki, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    files = [Wanted((tmp_path / name).as_uri(), 7, "0bcb02fc") for name in ("in/x", "out")]
    for name in ("in/x", "out"):
        (tmp_path / name).write_bytes(b"content")
    storage = open_storage(settings(pki, None, tmp_path, filedirs=[str(tmp_path / "in")]))
    verdicts = await storage.check(files)
    await storage.close()
    assert [verdicts[file].outcome for file in files] == [Outcome.MATCH, Outcome.UNVERIFIABLE]


async def test_outputs_on_several_kinds_of_storage_are_one_job(queue: House, tmp_path: Path) -> None:
    """Addresses as pilots write them; the file:// one is below a named directory."""
    (tmp_path / "out").write_bytes(b"content")
    queue.configure(validation={"filedirs": (tmp_path,)})
    (number,) = await queue.bound(1)
    await queue.ended(number)
    row = await queue.row(number)
    listed = json.loads(str(row.outputs))
    local = {"lfn": "out", "url": (tmp_path / "out").as_uri(), "size": 7, "adler32": "0bcb02fc"}
    await queue.change(number, outputs=json.dumps([*listed, local]))
    assert await queue.run("fetch-validate") == {"files match": 3, "validated": 1}


def test_who_shows_a_token_to_whom(pki: TestPki, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("s3cret")
    policy = settings(pki, None, tmp_path, tokenfile=str(token), tokenhosts=[".example.org"])
    web = open_storage(policy)._backends["https"]
    bearer = getattr(web, "bearer", None)
    assert bearer is not None
    assert bearer.headers("se.example.org") == {"Authorization": "Bearer s3cret"}
    assert bearer.headers("example.com") == {}


@pytest.mark.parametrize("key", ["connect", "timeout", "deadline"])
def test_a_time_of_nothing_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        AppSettings.model_validate({"validation": {key: "0"}})

"""The key for the secrets of jobs: made once, private, changed while the tower runs, and missed with clear words."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from act_core.credentials.private import write_private
from act_core.credentials.vault import Vault, key_file, make_key, rotate
from act_core.errors import ConfigError, CredentialError
from act_core.settings.model import ArcSettings, Settings
from act_core.settings.policy import Secrets


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path / "state")


@pytest.fixture
def vault(settings: Settings) -> Vault:
    assert make_key(settings, first=True) is None
    return Vault(key_file(settings))


def test_what_is_sealed_is_opened_and_not_to_be_read(vault: Vault) -> None:
    sealed = vault.seal("hush ü")
    assert b"hush" not in sealed
    opened = vault.open(sealed)
    assert opened.get_secret_value() == "hush ü"
    assert "hush" not in f"{opened!r} {opened}"


def test_the_key_is_private_and_stays(vault: Vault, settings: Settings) -> None:
    assert vault.path.stat().st_mode & 0o777 == 0o600
    before = vault.path.read_bytes()
    assert make_key(settings, first=True) is None
    assert make_key(settings, first=False) is None
    assert vault.path.read_bytes() == before
    assert [one.name for one in vault.path.parent.iterdir()] == ["secrets.key"]


def test_a_second_machine_makes_none_of_its_own(settings: Settings) -> None:
    told = make_key(settings, first=False)
    assert told is not None
    assert str(key_file(settings)) in told
    assert "copy it" in told
    assert not key_file(settings).exists()


def test_the_file_may_lie_elsewhere(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "k"
    settings = Settings(state_dir=tmp_path, arc=ArcSettings(secrets=Secrets(keyfile=place)))
    make_key(settings, first=True)
    assert Vault(place).open(Vault(place).seal("x")).get_secret_value() == "x"


def test_a_new_key_seals_and_the_older_ones_open(vault: Vault, settings: Settings) -> None:
    first = vault.seal("one")
    assert rotate(settings) == 2
    second = vault.seal("two")
    assert vault.path.stat().st_mode & 0o777 == 0o600
    assert [vault.open(one).get_secret_value() for one in (first, second)] == ["one", "two"]
    newest, oldest = vault.path.read_bytes().splitlines()
    write_private(vault.path, newest + b"\n\n")
    assert vault.open(second).get_secret_value() == "two"
    with pytest.raises(CredentialError, match=r"secrets\.key does not hold the key that sealed"):
        vault.open(first)
    write_private(vault.path, oldest)
    assert vault.open(first).get_secret_value() == "one"


def test_rotation_is_the_first_key_where_there_is_none(settings: Settings) -> None:
    assert rotate(settings) == 1
    assert Vault(key_file(settings)).seal("x")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(Path.unlink, "cannot be read: No such file.*copy it", id="not there"),
        pytest.param(lambda path: path.chmod(0o640), "can be read by others: chmod 600", id="open to others"),
        pytest.param(lambda path: path.write_text("hush\n"), "a line of it is no key", id="something else"),
        pytest.param(lambda path: path.write_text("\n"), "there is no key in it", id="empty"),
        pytest.param(lambda path: (path.unlink(), path.mkdir()), "is not a file", id="a directory"),
    ],
)
def test_trouble_with_the_file_names_it(vault: Vault, spoil: Callable[[Path], object], words: str) -> None:
    sealed = vault.seal("x")
    spoil(vault.path)
    for deed in (lambda: Vault(vault.path).seal("x"), lambda: Vault(vault.path).open(sealed)):
        with pytest.raises(CredentialError, match=words) as told:
            deed()
        assert str(vault.path) in str(told.value)
        assert "hush" not in str(told.value)


def test_a_place_where_no_file_can_be(settings: Settings) -> None:
    settings.state_dir.touch()
    with pytest.raises(ConfigError, match=r"secrets\.key: the key for the secrets of jobs cannot be written"):
        make_key(settings, first=True)
    with pytest.raises(ConfigError, match="cannot be written"):
        rotate(settings)


def test_a_file_that_is_no_key_is_not_written_over(vault: Vault, settings: Settings) -> None:
    vault.path.write_text("something else\n")
    with pytest.raises(CredentialError, match="is no key"):
        rotate(settings)
    assert vault.path.read_text() == "something else\n"


async def test_closing_forgets(vault: Vault) -> None:
    vault.seal("x")
    vault.path.write_bytes(Fernet.generate_key())
    await vault.close()
    assert vault.open(vault.seal("y")).get_secret_value() == "y"

"""`act` alone says what to do first, from where one stands."""

from pathlib import Path

from tests.cli.conftest import Act


def _next(act: Act) -> tuple[str, str]:
    """Where one stands, and the first step from there."""
    said = act("--json").json
    return said["stand"], said["next"][0]["command"]


def test_from_an_empty_directory_to_tables(bare: Act, place: Path) -> None:
    (place / "aCTConfigARC.yaml").rename(place / "aside")
    assert _next(bare) == ("no configuration", "act demo")
    assert not (place / "state").exists()
    (place / "aCTConfigARC.yaml").write_text("jbs: 5\n")
    assert _next(bare) == ("bad configuration", "act config check")
    assert "jbs" in bare().out
    (place / "aside").rename(place / "aCTConfigARC.yaml")
    assert _next(bare) == ("no tables", "act bootstrap")
    assert not (place / "state").exists()


def test_with_tables_the_tower_is_to_be_started(act: Act) -> None:
    assert _next(act) == ("down", "act up")
    said = act()
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("act - a tower")
    assert "  act up " in said.out


def test_where_the_database_does_not_answer_it_says_so(bare: Act, place: Path) -> None:
    (place / "aCTConfigARC.yaml").write_text("db: {type: mysql, host: 127.0.0.1, port: 1}\n")
    assert _next(bare) == ("no database", "act config check")

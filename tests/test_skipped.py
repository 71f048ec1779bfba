"""What ACT_REQUIRE may say."""

import pytest

from tests.fixtures import skipped
from tests.fixtures.skipped import missing, required


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", set()),
        (" , ", set()),
        ("mysql", {"mysql"}),
        ("mysql, arex6 ,arex7,", {"mysql", "arex6", "arex7"}),
    ],
)
def test_names_are_parted_by_commas(text: str, names: set[str]) -> None:
    assert required(text) == names


def test_an_unknown_name_fails() -> None:
    with pytest.raises(
        pytest.UsageError,
        match="ACT_REQUIRE: mysqll: there are arcproxy, arex6, arex7, chromium, condor, mariadb-client",
    ):
        required("mysql,mysqll")


def test_what_is_required_is_not_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skipped, "REQUIRED", required("arex6"))
    with pytest.raises(pytest.fail.Exception, match="arex6 is required"):
        missing("arex6", "no package")
    with pytest.raises(pytest.skip.Exception):
        missing("mysql", "no server")

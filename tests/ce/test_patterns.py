"""What of a job comes home: files, directories, everything, control files."""

import pytest

from act_core.ce.patterns import CONTROL_FILES, below, diagnosed, wanted


@pytest.mark.parametrize(
    ("patterns", "path", "comes"),
    [
        pytest.param((), "a", False, id="nothing asked for"),
        pytest.param(("/",), "a/b/c", True, id="everything"),
        pytest.param(("a",), "a", True, id="the file itself"),
        pytest.param(("a",), "a/b", False, id="a file is no directory"),
        pytest.param(("a",), "ab", False, id="a name is no beginning"),
        pytest.param(("d/",), "d/a", True, id="in the directory"),
        pytest.param(("d/",), "d/e/a", True, id="far below the directory"),
        pytest.param(("d/",), "d", False, id="a file with the name of the directory"),
        pytest.param(("d/",), "de/a", False, id="a neighbour of the directory"),
        pytest.param(("d/e",), "d/e", True, id="a file below"),
        pytest.param(("x", "d/"), "d/a", True, id="the second pattern"),
        pytest.param(("diagnose=log/errors",), "log/errors", False, id="a control file is not the payload's"),
        pytest.param(("diagnose=log/",), "diagnose=log/a", False, id="a pattern is not a path"),
    ],
)
def test_wanted(patterns: tuple[str, ...], path: str, comes: bool) -> None:
    assert wanted(path, patterns) is comes


@pytest.mark.parametrize(
    ("patterns", "directory", "listed"),
    [
        pytest.param((), "d", False, id="nothing asked for"),
        pytest.param(("/",), "d/e", True, id="everything"),
        pytest.param(("a", "b"), "d", False, id="only files above"),
        pytest.param(("d/a",), "d", True, id="a file in it"),
        pytest.param(("d/e/f/a",), "d/e", True, id="a file far below"),
        pytest.param(("d/",), "d", True, id="the directory itself"),
        pytest.param(("d/",), "d/e", True, id="below the directory"),
        pytest.param(("d/e/",), "d", True, id="on the way to the directory"),
        pytest.param(("d/e/",), "d/f", False, id="beside the directory"),
        pytest.param(("de/a",), "d", False, id="a longer name"),
        pytest.param(("d",), "d", False, id="a file with its name"),
        pytest.param(("diagnose=d/errors",), "d", False, id="a control file"),
    ],
)
def test_which_directories_are_listed(patterns: tuple[str, ...], directory: str, listed: bool) -> None:
    assert below(directory, patterns) is listed


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        pytest.param("diagnose=gmlog/errors", [("errors", "gmlog/errors")], id="one"),
        pytest.param("diagnose=errors", [("errors", "errors")], id="one, in no directory"),
        pytest.param("diagnose=a/b/diag", [("diag", "a/b/diag")], id="one, far below"),
        pytest.param("diagnose=gmlog/", [(name, f"gmlog/{name}") for name in CONTROL_FILES], id="all"),
        pytest.param("gmlog/errors", [], id="a file of the payload"),
        pytest.param("/", [], id="everything of the payload"),
    ],
)
def test_control_files(pattern: str, found: list[tuple[str, str]]) -> None:
    assert list(diagnosed(("a", pattern))) == found


def test_all_control_files_are_those_of_the_ce() -> None:
    assert len(set(CONTROL_FILES)) == 14
    assert {"failed", "errors", "diag", "status", "input_status", "output_status"} <= set(CONTROL_FILES)

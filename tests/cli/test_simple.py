"""Campaigns as their owners have them, on two CEs that are this machine."""

from pathlib import Path

import pytest

from tests.cli.conftest import Act

SCAN = """\
campaign: scan
parameters: {n: [0, 3]}
resubmissions: 1
directory: out
template:
  executable: /bin/sh
  arguments: [-c, "echo {{n}} > out.txt; exit {{n}}"]
"""


@pytest.fixture
def simple(place: Path, bare: Act) -> Act:
    (place / "aCTConfigAPP.yaml").write_text("modules: {app: [simple]}\n")
    (place / "scan.yaml").write_text(SCAN)
    return bare


def test_from_the_file_to_the_results(simple: Act, until_idle: Act, place: Path) -> None:
    assert simple("bootstrap").code == 0
    assert simple("simple", "list").out == "no campaigns\n"
    said = simple("simple", "submit", "scan.yaml").out
    assert said == f"scan: 2 jobs; their results will be in {place}/out/<number>\n"
    assert simple("simple", "submit", "scan.yaml").code == 2

    assert until_idle().code == 0
    (told,) = simple("simple", "list", "--json").json
    assert (told["state"], told["done"], told["failed"]) == ("over", 1, 1)
    members = simple("simple", "show", "scan", "--json").json["members"]
    assert [(one["state"], one["attempts"]) for one in members] == [("done", 1), ("failed", 2)]
    assert [Path(one["outputs"], "out.txt").read_text() for one in members] == ["0\n", "3\n"]
    assert "scan: over, 1 done, 1 failed; results in" in simple("simple", "show", "scan").out

    again = simple("simple", "submit", "scan.yaml", "--name", "other")
    assert (again.code, "has something in it" in again.err) == (2, True)
    assert simple("simple", "cancel", "scan").out == "0 jobs are to be killed\n"
    assert simple("simple", "clean", "scan", "--outputs").out == "scan is cleaned; its results are deleted\n"
    assert not (place / "out").exists()


def test_what_is_not_there_is_said(simple: Act, act: Act, place: Path) -> None:
    (place / "aCTConfigAPP.yaml").write_text("modules: {app: [manual]}\n")
    said = act("simple", "list")
    assert (said.code, "modules.app: add 'simple' to it, and run `act bootstrap`" in said.err) == (2, True)
    (place / "aCTConfigAPP.yaml").write_text("modules: {app: [simple]}\n")
    said = act("simple", "list")
    assert (said.code, "run `act bootstrap`" in said.err) == (2, True)
    act("bootstrap")
    assert act("simple", "show", "x").err == "no campaign 'x': `act simple list --all`\n"
    assert act("simple", "submit", "nothing.yaml").code == 2

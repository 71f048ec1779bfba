"""JSON and YAML of strangers, within bounds."""

import json
import math
from functools import partial
from pathlib import Path

import pytest

from act_core.atlas.wire import MalformedJob, PandaJob
from act_core.ce.descriptions import read_descriptions
from act_core.cli.ce_add import options_of
from act_core.errors import BadInput, ConfigError
from act_core.foreign import DEEPEST, TooMuch, nested, read_json, read_yaml, read_yamls
from act_core.settings.document import read_document
from act_core.simple.campaign import read_file
from act_core.simulators.scene_plan import read_condor


def deep(n: int) -> str:
    return "[" * n + "]" * n


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, null, "ä"]}', "[]", "7", deep(DEEPEST), json.dumps([{}] * 1000)])
def test_what_is_written_in_earnest_is_read(text: str) -> None:
    assert read_json(text) == read_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(deep(DEEPEST + 2), id="a little too deep"),
        pytest.param(f'{{"a": {deep(900)}, "b": "]]]]]]"}}', id="nearly as deep as the stack"),
        pytest.param('{"a":' * 500 + "1" + "}" * 500, id="objects"),
        pytest.param(deep(1_000_000), id="far deeper than the stack"),
        pytest.param("[" * 1_000_000, id="and without an end"),
        pytest.param("", id="nothing"),
    ],
)
def test_the_rest_is_refused_by_one_error(text: str) -> None:
    for one in (text, text.encode()):
        with pytest.raises(ValueError):
            read_json(one)
    with pytest.raises(ValueError):
        read_json(b"\xff\xfe[\x00")


def test_a_number_without_end_spoils_itself_alone() -> None:
    read = read_json(f'[{{"PandaID": 1, "prodSourceLabel": "managed", "minRamCount": {"9" * 5000}}}, -{"9" * 5000}, 7]')
    assert read[1:] == [-math.inf, 7]
    with pytest.raises(MalformedJob, match="PanDA job 1: minRamCount: inf is no number"):
        PandaJob.parse(read[0])


def test_depth_is_counted_where_it_is() -> None:
    wide: object = [{"a": [n]} for n in range(DEEPEST * 2)]
    assert not nested(wide, 3)
    assert nested(wide, 1)
    assert not nested("no container", 0)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("a: &x [1, 2.5]\nb: *x\n", [{"a": [1, 2.5], "b": [1, 2.5]}], id="an alias"),
        pytest.param("a: &x {k: 1}\nb: {<<: *x, m: 2}\n", [{"a": {"k": 1}, "b": {"k": 1, "m": 2}}], id="a merge"),
        pytest.param("1\n---\n- 2\n", [1, [2]], id="two documents"),
    ],
)
def test_yaml_that_is_written_in_earnest_is_read(text: str, values: list[object]) -> None:
    assert read_yamls(text) == values


BOMB = "l0: &l0 [x, x]\n" + "".join(f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}]\n" for n in range(1, 36))
ENDLESS = [
    pytest.param(BOMB, "with its aliases written out, more than 10000000 values", id="aliases"),
    pytest.param("a: &a {b: [*a]}", "an alias stands within what it names", id="within itself"),
    pytest.param("a: &a {<<: *a}", "an alias stands within what it names", id="merged with itself"),
    pytest.param(deep(DEEPEST + 2), "nested deeper than 64", id="a little too deep"),
    pytest.param(deep(900), "nested deeper than 64", id="as deep as the stack"),
    pytest.param("1" + ":0" * 100_000, "a number of more than 4300 digits", id="a number to the base of 60"),
]


@pytest.mark.parametrize(("text", "says"), ENDLESS)
def test_yaml_without_an_end_is_refused_before_it_is_made(text: str, says: str) -> None:
    with pytest.raises(TooMuch, match=says):
        read_yaml(text)


@pytest.mark.parametrize(
    "text", ["a: [", "!!int x", "a: !!timestamp {=: x}", "1\n---\n2\n", "\x00", f"1{':0' * 400}:0.5"]
)
def test_other_yaml_is_refused_by_the_same_error(text: str) -> None:
    with pytest.raises(ValueError):
        read_yaml(text)


@pytest.mark.parametrize(("text", "says"), ENDLESS)
def test_every_door_for_yaml_has_this_guard(text: str, says: str, tmp_path: Path) -> None:
    """Descriptions, campaigns, a site for the demo, an option of `act ces add`, the configuration."""
    file = tmp_path / "foreign.yaml"
    file.write_text(text, encoding="utf-8")
    for read in (partial(read_descriptions, text), partial(read_file, text)):
        with pytest.raises(BadInput, match=f"foreign.yaml: .*{says}"):
            read(file)
    with pytest.raises(BadInput, match=f"foreign.yaml: .*{says}"):
        read_condor(file)
    with pytest.raises(BadInput, match=says):
        options_of([f"queue={text}"])
    with pytest.raises(ConfigError, match=r"foreign.yaml(:\d+)?: "):
        read_document(text, str(file))

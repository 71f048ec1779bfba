"""YAML in any shape becomes settings or an error that tells the line, and nothing else."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from act_core.errors import ConfigError
from act_core.settings import load_settings
from tests.settings.written import load, problems


def test_merge_keys_give_way_to_the_own_ones(tmp_path: Path) -> None:
    arc = "sites:\n  a: &a {endpoint: https://a, maxjobs: 7}\n  b:\n    <<: *a\n    endpoint: https://b\n"
    sites = load(tmp_path, arc).settings.arc.sites
    assert (sites["b"].endpoint, sites["b"].maxjobs) == ("https://b", 7)


@pytest.mark.parametrize(
    ("arc", "said"),
    [
        ("db:\n  name: a\n  name: b\n", ["arc.yaml:3: db.name stands here again; first in line 2"]),
        ("- a\n", ["arc.yaml:1: sections with keys are wanted"]),
        ("db: {password: 'hunter2\n", ["arc.yaml:2: not YAML: found unexpected end of stream"]),
        ("db:\n\tpassword: hunter2", ["arc.yaml:2: not YAML: found character '\\t' that cannot start any token"]),
        ("a: &a [*a]", ["arc.yaml:1: an alias stands within what it names"]),
        ("a: &a {<<: *a}", ["arc.yaml:1: an alias stands within what it names"]),
        ("[" * 100_000, ["arc.yaml: not YAML: nested too deep"]),
        ("? [a]\n: b", ["arc.yaml:1: a key must be a word"]),
        ("db: {<<: 5}", ["arc.yaml:1: << takes a section with keys"]),
        ("x: !!int ''", ["arc.yaml:1: x: no value of the YAML kind int"]),
        ("x: !!python/name:os.system ''", ["arc.yaml:1: x: no value of the YAML kind python/name:os.system"]),
        ('x: "\\UFFFFFFFF"', ["arc.yaml: not YAML: a character that does not exist"]),
        ('x: "\\uD800"', ["arc.yaml:1: x: half of a character (a lone surrogate)"]),
        ("x: \x07", ["arc.yaml: not YAML: a character that YAML does not allow, at position 3"]),
        ('"\\e[31m": 1', ["arc.yaml:1: unknown key '\\x1b[31m'"]),
        ("jobs: {grace: .inf}", ["arc.yaml:1: jobs.grace: a time is wanted: seconds, or a number with s, min, h or d"]),
        ("jobs: {grace: -5}", ["arc.yaml:1: jobs.grace: a time is wanted: seconds, or a number with s, min, h or d"]),
        (f"jobs: {{grace: {'9' * 40}}}", None),
        ("x: " + "y" * 1_000_001, ["arc.yaml: larger than 1000000 bytes"]),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_cannot_be_read(tmp_path: Path, arc: str, said: list[str] | None) -> None:
    told = problems(tmp_path, arc)
    assert told == said or (said is None and len(told) == 1)
    assert "hunter2" not in "".join(told)


def test_aliases_do_not_explode(tmp_path: Path) -> None:
    lines = ["l0: &l0 [x, x]"] + [f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}]" for n in range(1, 36)]
    assert "with its aliases written out, more than 100000 values" in problems(tmp_path, "\n".join(lines))[0]
    merges = ["l0: &l0 {k: 1}"] + [f"l{n}: &l{n} {{<<: [*l{n - 1}, *l{n - 1}]}}" for n in range(1, 36)]
    assert "with its aliases written out, more than 100000 values" in problems(tmp_path, "\n".join(merges))[0]


def test_not_utf8(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"db:\n  name: \xe9\n")
    with pytest.raises(ConfigError, match=r"latin\.yaml:2: not UTF-8"):
        load_settings(file, env={})


WORDS = ("db", "sites", "jobs", "voms", "roles", "port", "panda", "options", "x", "5", ".inf", "1e999", "null", "<<")
MARKS = (
    ": ",
    "\n",
    "\n  ",
    "- ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a ",
    "*a",
    "'",
    '"',
    "\\",
    "!!int ",
    "!!timestamp ",
    "!!set ",
    "\t",
    "|",
    "%",
)
yaml_like = st.lists(st.sampled_from(WORDS + MARKS) | st.text(max_size=3), max_size=40).map("".join)


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arc=st.text() | yaml_like, app=yaml_like, value=yaml_like)
@example(arc="jobs: {grace: 1e999}", app="panda: {timeout: .nan}", value="9" * 400)
@example(arc="db: {port: !!int 0b}", app="panda: {sites: !!binary x}", value="!!timestamp x")
def test_no_text_makes_it_raise_anything_but_a_config_error(tmp_path: Path, arc: str, app: str, value: str) -> None:
    files = tmp_path / "arc.yaml", tmp_path / "app.yaml"
    for file, text in zip(files, (arc, app), strict=True):
        file.write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    variables = (
        "ACT_JOBS__GRACE",
        "ACT_MODULES__APP",
        "ACT_SITES__X",
        "ACT_SITES__X__OPTIONS__Y",
        "ACT_VOMS__PROXYPATH",
    )
    for env in ({}, dict.fromkeys(variables, value)):
        try:
            load_settings(*files, env)
        except ConfigError as err:
            assert str(err)  # noqa: PT017 - what else may be raised fails the test
            str(err).encode()

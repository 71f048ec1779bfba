"""A migration adds, so that the program before it goes on; what takes away is marked, and comes two releases later."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import act_core.db.migrations as migrations

FIRST = "0005"
EXPANDS = {"create_table", "create_index", "add_column", "f", "get_bind"}
EXPANDS |= {"drop_index"}  # of one that is not unique: the older program is slower, and goes on
LATER = 2  # releases


def constants(tree: ast.Module) -> dict[str, Any]:
    """What a migration says of itself."""
    found = {}
    for node in tree.body:
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        ):
            found[node.targets[0].id] = node.value.value
    return found


def deeds(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Each call of alembic's `op`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="op"), attr=name)):
                yield name, node


def keywords(call: ast.Call) -> dict[str, Any]:
    return {one.arg: getattr(one.value, "value", one.value) for one in call.keywords if one.arg}


def refused(call: ast.Call, name: str, made: set[Any]) -> str | None:
    """Why a program that does not know of it could not go on."""
    if name not in EXPANDS:
        return f"line {call.lineno}: op.{name} takes something away, or may"
    if name == "create_index" and keywords(call).get("unique") and getattr(call.args[1], "value", None) not in made:
        return f"line {call.lineno}: a unique index of an older table refuses rows"
    if name == "add_column":
        column = next(one for one in call.args if isinstance(one, ast.Call))
        given = keywords(column)
        if given.get("nullable") is not True and "server_default" not in given:
            return f"line {call.lineno}: a new column may be empty, or has a server_default"
    return None


def complaints(source: str, releases: Mapping[str, str]) -> list[str]:
    """What is wrong with a migration; `releases`: revision -> release, of those that are known."""
    tree = ast.parse(source)
    says = constants(tree)
    if not re.fullmatch(r"\d+\.\d+", str(says.get("release", ""))):
        return ["it does not say its release"]
    if says.get("contract"):
        before = releases.get(says.get("follows", ""))
        if before is None:
            return ["it contracts, and does not say what it follows"]
        (major, minor), (old, then) = ([int(n) for n in one.split(".")] for one in (says["release"], before))
        return [] if major > old or minor - then >= LATER else [f"it contracts {minor - then} releases after {before}"]
    made = {getattr(call.args[0], "value", None) for name, call in deeds(tree) if name == "create_table"}
    return [words for name, call in deeds(tree) if (words := refused(call, name, made))]


def sources() -> dict[str, str]:
    """Revision -> the migration's text."""
    files = sorted((Path(migrations.__path__[0]) / "versions").glob("[0-9]*.py"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    return {constants(ast.parse(text))["revision"]: text for text in texts}


def test_every_migration_expands_or_waits() -> None:
    found = {revision: text for revision, text in sources().items() if revision >= FIRST}
    releases = {revision: constants(ast.parse(text)).get("release", "") for revision, text in found.items()}
    assert found
    assert {revision: wrong for revision, text in found.items() if (wrong := complaints(text, releases))} == {}


HEAD = 'revision = "0009"\nrelease = "0.5"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param('op.add_column("t", sa.Column("c", sa.Integer(), nullable=True))', None, id="may be empty"),
        pytest.param(
            'op.add_column("t", sa.Column("c", sa.Integer(), nullable=False, server_default="0"))', None, id="default"
        ),
        pytest.param(
            'op.add_column("t", sa.Column("c", sa.Integer(), nullable=False))', "may be empty", id="mandatory"
        ),
        pytest.param('op.add_column("t", sa.Column("c", sa.Integer()))', "may be empty", id="unsaid"),
        pytest.param('op.create_index("i", "t", ["a"])', None, id="an index"),
        pytest.param('op.create_index("i", "t", ["a"], unique=True)', "refuses rows", id="a unique index"),
        pytest.param('op.create_table("t")\nop.create_index("i", "t", ["a"], unique=True)', None, id="of a new table"),
        pytest.param('op.drop_column("t", "c")', "op.drop_column", id="drops a column"),
        pytest.param('op.rename_table("t", "u")', "op.rename_table", id="renames"),
        pytest.param('op.alter_column("t", "c", nullable=False)', "op.alter_column", id="makes mandatory"),
        pytest.param(
            'with op.batch_alter_table("t") as batch:\n    batch.drop_column("c")', "op.batch_alter", id="a batch"
        ),
        pytest.param('op.execute("DROP TABLE t")', "op.execute", id="sql"),
        pytest.param('contract = True\nop.drop_column("t", "c")', "does not say what it follows", id="follows nothing"),
        pytest.param('contract = True\nfollows = "0006"\nop.drop_column("t", "c")', None, id="two releases later"),
        pytest.param('contract = True\nfollows = "0007"\nop.drop_table("t")', "1 releases after 0.4", id="too early"),
    ],
)
def test_the_rule_tells_what_it_is_for(text: str, says: str | None) -> None:
    found = complaints(HEAD + text, {"0006": "0.3", "0007": "0.4"})
    assert (says is None and found == []) or (says is not None and len(found) == 1 and says in found[0]), found


def test_one_without_a_release_is_refused() -> None:
    assert complaints('revision = "0009"', {}) == ["it does not say its release"]

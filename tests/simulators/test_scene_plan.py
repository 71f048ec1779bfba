"""What a scene is asked to be."""

from pathlib import Path

import pytest

from act_core.errors import BadInput
from act_core.simulators.scene_plan import CONDOR_QUEUE, QUEUES, CondorSite, Plan, new_token, read_condor

SITE = """
sites:
  anything:
    kind: htcondor
    endpoint: ce.test.example:9619
    options: {account: 64001}
tokens:
  ce: {file: /var/lib/act/token}
"""


def test_a_site_is_read_with_its_tokens(tmp_path: Path) -> None:
    file = tmp_path / "condor.yaml"
    file.write_text(SITE)
    found = read_condor(file)
    assert (found.site["endpoint"], found.account) == ("ce.test.example:9619", 64001)
    assert found.tokens == {"ce": {"file": "/var/lib/act/token"}}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "`sites` with one site of kind htcondor"),
        ("sites: {a: {kind: arc-rest}}", "`sites` with one site of kind htcondor"),
        ("sites: {a: {kind: htcondor}}", "and its options"),
        ("sites: {a: {kind: htcondor, options: {}}, b: {}}", "one site"),
        (f"{SITE}\n  - x", "condor.yaml: while parsing"),
        (SITE.replace("ce: {file: /var/lib/act/token}", "- ce").replace("\n  - ce", " [ce]"), "tokens: an object"),
    ],
    ids=["nothing", "another kind", "no options", "two", "no YAML", "tokens of no kind"],
)
def test_another_file_is_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "condor.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=complaint) as refused:
        read_condor(file)
    assert str(refused.value).startswith(str(file))


def test_shares_make_a_whole_and_true_pilots_are_among_them() -> None:
    assert sum(queue.share for queue in QUEUES) == pytest.approx(1)
    assert [queue.name for queue in QUEUES if queue.true] == ["DEMO_TRUE"]
    with_condor = Plan(condor=CondorSite({"options": {}}, {})).all_queues
    assert (with_condor, Plan().all_queues) == ((CONDOR_QUEUE, *QUEUES), QUEUES)


def test_a_token_is_private_and_another_each_time(tmp_path: Path) -> None:
    first, second = new_token(tmp_path / "one"), new_token(tmp_path / "two")
    assert first.read_text() != second.read_text()
    assert first.stat().st_mode & 0o077 == 0

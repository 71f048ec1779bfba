"""What a campaign's file means, job by job, and what is said of one that means nothing."""

from pathlib import Path

import pytest

from act_core.errors import BadInput
from act_core.simple.campaign import good_name, read_directory, read_file

FILE = Path("/data/scan.yaml")


def arguments(text: str, file: Path = FILE) -> list[tuple[str, ...]]:
    return [spec.arguments for spec in read_file(f"campaign: scan\n{text}", file).specs]


TEMPLATE = "template: {executable: /bin/x, arguments: ['{{campaign}}', '{{number}}:{{ a }}']}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("jobs: 2\ntemplate: {executable: x, arguments: ['n{{number}}']}", [("n1",), ("n2",)], id="jobs"),
        pytest.param(f"parameters: [{{a: u}}, {{a: 5}}]\n{TEMPLATE}", [("scan", "1:u"), ("scan", "2:5")], id="rows"),
        pytest.param(
            "parameters: {a: [1, 2], b: [x, y]}\ntemplate: {executable: x, arguments: ['{{a}}{{b}}']}",
            [("1x",), ("1y",), ("2x",), ("2y",)],
            id="all combinations",
        ),
    ],
)
def test_parameters_come_to_their_places(text: str, found: list[tuple[str, ...]]) -> None:
    assert arguments(text) == found


def test_a_parameter_that_stands_alone_keeps_its_type() -> None:
    plan = read_file(
        "campaign: c\nparameters: {cores: [1, 4]}\ntemplate: {executable: x, cores: '{{cores}}'}\nresubmissions: 0",
        FILE,
    )
    assert [spec.cores for spec in plan.specs] == [1, 4]
    assert [spec.name for spec in plan.specs] == ["c.1", "c.2"]
    assert (plan.resubmissions, plan.ces, plan.directory) == (0, (), None)


def test_a_job_for_each_file(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).touch()
    template = "{executable: x, inputs: [{name: in, source: '{{file}}'}], stdout: '{{stem}}.out'}"
    plan = read_file(f"campaign: c\nfiles: '*.txt'\ndirectory: out\ntemplate: {template}", tmp_path / "c.yaml")
    assert [(spec.inputs[0].source, spec.stdout) for spec in plan.specs] == [
        (str(tmp_path / "a.txt"), "a.out"),
        (str(tmp_path / "b.txt"), "b.out"),
    ]
    assert plan.directory == tmp_path / "out"


def test_a_directory_of_descriptions_is_a_campaign(tmp_path: Path) -> None:
    place = tmp_path / "night"
    place.mkdir()
    (place / "2.yaml").write_text("executable: two")
    (place / "1.xrsl").write_text('&(executable="/bin/one")')
    (place / "notes.txt").write_text("no job")
    plan = read_directory(place)
    assert (plan.name, [spec.executable for spec in plan.specs]) == ("night", ["/bin/one", "two"])
    (place / "3.yaml").write_bytes(b"executable: \xe9")
    with pytest.raises(BadInput, match=r"3\.yaml: not UTF-8, at byte 12"):
        read_directory(place)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("campaign: [", "/data/scan.yaml: no YAML", id="no YAML"),
        pytest.param(f"campaign: {'9' * 5000}", "/data/scan.yaml: no YAML", id="a number without end"),
        pytest.param("campaign: !!int x", "/data/scan.yaml: no YAML", id="no value of its kind"),
        pytest.param("campaign: c\ntemplate: {}", "one of jobs, parameters, files says how many", id="how many"),
        pytest.param("campaign: c\njobs: 1\nfiles: x\ntemplate: {}", "one of jobs, parameters, files", id="two counts"),
        pytest.param("campaign: a/b\njobs: 1\ntemplate: {}", "campaign", id="a bad name"),
        pytest.param("campaign: c\njobs: 1\ntemplate: {executabel: x}", "job 1: ", id="no job"),
        pytest.param("campaign: c\nfiles: '*.none'\ntemplate: {executable: x}", "and this one 0", id="no files"),
        pytest.param("campaign: c\njobs: 1\nextra: 1\ntemplate: {executable: x}", "extra", id="an odd key"),
        pytest.param(
            "campaign: c\njobs: 1\ntemplate: {executable: '{{sed}}'}",
            "/data/scan.yaml: job 1: {{sed}} is no parameter; there are campaign, number",
            id="no parameter",
        ),
        pytest.param(
            "campaign: c\nparameters: {a: [" + "1," * 101 + "], b: [" + "1," * 100 + "]}\ntemplate: {executable: x}",
            "1 to 10000 jobs, and this one 10100",
            id="too many",
        ),
        pytest.param(
            "campaign: c\nparameters: {" + ", ".join(f"p{n}: [{'1, ' * 100}]" for n in range(9)) + "}\ntemplate: {}",
            "1 to 10000 jobs, and this one 1000000000000000000",
            id="more than there is memory for",
        ),
        pytest.param("campaign: c\nfiles: /data/*\ntemplate: {executable: x}", "files: ", id="an absolute pattern"),
        pytest.param("campaign: c\nfiles: ''\ntemplate: {executable: x}", "files: ", id="an empty pattern"),
    ],
)
def test_what_means_nothing_is_said(text: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_file(text, FILE)
    assert says in str(caught.value)
    assert str(caught.value).startswith("/data/scan.yaml")


def test_a_name_is_a_directory_and_a_job_id() -> None:
    assert good_name("a_B-9") == "a_B-9"
    for bad in ("", "a" * 49, "-a", "a.b", "a/b"):
        with pytest.raises(BadInput):
            good_name(bad)

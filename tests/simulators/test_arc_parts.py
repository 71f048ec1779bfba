"""The parts of the simulated A-REX that need no server: descriptions, answers, files, timers."""

import asyncio
import json

import pytest

from act_core.simulators import arc_adl, arc_xrsl
from act_core.simulators.arc_description import BadDescription, Description, Input, Output
from act_core.simulators.arc_payload import PayloadJob, plain_payload, witness_key
from act_core.simulators.arc_service import ids_in_json
from act_core.simulators.arc_session import Session, WrongPath, canonical
from act_core.simulators.arc_timers import Timers, Work
from act_core.simulators.arc_transfers import listed
from act_core.simulators.arc_wire import ATTRIBUTES, Flavour, Tree, accepted, new_id, to_json, to_xml

FULL = """
<ActivityDescription xmlns="http://www.eu-emi.eu/es/2010/12/adl"
    xmlns:nordugrid-adl="http://www.nordugrid.org/es/2011/12/nordugrid-adl">
  <ActivityIdentification><Name>act-&lt;x&gt;</Name></ActivityIdentification>
  <Application>
    <Executable><Path>run.sh</Path><Argument>a b</Argument><Argument></Argument></Executable>
    <Output>log</Output><Error>log</Error>
    <Environment><Name>GTAG</Name><Value>http://x?y=1&amp;z</Value></Environment>
    <nordugrid-adl:Rerun>9</nordugrid-adl:Rerun>
  </Application>
  <Resources><SlotRequirement><NumberOfSlots>8</NumberOfSlots></SlotRequirement><QueueName>grid</QueueName></Resources>
  <DataStaging>
    <InputFile><Name>/in.txt</Name></InputFile>
    <InputFile><Name>b</Name><Source><URI>https://x/1</URI></Source><Source><URI>https://x/2</URI></Source></InputFile>
    <OutputFile><Name>@output.list</Name></OutputFile>
    <OutputFile><Name>f</Name><Target><URI>https://x/f</URI><UseIfFailure>true</UseIfFailure></Target></OutputFile>
    <nordugrid-adl:DelegationID>abc</nordugrid-adl:DelegationID>
  </DataStaging>
</ActivityDescription>"""


def test_all_of_an_adl() -> None:
    assert arc_adl.parse(FULL) == Description(
        executable="run.sh",
        name="act-<x>",
        arguments=("a b", ""),
        environment={"GTAG": "http://x?y=1&z"},
        stdout="log",
        stderr="log",
        inputs=(Input("in.txt"), Input("b", ("https://x/1", "https://x/2"))),
        outputs=(Output("@output.list"), Output("f", "https://x/f", on_failure=True)),
        delegations=("abc",),
        queue="grid",
        cores=8,
        reruns=5,
    )


def test_parts_of_a_batch_read_like_single_ones() -> None:
    parts = arc_adl.split(f"<ActivityDescriptions>{FULL}{FULL}</ActivityDescriptions>")
    assert [arc_adl.parse(part) for part in parts if isinstance(part, str)] == [arc_adl.parse(FULL)] * 2


@pytest.mark.parametrize(
    "text",
    [
        "<a",
        "<a/>",
        FULL.replace("run.sh", " "),
        FULL.replace(">8<", ">many<"),
        FULL.replace("/in.txt", "a/../../b"),
        f"<!DOCTYPE x>{FULL}",
        f'<!doctype x [<!ENTITY a "b">]>{FULL}',
    ],
)
def test_bad_adl(text: str) -> None:
    with pytest.raises(BadDescription, match="emies:adl parsing error"):
        arc_adl.parse(text)


def test_all_of_an_xrsl() -> None:
    text = '''&(executable="/bin/sh")(arguments="-c" "echo ""hi""")(* a note *)(jobname=x)
        (inputFiles=("a" "")("b" "https://x/b"))(outputfiles=("c" "")("d" "https://x/d"))(stdout=out)(join=yes)
        (environment=("A" "1")("B" "2"))(rerun="2")(count=4)(queue=q)(delegationid="abc")'''
    assert arc_xrsl.parse(text) == Description(
        executable="/bin/sh",
        name="x",
        arguments=("-c", 'echo "hi"'),
        environment={"A": "1", "B": "2"},
        stdout="out",
        stderr="out",
        inputs=(Input("a"), Input("b", ("https://x/b",))),
        outputs=(Output("c"), Output("d", "https://x/d"), Output("out")),
        delegations=("abc",),
        queue="q",
        cores=4,
        reruns=2,
        language="nordugrid:xrsl",
    )


def test_many_xrsl() -> None:
    assert arc_xrsl.split('+(&(executable=a)(jobname="(b)"))(&(executable=c))') == [
        '&(executable=a)(jobname="(b)")',
        "&(executable=c)",
    ]
    assert isinstance(arc_xrsl.split("+(&(executable=a)")[0], BadDescription)


@pytest.mark.parametrize(
    "text",
    ["", "(a=b)", "&(jobname=x)", "&(executable=a", "&(executable a)", "&(executable=a)(rerun=b)", "&(executable=a b)",
     "&(executable=a)(inputfiles=x)", "&(executable=" + "(" * 50, '&(executable="a)'],
)  # fmt: skip
def test_bad_xrsl(text: str) -> None:
    with pytest.raises(BadDescription, match="xrsl"):
        arc_xrsl.parse(text)


@pytest.mark.parametrize(
    ("tree", "old", "new"),
    [
        ({"job": []}, None, {"job": []}),
        ({"job": [{"id": "a"}]}, {"job": {"id": "a"}}, {"job": [{"id": "a"}]}),
        ({"job": [{"id": "a"}, {"id": "b"}]}, {"job": [{"id": "a"}, {"id": "b"}]}, {"job": [{"id": "a"}, {"id": "b"}]}),
        ({"file": ["x"], "dir": []}, {"file": "x"}, {"file": ["x"], "dir": []}),
        ({"State": ["a"]}, {"State": "a"}, {"State": "a"}),
        ({ATTRIBUTES: {"n": "1"}, "a": "b"}, {ATTRIBUTES: {"n": " "}, "a": "b"}, {ATTRIBUTES: {"n": "1"}, "a": "b"}),
    ],
)
def test_both_json_dialects(tree: dict[str, Tree], old: object, new: object) -> None:
    told = to_json(Flavour.V6, tree)
    assert (json.loads(told) if told else None) == old
    assert json.loads(to_json(Flavour.V7, tree)) == new


def test_xml_and_the_choice_of_a_format() -> None:
    assert to_xml("jobs", {"job": [{"id": "<a>", "x": ""}]}) == "<jobs><job><id>&lt;a&gt;</id><x/></job></jobs>"
    wanted: tuple[list[str], ...] = (
        ["text/xml, application/json"],
        ["application/json;q=0.1", "text/xml"],
        ["*/*"],
        [],
    )
    assert [accepted(one) for one in wanted] == ["application/xml", "application/json", "text/html", "text/html"]


def test_ids_have_the_form_of_their_generation() -> None:
    old, new = new_id(Flavour.V6), new_id(Flavour.V7)
    assert (len(old), old.isalnum(), len(new)) == (54, True, 12)
    int(new, 16)


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        ('{"job":[{"id":"a"},{"id":"b"}]}', ["a", "b"]),
        ('{"job":{"id":"a"}}', ["a"]),
        ('{"job":[{"id":""},{"id":7},7,{"name":"x"}]}', []),
        ('{"job":[{"id":"a"}', []),
        ("[]", []),
    ],
)
def test_lists_of_ids(body: str, ids: list[str]) -> None:
    assert ids_in_json(body) == ids


def test_a_session_directory() -> None:
    session = Session()
    session.put("a/b/c", b"1")
    session.put("keep", b"22")
    assert session.listing("") == ({"keep": 2}, ["a"])
    assert session.listing("a") == ({}, ["b"])
    assert session.listing("keep") is None
    assert session.put_part("p", 4, b"56", 6) is False
    assert session.put_part("p", 0, b"123", 6) is False
    assert session.put_part("p", 2, b"34", 6) is True
    assert session.files["p"] == b"123456"
    session.keep_only([Output("keep"), Output("p", "https://x/p"), Output("a/")])
    assert set(session.files) == {"keep", "a/b/c"}
    assert session.delete("a")
    assert not session.delete("a")
    assert canonical("/a/./b//c") == "a/b/c"
    with pytest.raises(WrongPath):
        canonical("a/../b")


def test_lists_of_uploads() -> None:
    files = {"out": b'f https://x/f\n"a b" https://x/ab\n\nbroken\n'}
    assert listed(files, "out") == {"f": "https://x/f", "a b": "https://x/ab"}
    assert listed(files, "none") == {}


async def test_alarms_ring_once_in_order_and_can_be_moved() -> None:
    timers, rung, done = Timers(), list[str](), asyncio.Event()

    def ring(key: str) -> None:
        rung.append(key)
        if key == "last":
            done.set()

    task = asyncio.create_task(timers.run(ring))
    timers.later("gone", 0.0)
    timers.later("moved", 60.0)
    timers.later("last", 0.02)
    timers.later("moved", 0.01)
    timers.cancel("gone")
    await asyncio.wait_for(done.wait(), 10)
    task.cancel()
    assert rung == ["moved", "last"]


async def test_work_that_fails_or_is_stopped() -> None:
    work, told = Work(), list[str]()
    done = asyncio.Event()

    async def fine() -> str:
        return "fine"

    async def bad() -> str:
        raise ValueError("bad")

    def failed(error: BaseException) -> None:
        told.append(str(error))
        done.set()

    work.start("stopped", asyncio.Event().wait(), lambda _: told.append("never"), failed)
    work.stop("stopped")
    work.start("a", fine(), told.append, failed)
    work.start("b", bad(), told.append, failed)
    await asyncio.wait_for(done.wait(), 10)
    work.start("open", asyncio.Event().wait(), lambda _: told.append("never"), failed)
    await work.stop_all()
    assert told == ["fine", "bad"]


def a_job(executable: str, *arguments: str) -> PayloadJob:
    return PayloadJob("n", executable, arguments, {}, {}, {"out": None, "d/": None, "@l": None}, "out", "err")


@pytest.mark.parametrize(
    ("job", "code", "wall"),
    [
        (a_job("/bin/true"), 0, None),
        (a_job("/bin/false"), 1, None),
        (a_job("sh", "-c", "/bin/false"), 1, None),
        (a_job("sh", "-c", "echo a; exit 42"), 42, None),
        (a_job("/bin/sleep", "2.5"), 0, 2.5),
        (a_job("/bin/echo", "falsehood"), 0, None),
    ],
)
async def test_plain_payloads(job: PayloadJob, code: int, wall: float | None) -> None:
    result = await plain_payload(job)
    assert (result.exit_code, result.wall_s) == (code, wall)
    assert set(result.files) == ({"out", "err", "d/file"} if code == 0 else {"out", "err"})


def test_executions_are_testified_under_the_panda_id() -> None:
    def key(content: bytes | str) -> str:
        return witness_key(PayloadJob("n", "x", (), {}, {"pandaJobData.out": content}, {}))

    assert [key(b"PandaID=17&x=y"), key(b"nothing"), key("https://x")] == ["17", "n", "n"]

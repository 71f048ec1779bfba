"""What the worker makes of HTCondor's library, with a schedd of ours: no server says such things on demand."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from act_core.ce import htcondor_pipe
from act_core.ce.htcondor_pipe import Lost, Pipe
from act_core.ce.htcondor_worker import Worker

htcondor2: Any = importlib.import_module("htcondor2")  # it has no types
ClassAd: Any = importlib.import_module("classad2").ClassAd
NOTHING = {"TotalSuccess": 1, "TotalError": 0, "TotalPermissionDenied": 0}


class Schedd:
    """Takes what the worker asks for. `gone`: procs that it does not know."""

    def __init__(self, ads: list[Any] | None = None, result: dict[str, int] | None = None) -> None:
        self.ads, self.result, self.gone = ads or [], NOTHING | (result or {}), set[int]()
        self.refreshed: list[tuple[int, int]] = []
        self.edited: list[Any] = []

    def query(self, *_words: Any, **_more: Any) -> list[Any]:
        return self.ads

    def act(self, *_words: Any, **_more: Any) -> dict[str, int]:
        return self.result

    def edit(self, ids: list[str], attribute: str, value: str) -> None:
        self.edited.append((list(ids), attribute, value))

    def refreshGSIProxy(self, cluster: int, proc: int, _proxy: str, _life: int) -> int:  # noqa: N802
        if proc in self.gone:
            raise htcondor2.HTCondorException("")
        self.refreshed.append((cluster, proc))
        return 3600


def worker(schedd: Schedd, **knobs: str) -> Worker:
    made = Worker(None, "ours", knobs)
    made._found = schedd
    return made


@pytest.fixture
def delegation() -> Any:
    """The knob lives in the process."""
    before = htcondor2.param["DELEGATE_JOB_GSI_CREDENTIALS"]
    yield lambda: str(htcondor2.param["DELEGATE_JOB_GSI_CREDENTIALS"])
    htcondor2.param["DELEGATE_JOB_GSI_CREDENTIALS"] = str(before)


def test_proxies_are_copied_unless_the_operator_wants_it_otherwise(delegation: Any) -> None:
    worker(Schedd())
    assert delegation() == "False"
    worker(Schedd(), DELEGATE_JOB_GSI_CREDENTIALS="True")
    assert delegation() == "True"


def refresh(schedd: Schedd, ids: list[str], within: float = 60.0) -> Any:
    call = {"do": "refresh", "ids": ids, "proxy": "/p", "mark": '"new"', "within": within}
    return worker(schedd).answer(call)


def test_a_job_that_has_gone_keeps_no_other_from_a_new_proxy() -> None:
    schedd = Schedd()
    schedd.gone = {1}
    assert refresh(schedd, ["7.0", "7.1", "7.2"]) == {"is": 2}
    assert schedd.refreshed == [(7, 0), (7, 2)]
    assert schedd.edited == [(["7.0", "7.2"], "ActProxy", '"new"')]


def test_a_proxy_that_no_job_gets_is_trouble() -> None:
    schedd = Schedd()
    schedd.gone = {0, 1}
    assert refresh(schedd, ["7.0", "7.1"]) == {"error": "HTCondorException", "sent": True}
    assert not schedd.edited


def test_who_gets_no_proxy_in_time_is_not_marked() -> None:
    schedd = Schedd()
    assert refresh(schedd, ["7.0"], within=0.0) == {"is": 0}
    assert not schedd.refreshed
    assert not schedd.edited


ODD = '[Good=1; Text="x\\377y"; List={1,2}; Nan=real("nan"); Bad=error; No=undefined; Sum=Good+1; Big=1e300; Ad=[x=1]]'


def test_odd_values_of_an_ad_spoil_no_query() -> None:
    said = worker(Schedd([ClassAd(ODD)])).answer({"do": "query", "constraint": "true", "attributes": []})
    (ad,) = json.loads(json.dumps(said))["is"]
    assert (ad["Good"], ad["Text"], ad["Sum"], ad["Big"]) == (1, "x\ufffdy", "Good + 1", 1e300)
    assert not {"Bad", "No"} & set(ad)


@pytest.mark.parametrize(
    ("call", "result", "error"),
    [
        pytest.param({"do": "commit", "ids": ["7.0"], "guard": []}, {}, None, id="released"),
        pytest.param({"do": "commit", "ids": ["7.0"], "guard": []}, {"TotalNotFound": 1}, None, id="gone"),
        pytest.param(
            {"do": "commit", "ids": ["7.0"], "guard": []}, {"TotalPermissionDenied": 1},
            "Release: PERMISSION DENIED for 1 jobs", id="not released",
        ),
        pytest.param(
            {"do": "act", "action": "Remove", "ids": ["7.0"], "reason": "r"}, {"TotalError": 2},
            "Remove: an error for 2 jobs", id="not removed",
        ),
    ],
)  # fmt: skip
def test_an_action_that_the_schedd_refuses_is_not_taken_for_done(
    call: dict[str, Any], result: dict[str, int], error: str | None
) -> None:
    assert worker(Schedd(result=result)).answer(call).get("error") == error


async def test_an_answer_that_is_too_long_ends_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(htcondor_pipe, "LONGEST", 8)  # no queue is so long that it could be tried
    pipe = Pipe({"collector": "127.0.0.1:1", "schedd": "x", "knobs": {}}, Path("/dev/null"), seconds=20.0)
    with pytest.raises(Lost, match="longer than 8 bytes"):
        await pipe.call("query", constraint="true", attributes=[])
    assert pipe._worker is None

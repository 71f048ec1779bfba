"""The one place that calls HTCondor's library: a child process that answers lines of JSON, one at a time.

The library keeps the interpreter's lock while it waits for a server, takes its configuration from the process, and may
end the process for an error: so the process is not the tower's. Requests come on stdin, answers go to stdout: `{"is":
…}`, or `{"error": text, "sent": bool}`; `sent`: whether it may have had an effect. Without requests it ends by itself.
"""

import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from act_core.processes import requests

IDLE_S = 120.0
SPOOLED_S, STEP_S = 30.0, 0.05
WAITS = ("waits for its commit", 7310)  # text and subcode of our own hold
GOES = ("is committed", 0)
COPIES = {"DELEGATE_JOB_GSI_CREDENTIALS": "False"}  # delegation fails with the OpenSSL of this library (HTCONDOR-2904)
_GONE = re.compile(r"nonexistent job (\d+\.\d+)")
Ad = dict[str, Any]
Answer = dict[str, Any]


class NotDone(Exception):
    """It had no effect."""


class Worker:
    """One schedd. `collector`, `schedd` None: as the configuration says."""

    def __init__(self, collector: str | None, schedd: str | None, knobs: Mapping[str, str]) -> None:
        self._lib: Any = importlib.import_module("htcondor2")  # the tower's own process never loads it
        self._collector, self._name = collector, schedd
        self._found: Any = None
        for knob, value in (COPIES | dict(knobs)).items():
            self._lib.param[knob] = value

    def answer(self, call: Mapping[str, Any]) -> Answer:
        """What comes of a request. Trouble of the library is an answer too."""
        calls: Mapping[str, Callable[..., object]] = {
            "query": self.query, "history": self.history, "submit": self.submit, "commit": self.commit,
            "act": self.act, "clean": self.clean, "retrieve": self.retrieve, "about": self.about,
            "refresh": self.refresh,
        }  # fmt: skip
        words = dict(call)
        try:
            return {"is": calls[words.pop("do")](**words)}
        except NotDone as err:
            return {"error": str(err), "sent": False}
        except (self._lib.HTCondorException, OSError, TypeError, ValueError, LookupError) as err:
            self._found = None  # a schedd that began anew has another address
            return {"error": " ".join(str(err).split()) or type(err).__name__, "sent": True}

    def _schedd(self) -> Any:
        if self._found is None:
            kind = self._lib.DaemonType.Schedd
            try:
                pool = self._lib.Collector(self._collector) if self._collector else self._lib.Collector()
                ad = pool.locate(kind, self._name) if self._name else pool.locate(kind)
            except self._lib.HTCondorException as err:
                raise NotDone(f"{self._collector or 'the local pool'}: {err}") from err
            if ad is None:
                raise NotDone(f"the collector {self._collector or 'of this pool'} knows no schedd {self._name}")
            self._found = self._lib.Schedd(ad)
        return self._found

    def query(self, constraint: str, attributes: Sequence[str], mine: bool = False) -> list[Ad]:
        options = self._lib.QueryOpt.DefaultMyJobsOnly if mine else self._lib.QueryOpt.Default
        found = self._schedd().query(constraint, list(attributes), opts=options)
        return [_plain(ad) for ad in found]

    def history(self, constraint: str, attributes: Sequence[str], match: int, since: str) -> list[Ad]:
        found = self._schedd().history(constraint, list(attributes), match=match, since=since)
        return [_plain(ad) for ad in found]

    def submit(
        self, description: Mapping[str, str], items: Sequence[Mapping[str, str]], spool: bool, within: float
    ) -> int:
        """One transaction for all items; the cluster's number. `within` so many seconds, else nothing is sent."""
        ends = time.monotonic() + within
        wanted, schedd = self._lib.Submit(dict(description)), self._schedd()
        if time.monotonic() >= ends:
            raise NotDone("the send deadline has passed")
        try:
            result = schedd.submit(wanted, itemdata=iter([dict(item) for item in items]), spool=spool)
        except self._lib.HTCondorException as err:
            if any(words in str(err) for words in ("Failed to create job ad", "Failed to connect")):
                raise NotDone(" ".join(str(err).split())) from err
            raise
        cluster = int(result.cluster())
        if spool:
            schedd.spool(result)
            self._hold(f"ClusterId == {cluster}")
        return cluster

    def _hold(self, jobs: str) -> None:
        """The schedd lets a spooled job go a moment later; its guard keeps it from running until it is held."""
        ends, spooling = time.monotonic() + SPOOLED_S, f"({jobs}) && HoldReasonCode == 16"
        while self._schedd().query(spooling, ["ProcId"]):
            if time.monotonic() > ends:
                raise TimeoutError(f"the schedd does not end the spooling of {jobs}")
            time.sleep(STEP_S)
        self._schedd().act(self._lib.JobAction.Hold, jobs, reason=WAITS)

    def commit(self, ids: list[str], guard: Sequence[str]) -> None:
        """Let jobs go. `guard`: attributes that become true first, with which spooled jobs were kept back."""
        schedd, action = self._schedd(), self._lib.JobAction
        if guard:
            schedd.act(action.Hold, ids, reason=WAITS)
        for attribute in guard:
            self._edit(ids, attribute, "true")
        _obeyed("Release", schedd.act(action.Release, ids, reason=GOES))

    def _edit(self, ids: Sequence[str], attribute: str, value: str) -> None:
        """Set an attribute of those that are still there: one that has just gone would undo it for all others."""
        left = list(ids)
        while left:
            try:
                self._schedd().edit(left, attribute, value)
            except self._lib.HTCondorException as err:
                gone = _GONE.search(str(err))
                if gone is None or gone[1] not in left:
                    raise
                left.remove(gone[1])
            else:
                return

    def act(self, action: str, ids: list[str], reason: str) -> Ad:
        return _obeyed(action, self._schedd().act(self._lib.JobAction[action], ids, reason=(reason, 0)))

    def clean(self, ended: list[str], removed: list[str]) -> None:
        """Take ended and removed jobs out of the queue."""
        schedd, action, why = self._schedd(), self._lib.JobAction, ("cleaned", 0)
        for attribute, value in (("ActCleaned", "true"), ("LeaveJobInQueue", "false")):
            self._edit([*ended, *removed], attribute, value)
        if ended:
            schedd.act(action.Remove, ended, reason=why)
        if removed:
            schedd.act(action.RemoveX, removed, reason=why)

    def retrieve(self, ids: list[str]) -> None:
        """The sandbox of spooled jobs, into the directories from which they were submitted."""
        self._schedd().retrieve(ids)

    def refresh(self, ids: list[str], proxy: str, mark: str, within: float) -> int:
        """Another proxy for spooled jobs, which are marked with it: for as many as get it `within` so many seconds."""
        ends, done, trouble = time.monotonic() + within, [], None
        for job in ids:
            if time.monotonic() >= ends:
                break
            cluster, _, proc = job.partition(".")
            try:
                self._schedd().refreshGSIProxy(int(cluster), int(proc), proxy, 0)
            except self._lib.HTCondorException as err:  # one that has just gone is not told from other trouble
                trouble = err
            else:
                done.append(job)
        self._edit(done, "ActProxy", mark)
        if trouble and not done:
            raise trouble
        return len(done)

    def about(self, slots: bool) -> Ad:
        """The schedd's version; with `slots` the numbers of its pool too."""
        self._schedd()
        pool = self._lib.Collector(self._collector) if self._collector else self._lib.Collector()
        wanted = ["Name", "CondorVersion", "TotalRunningJobs", "TotalIdleJobs"]
        ads = [_plain(ad) for ad in pool.query(self._lib.AdType.Schedd, projection=wanted)]
        said = next((ad for ad in ads if self._name in (None, ad.get("Name"))), {})
        if slots:
            wanted = ["Cpus", "SlotType", "State", "TotalSlotCpus"]
            said["slots"] = [_plain(ad) for ad in pool.query(self._lib.AdType.Startd, projection=wanted)]
        return said


def _obeyed(action: str, result: Any) -> Ad:
    """The result of an action, whose refusals are no error to the library. Those who are gone or done need none."""
    said = _plain(result)
    for total, words in (("TotalPermissionDenied", "PERMISSION DENIED"), ("TotalError", "an error")):
        if said.get(total):
            raise OSError(f"{action}: {words} for {said[total]} jobs")
    return said


def _plain(ad: Any) -> Ad:
    """Numbers, texts and truth values as they are, other values as they are written; what is undefined is left out."""
    said = {}
    for name in ad:
        try:
            value = ad[name]
        except UnicodeDecodeError as err:  # a node's words in another encoding
            value = err.object.decode("utf-8", "replace")
        if isinstance(value, str | float | bool) or type(value) is int:
            said[name] = value
        elif str(value) not in ("1", "2"):  # classad2.Value.Error and .Undefined
            said[name] = str(value)
    return said


def main() -> None:
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints is no answer
    worker: Worker | None = None
    for line in requests(sys.stdin.buffer, IDLE_S):
        call = json.loads(line)
        if worker is None:
            worker = Worker(**call)
            continue
        out.write(json.dumps(worker.answer(call)).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    main()

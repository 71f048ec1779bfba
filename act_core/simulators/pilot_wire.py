"""What the simulated pilot says and hears over the network: PanDA's new API, inputs and outputs over https.

Servers are always verified. Standard library only: it is shipped to worker nodes.
"""

import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from act_core.simulators.pilot import PilotArguments

DEADLINE = 60.0  # seconds of one call or file
TRIES, PAUSE = 3, 1.0  # of a call, and the seconds between
SYSTEM_CAS = "/etc/grid-security/certificates"
KILL_ORDER = "tobekilled"
TIME_FORMAT = "%Y-%m-%d %H:%M:%S"

# heartbeat.json (legacy names): update_job
NAMES = {
    "siteName": "site_name", "node": "node", "schedulerID": "scheduler_id", "pilotID": "pilot_id",
    "coreCount": "core_count", "meanCoreCount": "mean_core_count", "cpuConsumptionTime": "cpu_consumption_time",
    "cpuConsumptionUnit": "cpu_consumption_unit", "cpuConversionFactor": "cpu_conversion_factor", "nEvents": "n_events",
    "jobMetrics": "job_metrics", "pilotTiming": "pilot_timing", "maxRSS": "max_rss", "avgRSS": "avg_rss",
    "maxPSS": "max_pss", "transExitCode": "trans_exit_code", "exeErrorCode": "exe_error_code",
    "exeErrorDiag": "exe_error_diag", "pilotErrorCode": "pilot_error_code", "pilotErrorDiag": "pilot_error_diag",
    "pilotLog": "pilot_log", "xml": "job_output_report", "metaData": "meta_data", "attemptNr": "attempt_nr",
}  # fmt: skip


class NoWord(Exception):
    """PanDA, or a storage, could not be told or asked; its message says why."""


def final_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report of heartbeat.json in the words and types of `update_job`."""
    times = {"start_time": report["startTime"], "end_time": report["endTime"]}
    told = {new: report[old] for old, new in NAMES.items() if old in report}
    return {
        "job_id": int(report["jobId"]),
        "job_status": report["state"],
        **told,
        **{name: time.strftime(TIME_FORMAT, time.gmtime(moment)) for name, moment in times.items()},
    }


class Wire:
    """The pilot's connections; as whom it speaks comes from its arguments and its environment. Raises NoWord."""

    def __init__(self, told: PilotArguments, environment: Mapping[str, str] = os.environ) -> None:
        self._base = f"{told.url}:{told.port}/api/v1"
        self._headers = _token(told, environment)
        context = _trust(told.ca_dir or environment.get("X509_CERT_DIR", ""))
        try:
            if (proxy := environment.get("X509_USER_PROXY")) not in (None, "", os.devnull):
                context.load_cert_chain(proxy)
        except (OSError, ssl.SSLError) as err:
            raise NoWord(f"the proxy {proxy} cannot be used: {err}") from err
        handlers = (urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}))
        self._web = urllib.request.build_opener(*handlers)

    def update(self, body: Mapping[str, Any]) -> str:
        """One report; PanDA's command, empty if there is none."""
        command = self._call("pilot/update_job", body).get("command")
        return command if isinstance(command, str) and command != "NULL" else ""

    def acquire(self, queue: str, label: str, node: str) -> dict[str, Any] | None:
        """A job of this queue; None: PanDA has none."""
        body = {"site_name": queue, "n_jobs": 1, "prod_source_label": label, "node": node}
        jobs = self._call("pilot/acquire_jobs", body, none="No jobs in PanDA").get("jobs")
        return jobs[0] if isinstance(jobs, list) and jobs else None

    def _call(self, method: str, body: Mapping[str, Any], none: str = "") -> dict[str, Any]:
        """The data of the answer, empty where PanDA says `none`."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", **self._headers}
        said = self._sent(f"{self._base}/{method}", json.dumps(body).encode(), headers, "POST")
        try:
            answer = json.loads(said)
            if not answer["success"] and not (none and answer["message"] == none):
                raise NoWord(f"PanDA refuses {method}: {answer['message']}")
            return dict(answer["data"] or {})
        except (ValueError, KeyError, TypeError) as err:
            raise NoWord(f"PanDA's answer to {method} is none: {said[:200]!r}") from err

    def put(self, url: str, content: bytes) -> None:
        self._sent(url, content, {}, "PUT")

    def get(self, base: str, scope: str, lfn: str) -> bytes:
        """An input file."""
        return self._sent(f"{base.rstrip('/')}/{quote(scope)}/{quote(lfn)}", None, {}, "GET")

    def _sent(self, url: str, body: bytes | None, headers: Mapping[str, str], method: str) -> bytes:
        """The answer's body, after as many tries as it takes; what a server refuses is not tried again."""
        problem = ""
        for attempt in range(TRIES):
            time.sleep(PAUSE if attempt else 0)
            request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310 - an address of ours
            try:
                with self._web.open(request, timeout=DEADLINE) as answer:
                    return bytes(answer.read())
            except urllib.error.HTTPError as err:
                problem = str(err)
                if err.code < 500:
                    break
            except (OSError, ValueError, http.client.HTTPException) as err:
                problem = str(err) or type(err).__name__
                if isinstance(getattr(err, "reason", None), ssl.SSLCertVerificationError):
                    break
        raise NoWord(f"{method} {url}: {problem}")


def _trust(ca_dir: str) -> ssl.SSLContext:
    """Grid authorities alone, where there are any; old ones of theirs break the strict rules of new Pythons."""
    found = ca_dir or (SYSTEM_CAS if Path(SYSTEM_CAS).is_dir() else "")
    if not found:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(capath=found)
    return context


def _token(told: PilotArguments, environment: Mapping[str, str]) -> dict[str, str]:
    """The headers of a bearer token; it comes as the name of a file, or from the environment as itself."""
    given, origin = environment.get("PANDA_AUTH_TOKEN", ""), told.origin or environment.get("PANDA_AUTH_ORIGIN", "")
    named = told.token or (given if given.startswith("/") else "")
    try:
        text = Path(named).read_text(encoding="ascii").strip() if named else given
    except (OSError, ValueError) as err:
        raise NoWord(f"the token {named} cannot be read: {err}") from err
    return {"Authorization": f"Bearer {text}", "Origin": origin} if text else {}

"""What stands in A-REX's control files, as our values and back. Pure; tried on files of 6.17 and 7."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from act_core.ce import arc_dialect
from act_core.ce.base import Facts, RemoteId, Seen, SubmissionKey
from act_core.errors import ProtocolError
from act_core.ids import TowerId

INTERFACE = "org.nordugrid.internal"
CLIENT = "act-flows"
NO_FILES = "\n"  # an input_status that lists none; without the file A-REX would not wait for the end of an upload
# A-REX's own word, with its PENDING: mark, as the word that its REST interface has for it
WORDS: Mapping[str, str] = {
    "ACCEPTED": "ACCEPTING",
    "PENDING:ACCEPTED": "ACCEPTED",
    "PREPARING": "PREPARING",
    "PENDING:PREPARING": "PREPARED",
    "SUBMIT": "SUBMITTING",
    "PENDING:SUBMIT": "SUBMITTING",
    "PENDING:INLRMS": "EXECUTED",
    "CANCELING": "KILLING",
    "PENDING:CANCELING": "KILLING",
    "FINISHING": "FINISHING",
    "PENDING:FINISHING": "FINISHING",
    "DELETED": "WIPED",
}
IN_BATCH = ("RUNNING", "QUEUING", "HELD", "EXITINGLRMS", "OTHER")
INLRMS, FINISHED, DELETED = "INLRMS", "FINISHED", "DELETED"
STARTED = ("SUBMIT", INLRMS, "FINISHING", "CANCELING", DELETED)
_KILLED = re.compile("cancell?ed by external request|user requested to cancel", re.IGNORECASE)
_KEY = re.compile("(act-.+)-[^-]{26}")
_DOCTYPE = re.compile("<!DOCTYPE|<!ENTITY", re.IGNORECASE)


def id_of(key: SubmissionKey) -> RemoteId:
    """The id of the job with this key, in the form of A-REX's own: the same key can never make two jobs."""
    return RemoteId(hashlib.sha256(key.encode()).hexdigest()[:12])


def family(name: str) -> TowerId | None:
    """The tower whose submission key this name is; None: of none."""
    found = _KEY.fullmatch(name)
    return TowerId(found.group(1).removeprefix("act-")) if found else None


def seen(word: str, document: Mapping[str, Any], failed: str) -> Seen:
    """A job's state: A-REX's word, and where that does not tell enough, its document or its mark of failure."""
    if word == INLRMS:
        late = arc_dialect.state_of(document)
        return arc_dialect.seen(late if late in IN_BATCH else "QUEUING")
    if word == FINISHED:
        return arc_dialect.seen(_end(failed))
    return arc_dialect.seen(WORDS.get(word, word))


def _end(failed: str) -> str:
    if not failed.strip():
        return "FINISHED"
    return "KILLED" if _KILLED.search(failed) else "FAILED"


def facts(document: Mapping[str, Any], over: bool, files: Mapping[str, str]) -> Facts:
    """What a job's document says, and of one that is over what its control files `diag`, `failed`, `local` say."""
    late = arc_dialect.facts(document)
    if not over:
        return late
    fresh = arc_dialect.control_files(files["diag"], files["failed"], files["local"])
    return arc_dialect.together(fresh, late) if fresh.complete else late


def document(text: str) -> Mapping[str, Any]:
    """XML as the JSON of the REST interface: elements by name, repeated ones as a list, texts as strings.

    Raises ProtocolError.
    """
    if _DOCTYPE.search(text):
        raise ProtocolError("a document of A-REX has a document type or entities")
    try:
        read = _element(ElementTree.fromstring(text))  # noqa: S314 - no entities are left
    except (ElementTree.ParseError, ValueError, RecursionError) as err:
        raise ProtocolError(f"a document of A-REX is not XML: {err}") from err
    return read if isinstance(read, dict) else {}


def _element(node: ElementTree.Element) -> str | dict[str, Any]:
    if len(node) == 0:
        return (node.text or "").strip()
    found: dict[str, list[Any]] = {}
    for child in node:
        found.setdefault(child.tag.rpartition("}")[2], []).append(_element(child))
    return {name: many[0] if len(many) == 1 else many for name, many in found.items()}


@dataclass(frozen=True, slots=True)
class Owner:
    """In whose name jobs are made."""

    subject: str
    roles: tuple[str, ...] = ()
    expires: datetime | None = None
    pem: bytes | None = None  # the proxy, with its key


def local(
    job: RemoteId, key: SubmissionKey, lrms: str, queue: str, session: Path, control: Path, host: str,
    owner: Owner, now: datetime,
) -> str:  # fmt: skip
    """The file `local` of a new job; A-REX adds to it what the description says."""
    lines = {
        "globalid": f"file://{session}",
        "headnode": f"file://{control}",
        "headhost": host,
        "globalurl": f"file://{session}",
        "interface": INTERFACE,
        "lrms": lrms,
        "queue": queue,
        "subject": owner.subject,
        "starttime": f"{now:%Y%m%d%H%M%S}Z",
        "jobname": key,
        "delegexpiretime": f"{owner.expires or now:%Y%m%d%H%M%S}Z",
        "clientname": CLIENT,
        "sessiondir": str(session),
    }
    roles = [f"voms={role}" for role in owner.roles if role.startswith("/") and "\n" not in role]
    return "".join(f"{line}\n" for line in [*(f"{name}={value}" for name, value in lines.items()), *roles])


def arrived(status: str, names: Iterable[str]) -> str:
    """The file `input_status` with these uploads added."""
    there = [line for line in status.split("\n") if line]
    new = [f"/{name}" for name in names]
    return NO_FILES + "".join(f"{line}\n" for line in dict.fromkeys([*there, *new]))


def restart_refused(said: Mapping[str, str]) -> str | None:
    """Why A-REX would not restart a job with this `local`; None: it would."""
    if not said.get("failedstate"):
        return "Job has not failed"
    return None if said.get("rerun", "0").isdigit() and int(said.get("rerun", "0")) > 0 else "No more restarts allowed"


def intended(text: str) -> dict[RemoteId, Path]:
    """The jobs of an intent and their session directories; none of one that was not written to its end."""
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return {RemoteId(job): Path(session) for job, session in read.items() if arc_dialect.possible(job)}

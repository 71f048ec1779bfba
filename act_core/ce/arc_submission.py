"""One submission to an A-REX, and what its answer means for each of its jobs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from act_core.ce import arc_adl, arc_dialect
from act_core.ce.arc_http import XML, Answer, ArcConnection
from act_core.ce.base import OutcomeLost, Refused, RemoteId, SubmissionKey
from act_core.errors import OutcomeUnknown, ProtocolError, Transient

Outcome = RemoteId | Refused | OutcomeLost
Clock = Callable[[], datetime]
_FOR_GOOD = ("parsing error", "not allowed", "unsupported", "failed to parse", "not recognized")
_TOO_MANY = "no more jobs"


async def submit(
    wire: ArcConnection, path: str, chunk: Mapping[SubmissionKey, str], now: Clock, deadline: datetime | None
) -> dict[SubmissionKey, Outcome]:
    """Create the jobs of a chunk (descriptions by key), once. Raises CredentialError: then nothing was created."""

    def late() -> bool:
        return deadline is not None and now() >= deadline

    if late():
        return dict.fromkeys(chunk, Refused("the send deadline has passed", for_good=False))
    try:
        body = arc_adl.bulk(chunk.values()).encode()
        return outcomes(list(chunk), await wire.post_once(path, now(), body, XML, late))
    except (OutcomeUnknown, ProtocolError) as err:
        return dict.fromkeys(chunk, OutcomeLost(str(err)))
    except Transient as err:
        return dict.fromkeys(chunk, Refused(str(err), for_good=False))


def outcomes(keys: Sequence[SubmissionKey], answer: Answer) -> dict[SubmissionKey, Outcome]:
    """Submission is the one call whose results come without ids, in the order of the request.

    Raises ProtocolError for an answer that cannot be read.
    """
    if answer.status != 201:
        return dict.fromkeys(keys, _not_created(answer))
    entries = arc_dialect.entries(answer.body)
    ids = [job for entry in entries if (job := arc_dialect.job_id(entry))]
    if len(entries) != len(keys) or len(set(ids)) != len(ids):
        return dict.fromkeys(keys, OutcomeLost(f"{len(entries)} results, {len(set(ids))} ids for {len(keys)} jobs"))
    return {key: _outcome(entry) for key, entry in zip(keys, entries, strict=True)}


def _not_created(answer: Answer) -> Refused | OutcomeLost:
    """A-REX itself refuses a whole request with 4xx or 500; anything else may come from something in between."""
    words = f"the CE answers {answer.status} {answer.reason}"
    if 400 <= answer.status <= 500:
        return Refused(words, for_good=False)
    return OutcomeLost(words)


def _outcome(entry: Mapping[str, object]) -> Outcome:
    job, code, reason = arc_dialect.job_id(entry), arc_dialect.code(entry), arc_dialect.reason(entry)
    if job and code == 201:
        return job
    if job or code < 400:
        return OutcomeLost(f"the CE answers {code} {reason}, id {job}")
    low = reason.lower()
    return Refused(reason, for_good=any(word in low for word in _FOR_GOOD) and _TOO_MANY not in low)

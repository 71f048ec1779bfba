"""What HTCondor's ads say, in our words: ads in, states and facts out, and no call."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from act_core.ce.base import Capacity, Facts, RemoteId, Seen, SubmissionKey
from act_core.ce.htcondor_worker import WAITS
from act_core.states import CeState

S = CeState
Ad = Mapping[str, Any]

IDLE, RUNNING, REMOVED, COMPLETED, HELD, TRANSFERRING, SUSPENDED = range(1, 8)
WORDS = {
    IDLE: "IDLE",
    RUNNING: "RUNNING",
    REMOVED: "REMOVED",
    COMPLETED: "COMPLETED",
    HELD: "HELD",
    TRANSFERRING: "TRANSFERRING_OUTPUT",
    SUSPENDED: "SUSPENDED",
}
STATES = {IDLE: S.SUBMITTED, RUNNING: S.RUNNING, TRANSFERRING: S.FINISHING, SUSPENDED: S.HOLDING}
# The words of the far side, in GridJobStatus, that say more than the near side's JobStatus 2.
FAR_STATES = {"COMPLETED": S.FINISHING, "TRANSFERRING_OUTPUT": S.FINISHING, "HELD": S.HOLDING, "SUSPENDED": S.HOLDING}
USER_REQUEST, SUBMITTED_ON_HOLD, SPOOLING = 1, 15, 16
# Of HoldReasonCode, for people; what follows from a hold is the error rules' affair.
HOLDS = {
    0: "grid manager", 1: "by hand", 3: "job policy", 4: "credential", 5: "job policy", 6: "cannot start",
    7: "cannot open output", 8: "cannot open input", 9: "cannot open input", 10: "cannot open input",
    12: "output transfer", 13: "input transfer", 14: "no working directory", 21: "slot", 22: "user log",
    23: "account", 26: "site policy", 27: "site policy", 32: "input too large", 33: "output too large",
    34: "out of resources", 35: "container", 45: "container", 46: "job duration", 47: "execution time",
}  # fmt: skip
LIVING = "(JobStatus =!= 3 && JobStatus =!= 4)"

IDENTITY = ("GlobalJobId", "ActKey", "JobStatus", "HoldReasonCode", "HoldReasonSubCode", "StageInFinish", "QDate")
STATE = (
    *IDENTITY, "GridJobStatus", "GridResourceUnavailableTime", "JobFinishedHookDone", "CompletionDate", "ExitCode",
    "ExitBySignal", "ExitSignal", "ActCommitted", "ActMissing", "EnteredCurrentStatus", "LastJobStatus", "GridResource",
)  # fmt: skip
FACTS = (
    *STATE, "HoldReason", "RemoveReason", "RemoteHost", "LastRemoteHost", "RemoteWallClockTime", "RemoteUserCpu",
    "RemoteSysCpu", "MemoryUsage", "ResidentSetSize", "ImageSize", "CpusProvisioned", "RequestCpus",
    "JobCurrentStartDate", "JobStartDate", "GridJobId", "queue",
)  # fmt: skip
_REMOTE = re.compile(r"(?P<schedd>[^#\x00-\x20]+)#(?P<job>[0-9]+\.[0-9]+)#(?P<queued>[0-9]+)#(?P<key>act-[a-z0-9-]+)")
_MOST = 2**31 - 1


class Remote(NamedTuple):
    """A remote id: HTCondor's GlobalJobId, which outlives a wiped spool, and our key."""

    global_id: str
    job: str  # cluster.proc
    queued: int  # epoch
    key: SubmissionKey


def parsed(job: str) -> Remote | None:
    """None: no id of ours."""
    found = _REMOTE.fullmatch(job)
    if found is None:
        return None
    return Remote(job.rpartition("#")[0], found["job"], int(found["queued"]), SubmissionKey(found["key"]))


def remote_id(ad: Ad) -> RemoteId | None:
    made = f"{ad.get('GlobalJobId')}#{ad.get('ActKey')}"
    return RemoteId(made) if _REMOTE.fullmatch(made) else None


def by_id(ads: Collection[Ad]) -> dict[RemoteId, Ad]:
    return {job: ad for ad in ads if (job := remote_id(ad))}


def quoted(text: str) -> str:
    """A ClassAd string. The text must be printable."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def of_site(name: str, *further: str) -> str:
    """The constraint of all jobs that were sent for a CE."""
    return " && ".join([f"ActSite =?= {quoted(name)}", *further])


def in_history(jobs: Sequence[Remote]) -> tuple[str, str]:
    """Constraint, and where the search ends: what ended before the first of them was queued is not looked at."""
    names = ", ".join(quoted(one.global_id) for one in jobs)
    oldest = min(one.queued for one in jobs) - int(timedelta(days=1).total_seconds())
    return f"ActCleaned =!= true && member(GlobalJobId, {{{names}}})", f"EnteredCurrentStatus < {oldest}"


def waits(ad: Ad) -> bool:
    """Whether the job has been kept back since its submission: it has not run and will not before our word."""
    code = ad.get("HoldReasonCode")
    ours = code == USER_REQUEST and ad.get("HoldReasonSubCode") == WAITS[1]
    held = ad.get("JobStatus") == HELD and (code in (SUBMITTED_ON_HOLD, SPOOLING) or ours)
    return held or (ad.get("JobStatus") == IDLE and ad.get("ActCommitted") is False)


def unspooled(ad: Ad) -> bool:
    """Whether its files have not come: whoever was sending them may have been killed."""
    return ad.get("JobStatus") == HELD and ad.get("HoldReasonCode") == SPOOLING and "StageInFinish" not in ad


def ended(ad: Ad) -> bool:
    """Whether its payload has come to an end of its own, also if it was removed after that."""
    then = ad.get("LastJobStatus") if ad.get("JobStatus") == REMOVED else ad.get("JobStatus")
    return then == COMPLETED and ("ExitCode" in ad or ad.get("ExitBySignal") is True)


def removed(ad: Ad) -> bool:
    """Whether it was removed before its end, and that is confirmed."""
    return ad.get("JobStatus") == REMOVED and not ended(ad) and "JobFinishedHookDone" in ad


def succeeded(ad: Ad) -> bool:
    return ad.get("ExitBySignal") is not True and ad.get("ExitCode") == 0


def unreachable_for(ad: Ad, now: datetime) -> timedelta:
    """How long the grid manager has not reached the CE of this job."""
    since = moment(ad.get("GridResourceUnavailableTime"))
    return max(timedelta(0), now - since) if since else timedelta(0)


def away(ads: Collection[Ad], resource: str, now: datetime, patience: timedelta) -> str | None:
    """Why a CE counts as one that does not answer: its jobs say so for longer than `patience`, and none otherwise."""
    asking = [ad for ad in ads if ad.get("GridResource") == resource and ad.get("JobStatus") in (IDLE, RUNNING)]
    if any("GridJobStatus" in ad and not unreachable_for(ad, now) for ad in asking):
        return None
    longest = max((unreachable_for(ad, now) for ad in asking), default=timedelta(0))
    return _out_of_reach(resource, longest) if longest > patience else None


def _out_of_reach(resource: str, since: timedelta) -> str:
    return f"{resource} cannot be reached, or refuses the credential, for {int(since.total_seconds())} s"


def seen(ad: Ad, now: datetime, patience: timedelta) -> Seen:
    """`patience`: a CE that is away for longer is named beside the job's state."""
    status = ad.get("JobStatus")
    word = WORDS.get(status, f"JobStatus {status}") if isinstance(status, int) else f"JobStatus {status}"
    if ended(ad):
        return Seen(S.FINISHED if succeeded(ad) else S.FAILED, word)
    if status == COMPLETED:
        return Seen(S.FAILED, word)
    if status == REMOVED:
        return Seen(S.CANCELLED, word) if removed(ad) else Seen(None, f"{word}, not confirmed")
    if waits(ad):
        return Seen(S.SUBMITTED, f"{word}, waits for its inputs")
    if status == HELD:
        return Seen(S.HOLDING, f"{word} {_hold(ad)}")
    far = str(ad.get("GridJobStatus", ""))
    word = f"{word}/{far}" if far else word
    if unreachable_for(ad, now) > patience:
        word = f"{word}, CE unreachable"
    state = STATES.get(status) if isinstance(status, int) else None
    return Seen(FAR_STATES.get(far, state) if status == RUNNING else state, word)


def facts(ad: Ad, now: datetime, patience: timedelta) -> Facts:
    """What an ad says beyond the state. A held job's error begins with `hold <code>/<subcode>:`."""
    over = ended(ad)
    cpu = [value for name in ("RemoteUserCpu", "RemoteSysCpu") if (value := _number(ad, name)) is not None]
    started = moment(ad.get("JobCurrentStartDate") or ad.get("JobStartDate"))
    finished = moment(ad.get("CompletionDate"))
    if finished is None and ad.get("JobStatus") == REMOVED:
        finished = moment(ad.get("EnteredCurrentStatus"))
    return Facts(
        exit_code=_number(ad, "ExitCode") if over and ad.get("ExitBySignal") is not True else None,
        error=error(ad, now, patience),
        node=_node(ad),
        queue=_text(ad.get("queue")) or None,
        wall_s=_wall(ad, started, finished) if over else None,
        cpu_s=sum(cpu) if cpu else None,
        memory_kb=_memory(ad),
        cores=_number(ad, "CpusProvisioned") or _number(ad, "RequestCpus"),
        started=started,
        ended=finished,
        restart_at=f"hold {_hold(ad)}" if restartable(ad) else None,
    )


def error(ad: Ad, now: datetime, patience: timedelta) -> str | None:
    """Why it is not well; None: it is."""
    status = ad.get("JobStatus")
    if ended(ad):
        if ad.get("ExitBySignal") is True:
            return f"the payload was ended by signal {ad.get('ExitSignal', '?')}"
        return None if succeeded(ad) else f"exit code {ad.get('ExitCode')}"
    if status == REMOVED:
        return f"removed: {_text(ad.get('RemoveReason')) or 'no reason is told'}"
    if status == HELD and not waits(ad):
        return f"hold {_hold(ad)}: {_text(ad.get('HoldReason')) or HOLDS.get(_code(ad), 'no reason is told')}"
    silent = unreachable_for(ad, now)
    if silent > patience:
        return _out_of_reach(_text(ad.get("GridResource")) or "the CE", silent)
    return None


def restartable(ad: Ad) -> bool:
    """Whether it can be let go: the site or somebody holds it, not we. How often is the engine's affair."""
    return ad.get("JobStatus") == HELD and not waits(ad)


def _hold(ad: Ad) -> str:
    return f"{_code(ad)}/{_number(ad, 'HoldReasonSubCode') or 0}"


def _code(ad: Ad) -> int:
    return _number(ad, "HoldReasonCode") or 0


def _wall(ad: Ad, started: datetime | None, finished: datetime | None) -> int:
    """Seconds. A grid job of HTCondor before 24 has no wall time of its own."""
    told = _number(ad, "RemoteWallClockTime") or 0
    if not told and started and finished:
        told = int((finished - started).total_seconds())
    return max(0, told)


def _memory(ad: Ad) -> int | None:
    """kB: what was measured last, else the size of the program's image."""
    if megabytes := _number(ad, "MemoryUsage"):
        return min(megabytes * 1024, _MOST)
    return _number(ad, "ResidentSetSize") or _number(ad, "ImageSize")


def _node(ad: Ad) -> str | None:
    slot = _text(ad.get("RemoteHost")) or _text(ad.get("LastRemoteHost"))
    return slot.rpartition("@")[2] or None


def _number(ad: Ad, name: str) -> int | None:
    value = ad.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MOST:
        return None
    return int(value)


def moment(value: object) -> datetime | None:
    """An epoch; None: it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < _MOST:
        return None
    return datetime.fromtimestamp(value, UTC)


def _text(value: object) -> str:
    """A text in one line, as it can be stored."""
    return " ".join(str(value).encode("utf-8", "replace").decode().split()) if isinstance(value, str) else ""


def capacity(said: Ad, slots: bool) -> Capacity:
    """What the collector says of a schedd, and with `slots` of its pool."""
    version = _text(said.get("CondorVersion")).removeprefix("$CondorVersion: ").removesuffix(" $") or None
    if not slots:
        return Capacity(version=version)
    pool = [one for one in said.get("slots", ()) if isinstance(one, dict)]
    whole = [one for one in pool if one.get("SlotType") != "Dynamic"]
    free = [one for one in whole if one.get("SlotType") == "Partitionable" or one.get("State") == "Unclaimed"]
    return Capacity(
        total_slots=sum(_number(one, "TotalSlotCpus") or _number(one, "Cpus") or 0 for one in whole),
        free_slots=sum(_number(one, "Cpus") or 0 for one in free),
        running=_number(said, "TotalRunningJobs"),
        queued=_number(said, "TotalIdleJobs"),
        version=version,
    )


def as_text(ad: Ad) -> str:
    """An ad as people know it from `condor_q -long`."""

    def written(value: object) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return quoted(value) if isinstance(value, str) else str(value)

    return "".join(f"{name} = {written(ad[name])}\n" for name in sorted(ad, key=str.lower))

"""Why a job that is over ended as it did, and what is left of it."""

from collections.abc import Mapping
from datetime import datetime

from act_core.db.policy_models import Orphan
from act_core.monitor.explain import Answer, Draft
from act_core.monitor.explain_case import BY_HAND, Case, not_before
from act_core.monitor.times import moment
from act_core.settings.policy import Reconcile
from act_core.states import PUBLISHED, CeState, Request

_S = CeState
GIVEN_UP_BY = ("operator", "unseen")  # then nothing was removed from the CE, which nobody asked


def over(case: Case, draft: Draft, now: datetime) -> None:
    """Final, whatever it came to."""
    job = case.job
    whys: Mapping[CeState, str] = {
        _S.DONE: "It ended well, and its outputs came home.",
        _S.DONEFAILED: f"It failed for good: {job.error or case.reason}",
        _S.CANCELLED: f"It was cancelled: {case.reason}",
        _S.LOST: f"{job.ce} does not know it any more: {case.reason}",
        _S.VOID: f"Its submission never arrived: {case.reason}",
        _S.ABANDONED: f"It was abandoned: {case.reason}",
    }
    draft.say(why=whys[case.state])
    if case.orphan:
        _found(case.orphan, case.settings.arc.reconcile, draft, now)
    if case.state is _S.DONEFAILED and job.rule:
        draft.say(why=f"The error rule {job.rule} was applied ({job.attempts_left} attempts were left).")
    if case.outputs:
        draft.say(do=f"What came home lies in {case.outputs}.")
    _left_there(case, draft, now)
    if case.state is _S.LOST and job.released_at is None and not case.orphan:
        again = f"`act jobs resubmit --force {case.words}`"
        first = f"`act sweep clean --ce {job.ce}` first, then " if job.request == Request.CLEAN else ""
        draft.say(do=f"If you know that it is dead: {first}{again}.")
    if case.state is _S.ABANDONED:
        draft.say(next="It is killed if its CE returns; it is never sent anew by itself.")
        draft.say(do=f"`act explain {job.ce}` tells how the CE is.")
    if case.state in (_S.LOST, _S.ABANDONED, _S.DONEFAILED) and job.remote_id:
        draft.say(do=f"`act ticket {job.app_job_id}` is a text for the site.")


def explain_orphan(one: Orphan, policy: Reconcile, now: datetime) -> Answer:
    """A job on a CE that carries this tower's name and is in no table."""
    draft = Draft()
    _found(one, policy, draft, now)
    return draft.answer(f"job {one.remote_id} at {one.ce}: an orphan", one.first_seen)


def _found(one: Orphan, policy: Reconcile, draft: Draft, now: datetime) -> None:
    whose = "an attempt that is over here" if one.known else "a key that is in no table"
    draft.say(why=f"{one.ce} has it as {one.remote_id}, under the name {one.submission_key}: {whose}.")
    draft.say(why=f"It was first seen there at {moment(one.first_seen, now)}, last at {moment(one.last_seen, now)}.")
    due = moment(one.first_seen + policy.sightings, now)
    if one.killed_at:
        draft.say(
            next=f"It was killed at {moment(one.killed_at, now)}, and is forgotten when {one.ce} lists it no more."
        )
    elif one.known or policy.orphans == "kill":
        draft.say(next=f"It is killed and removed at its next sighting after {due} (reconcile.sightings).")
        draft.say(do=f"`act sweep reconcile-ces --ce {one.ce}` looks at once.")
    else:
        draft.say(next="It is left alone (reconcile.orphans: report), and taken back if its row returns.")
        draft.say(do="Was the database restored? Bring the newer one back, or set reconcile.orphans to kill.")
    draft.say(do=f"`act orphans --ce {one.ce}` lists all of them.")


def _left_there(case: Case, draft: Draft, now: datetime) -> None:
    """What of a job that is over stays where."""
    job = case.job
    if case.archived:
        draft.say(next=f"It is at rest in the archive since {moment(job.modified, now)}; nothing more happens to it.")
        return
    given_up = any(one.to_state == job.state and one.actor in GIVEN_UP_BY for one in case.events)
    if job.ce_clean_at and not given_up:
        draft.say(why=f"It was removed from {job.ce} at {moment(job.ce_clean_at, now)}.")
    if job.released_at and (job.ce_clean_at or not job.remote_id):
        rest = moment(job.modified + case.settings.arc.jobs.archiveafter, now)
        draft.say(next=f"It moves to the archive at {rest}, and leaves the lists.")
    elif job.request == Request.CLEAN:
        draft.say(next=f"It is removed from the CE in the next round of clean{not_before(job, now)}.")
    elif job.request:
        draft.say(next=f"Somebody wants it {PUBLISHED[Request(job.request)]}: in a next round{not_before(job, now)}.")
    elif job.released_at is None:
        draft.say(next="It stays in the lists until its application closes it.")
        draft.say(do=f"`act jobs clean {case.words}` removes it." if job.app == BY_HAND else "")

"""Why a job is as it is: pure, from its newest attempt and what the tables say of its CEs."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from act_core.monitor.explain import Answer, Draft, Part
from act_core.monitor.explain_case import Case, ce_away, held_by_rule, not_before
from act_core.monitor.explain_ces import line_of, loses, obstacles
from act_core.monitor.explain_over import over
from act_core.monitor.explain_panda import fenced, panda
from act_core.monitor.explain_words import concerning, part_of
from act_core.monitor.times import moment, span
from act_core.states import LIVING, PUBLISHED, CeState, Request

_LONG = timedelta(minutes=5)  # what could have happened by then, and has not, is worth a question
_S = CeState


Teller = Callable[[Case, Draft, datetime], None]


def explain_job(case: Case, now: datetime) -> Answer:
    """Why a job is as it is."""
    job, draft = case.job, Draft()
    if case.asked != job.attempt:
        draft.say(why=f"Attempt {case.asked} is over; attempt {job.attempt} took its place, and is told of here.")
    TELLERS[case.state](case, draft, now)
    _wish(case, draft, now)
    panda(case, draft, now)
    draft.add(line_of(one, now) for one in case.standing)
    for one in case.earlier[-2:]:
        draft.say(
            why=f"Attempt {one.attempt} ended as {one.state} at {one.ce or 'no CE'}: {one.error or 'no error told'}."
        )
    draft.say(do=f"`act jobs show {job.app_job_id}` tells its whole story.")
    place = f" at {job.ce}" if job.ce else ""
    wish = f", wish {PUBLISHED[Request(job.request)]}" if job.request else ""
    subject = f"job {job.app_job_id} ({job.app}), attempt {job.attempt}: {job.state}{place}{wish}"
    return draft.answer(subject, job.state_since)


def _wish(case: Case, draft: Draft, now: datetime) -> None:
    job = case.job
    if job.request and case.state in LIVING and case.state is not _S.CANCELLING:
        deeds = {
            Request.CANCEL: "killed",
            Request.CLEAN: "killed, then cleaned",
            Request.RESUBMIT: "killed, then sent anew",
        }
        if deed := deeds.get(Request(job.request)):
            draft.say(
                why=f"Somebody wants it {deed.split(',')[0]}, since {moment(job.request_at, now)}.",
                next=f"It is {deed} in the next round of submit{not_before(job, now)}.",
            )


def _waits(case: Case, draft: Draft, now: datetime) -> None:
    job = case.job
    draft.say(why="It waits for a CE: no call has been made for it.")
    if job.error:
        draft.say(why=f"The last try ({job.tries} so far) ended with: {job.error}")
    if job.due_at and job.due_at > now:
        draft.say(why=f"It is not tried again before {moment(job.due_at, now)}.")
    if job.request in (Request.CANCEL, Request.CLEAN):
        draft.say(next="It is cancelled in the next round of submit, without a call.")
        return
    if job.vouched_until and job.vouched_until <= now:
        draft.say(why=f"{job.app} vouched for it until {moment(job.vouched_until, now)}, and not since: it is held.")
        draft.say(next=f"It is sent once {job.app} hears that it is still wanted, and cancelled if it is not.")
        draft.say(do="`act sweep heartbeat` asks at once, and says what is wrong.")
        return
    if fenced(case, draft, now):
        return
    free = _candidates(case, draft, now)
    if job.submit_before:
        late = job.submit_before <= now
        told = "has passed: it is cancelled instead of sent" if late else "comes first, or it is cancelled"
        draft.say(next=f"Its best-before {moment(job.submit_before, now)} {told}.")
    draft.say(do=f"`act jobs cancel {case.words}` takes it back." if not free else "")


def _candidates(case: Case, draft: Draft, now: datetime) -> list[str]:
    """Those of its CEs that could take it; of the others, why they do not."""
    free: list[str] = []
    everywhere = _everywhere(case, now)
    draft.add(everywhere)
    for look in case.looks:
        found = [one for one in obstacles(look, now, case.job.share) if one not in everywhere]
        if not found and not everywhere:
            free.append(look.name)
            draft.say(why=f"{look.name} could take it.")
        for part in found:
            draft.say(*(_named(look.name, sentence) for sentence in (part.why, part.next, part.do)))
    if not case.looks:
        draft.say(
            why="It has no candidate CEs.", next="It waits for ever.", do="Cancel it, and add it again with --ce."
        )
    if free:
        order = f"by priority (its own: {case.job.priority}), then the oldest first"
        draft.next.insert(0, f"{' or '.join(free)} takes it in a next round of submit: {order}.")
        if now - case.job.state_since > _LONG:
            draft.say(do="It has waited long for that: see whether the tower is up, `act status`.")
            draft.say(do=f"`act sweep submit --ce {free[0]}` does a round by hand.")
    elif case.looks and not everywhere:
        draft.next.insert(0, "It is sent when the first of its CEs takes jobs again.")
    return free


def _everywhere(case: Case, now: datetime) -> list[Part]:
    """What operators want that keeps it from every CE."""
    return [part_of(one, now) for look in case.looks[:1] for one in concerning(look.words, {case.job.share})]


def _named(ce: str, sentence: str) -> str:
    """The sentence with the name of whom it speaks of."""
    return f"{ce}: {sentence}" if sentence and ce not in sentence else sentence


def _doubt(case: Case, draft: Draft, now: datetime) -> None:
    job = case.job
    lost = next((one.reason for one in reversed(case.events) if "answer" in one.reason), "")
    draft.say(
        why=f"It was sent to {job.ce}, and no answer has come{f' ({lost})' if lost else ''}: it may be there or not."
    )
    unwanted = job.request in (Request.CANCEL, Request.CLEAN)
    deadline, then = job.send_deadline, "it is sent anew. It cannot run twice."
    if case.site.two_phase is False:
        then = f"it is sent anew. Without two-phase submission (sites.{job.ce}.two_phase) it may run twice then."
    then = "it is over, and not sent anew." if unwanted else then
    if deadline and deadline > now:
        draft.say(next=f"The call may be under way until {moment(deadline, now)}.")
    else:
        believed = moment(deadline + case.grace, now) if deadline else "…"
        draft.say(
            next=f"Submit looks for its name in the CE's list: found, it is adopted; missing in two complete lists, "
            f"the second one after {believed}, {then}"
        )
    if job.absent_since:
        draft.say(why=f"A complete list did not have it at {moment(job.absent_since, now)}.")
    if unwanted:
        draft.say(why=f"Somebody wants it killed, since {moment(job.request_at, now)}.", next="Found, it is killed.")
    ce_away(case, draft, now)
    draft.say(do=f"`act sweep submit --ce {job.ce}` looks at once.")
    draft.say(do=f"On the CE its name is {job.submission_key}.")


def _there(case: Case, draft: Draft, now: datetime) -> None:
    """Accepted and not running: it waits for our inputs, or in the CE's queue."""
    job = case.job
    if job.inputs_sent_at is None:
        draft.say(why=f"{job.ce} has it as {job.remote_id} and waits for its input files from here, the commit.")
        late = job.state_since + case.input_patience
        draft.say(next=f"They are sent in the next round of submit{not_before(job, now)}.")
        draft.say(next=f"The CE fails it if they have not come by {moment(late, now)}.")
        if job.error:
            draft.say(why=f"The last try ({job.tries} so far) ended with: {job.error}")
        draft.say(do=f"`act sweep submit --ce {job.ce}` sends them at once.")
    else:
        told = f" (its word: {job.native_state})" if job.native_state else ""
        held = "is held by" if case.state is _S.HOLDING else "is in the queue of"
        draft.say(why=f"It {held} {job.ce} as {job.remote_id}{told}.")
        if case.state is _S.HOLDING:
            held_by_rule(case, draft, now)
            draft.say(why=f"Its words: {job.error}" if job.error else "")
        elif not job.request:
            draft.say(next="The CE starts it when its turn comes; the next poll sees that.")
    _living(case, draft, now)


def _runs(case: Case, draft: Draft, now: datetime) -> None:
    job = case.job
    began = job.started_at or job.state_since
    place = f" on {job.node}" if job.node else ""
    draft.say(why=f"It runs at {job.ce}{place} as {job.remote_id}, begun {moment(began, now)}.")
    asked = f"It may take {span(timedelta(seconds=job.walltime_s))}; the" if job.walltime_s else "The"
    draft.say(next=f"{asked} poll that sees its end moves it on.")
    _living(case, draft, now)


def _ends(case: Case, draft: Draft, now: datetime) -> None:
    draft.say(why=f"Its payload is over; {case.job.ce} moves its outputs ({case.job.native_state or '…'}).")
    draft.say(next="The next poll sees when that is done.")
    _living(case, draft, now)


def _living(case: Case, draft: Draft, now: datetime) -> None:
    job = case.job
    if job.absent_since:
        lost = job.absent_since + case.site.patience
        when = f"at {moment(lost, now)}" if lost > now else "at the next poll, unless nobody looked meanwhile"
        draft.say(
            why=f"Good answers of {job.ce} do not know it since {moment(job.absent_since, now)}.",
            next=""
            if any(loses(look) for look in case.looks)
            else f"It counts as lost when they still do not {when}; it is never sent anew by itself then.",
            do=f"Ask the site what became of {job.remote_id}: `act ticket {job.app_job_id}` is a text for it.",
        )
    ce_away(case, draft, now)
    if not (job.request or job.absent_since):
        draft.say(do=f"`act jobs cancel {case.words}` kills it.")
    draft.say(
        do="" if job.absent_since else f"If it stays too long: `act ticket {job.app_job_id}` is a text for the site."
    )


def _killed(case: Case, draft: Draft, now: datetime) -> None:
    job = case.job
    draft.say(why=f"{job.ce} accepted the kill of {job.remote_id} and has not confirmed its end.")
    again = f"the kill is sent again at {moment(job.due_at, now)}" if job.due_at else "…"
    draft.say(next=f"The next poll that tells its end makes it cancelled; without one, {again}.")
    if job.absent_since:
        draft.say(why=f"Good answers of {job.ce} do not know it since {moment(job.absent_since, now)}.")
    ce_away(case, draft, now)
    draft.say(do=f"If it stays so: `act ticket {job.app_job_id}` asks the site to kill {job.remote_id}.")


def _finished(case: Case, draft: Draft, now: datetime) -> None:
    job, most = case.job, case.settings.arc.jobs.fetchtries
    draft.say(why=f"It ended well at {job.ce}, and its outputs are still there.")
    if job.tries and job.error:
        draft.say(why=f"{job.tries} of {most} tries to bring them home failed; the last one: {job.error}")
    draft.say(next=f"They come home in the next round of fetch-validate{not_before(job, now)}.")
    ce_away(case, draft, now)
    draft.say(do=f"`act sweep fetch-validate --ce {job.ce}` brings them at once.")


def _failed(case: Case, draft: Draft, now: datetime) -> None:
    job = case.job
    exit_code = f", exit code {job.exit_code}" if job.exit_code is not None else ""
    draft.say(why=f"It failed at {job.ce}{exit_code}: {job.error or case.reason}")
    if job.rule:
        draft.say(why=f"The error rule {job.rule} was applied ({job.attempts_left} attempts are left).")
    wish = Request(job.request) if job.request else None
    deeds = {
        Request.FETCH: "Its logs come home in the next round of fetch-validate",
        Request.RERUN: "The CE is asked to restart it in the next round of submit",
        Request.RESUBMIT: "A new attempt is made in the next round of submit",
        Request.CLEAN: "It is removed from the CE",
    }
    waits = "Its application is told, and decides: fetch, rerun, resubmit or clean"
    draft.say(next=f"{deeds.get(wish, waits) if wish else waits}{not_before(job, now)}.")
    held_by_rule(case, draft, now)
    ce_away(case, draft, now)
    if not wish:
        draft.say(
            do=f"`act jobs fetch {case.words}` brings what it left; `act jobs resubmit {case.words}` tries again."
        )
    draft.say(do=f"`act ticket {job.app_job_id}` is a text for the site.")


TELLERS: Mapping[CeState, Teller] = {
    _S.TOSUBMIT: _waits,
    _S.SUBMITTING: _doubt,
    _S.SUBMITTED: _there,
    _S.HOLDING: _there,
    _S.RUNNING: _runs,
    _S.FINISHING: _ends,
    _S.CANCELLING: _killed,
    _S.FINISHED: _finished,
    _S.FAILED: _failed,
} | dict.fromkeys((_S.DONE, _S.DONEFAILED, _S.CANCELLED, _S.LOST, _S.VOID, _S.ABANDONED), over)

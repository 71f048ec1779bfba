"""How a PanDA job stands: its outputs on storage, its final report, what PanDA was told."""

from datetime import datetime

from act_core.db.panda_story import PandaStory
from act_core.monitor.explain import Answer, Draft
from act_core.monitor.explain_case import Case
from act_core.monitor.sentences import told
from act_core.monitor.times import moment, span
from act_core.states import PandaState

HARVESTER = "harvester"  # the reporter of a job that a Harvester handed over


def panda(case: Case, draft: Draft, now: datetime) -> None:
    """Nothing of jobs that are not PanDA's."""
    story = case.panda
    if story is None:
        return
    if story.state is PandaState.TOVALIDATE:
        _validated(case, story, draft, now)
    else:
        _stands(story, draft, now)
    for line in story.cleared:
        sentences = told(line.code, line.facts, now)
        draft.say(why=sentences.why, do=sentences.do)


def unbound(name: str, story: PandaStory, now: datetime) -> Answer:
    """Of a PanDA job for which no attempt stands."""
    draft = Draft()
    match story.state:
        case PandaState.SENT:
            draft.say(
                why=f"It was taken from PanDA at {moment(story.state_since, now)}, and is not described for a CE yet.",
                next="The stage `translate` does it.",
                do="`act sweep translate` does it at once.",
            )
        case PandaState.FORGOTTEN:
            draft.say(
                why="PanDA says that it is at work, and the tower knows of no attempt: it may be on a CE already, and "
                "is not sent again.",
                do="docs/safety.md tells how it ends.",
            )
    _stands(story, draft, now)
    if story.state is PandaState.CLOSED:
        draft.say(
            why=f"Of it is known: {story.error}" if story.error else "",
            next="Nothing more: it is over.",
            do=f"`act jobs try {name.partition('.')[0]}` runs its payload in your terminal.",
        )
    return draft.answer(f"PanDA job {name} of {story.queue}: no attempt ({story.state})", story.state_since)


def _stands(story: PandaStory, draft: Draft, now: datetime) -> None:
    match story.state:
        case PandaState.TOREPORT:
            _reported(story, draft, now)
        case PandaState.TOKILL:
            since = moment(story.state_since, now)
            draft.say(why=f"{_who(story, begins=True)} wants it dead since {since}: {story.error or 'no reason'}.")
        case PandaState.AWAITING:
            asked = moment(story.check_due_at, now)
            draft.say(next=f"PanDA is asked at {asked} whether its pilot has told the end.")
        case PandaState.CLOSED:
            when = moment(story.told_at, now)
            draft.say(why=f"{_who(story, begins=True)} has its end: {story.told or '…'}, told at {when}.")
        case _:
            _goes_on(story, draft, now)


def _validated(case: Case, story: PandaStory, draft: Draft, now: datetime) -> None:
    rules = case.settings.app.validation
    draft.say(why=f"Its outputs are looked for on storage since {moment(story.state_since, now)}.")
    if story.error:
        draft.say(why=f"The last answer, of {story.checks} tries: {story.error}")
    until = moment(story.state_since + rules.patience, now)
    draft.say(
        next=f"Storage is asked again at {moment(story.check_due_at, now)}; after {rules.tries} tries in vain, or at "
        f"{until} (validation.patience), the job fails.",
        do="`act sweep fetch-validate` asks what is due at once; docs/storage.md tells the rules.",
    )


def _reported(story: PandaStory, draft: Draft, now: datetime) -> None:
    draft.say(why=f"Its final report waits for {_who(story)} since {moment(story.state_since, now)}.")
    if story.error:
        draft.say(why=f"Of it is known: {story.error}")
    if story.sent_at:
        draft.say(why=f"It was first sent at {moment(story.sent_at, now)}, and is the same in each further try.")
    if story.refused:
        draft.say(why=f"{_who(story, begins=True)} has not taken it {story.refused} times in a row.")
    draft.say(next=f"It is sent at {moment(story.heartbeat_due_at, now)}, and so on until {_who(story)} has it.")
    draft.say(do="`act sweep heartbeat` sends what is due at once.")


def _who(story: PandaStory, *, begins: bool = False) -> str:
    """Who hears of it from the tower."""
    if story.reporter != HARVESTER:
        return "PanDA"
    return "Its Harvester" if begins else "its Harvester"


def _goes_on(story: PandaStory, draft: Draft, now: datetime) -> None:
    if story.reporter == HARVESTER:
        draft.say(why="A Harvester handed it over, and alone speaks to PanDA of it (docs/harvester.md).")
    else:
        when = f" at {moment(story.told_at, now)}" if story.told_at else ""
        draft.say(why=f"PanDA was told {story.told or 'nothing yet'}{when}.")
    if story.error:
        draft.say(why=f"Of it is known: {story.error}")
    if story.heartbeat_due_at:
        draft.say(next=f"PanDA hears of it again at {moment(story.heartbeat_due_at, now)}: {story.wanted}.")


def fenced(case: Case, draft: Draft, now: datetime) -> bool:
    """Whether the attempt waits until what the dead one left was cleared away."""
    until = case.job.fenced_until
    if until is None or until <= now:
        return False
    draft.say(
        why="What the attempt before it left on storage is cleared away first.",
        next=f"It may be sent when that is done, in {span(until - now)} at the latest.",
        do="`act sweep fetch-validate` does it at once; validation.delete and validation.fence are its settings.",
    )
    return True

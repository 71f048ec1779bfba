"""A job to be explained, and what is said of any job."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from act_core.db.models import AttemptColumns, CeJobEvent
from act_core.db.panda_story import PandaStory
from act_core.db.policy_models import Orphan, Standing
from act_core.monitor.explain import Draft
from act_core.monitor.explain_ces import Look, line_of, parts
from act_core.monitor.times import moment
from act_core.reasons import Topic
from act_core.settings.model import Settings, Site
from act_core.states import CeState

BY_HAND = "manual"  # the application whose jobs the commands mean unless they are told another


@dataclass(frozen=True, slots=True)
class Case:
    """A job and what concerns it. `looks`: its candidates while it waits, else the CE that has it."""

    job: AttemptColumns
    settings: Settings
    asked: int  # the attempt that was asked for; the newest one is explained
    archived: bool = False
    site: Site = field(default_factory=Site)
    grace: timedelta = timedelta(seconds=60)
    input_patience: timedelta = timedelta(minutes=10)
    looks: tuple[Look, ...] = ()
    standing: tuple[Standing, ...] = ()
    events: tuple[CeJobEvent, ...] = ()  # of this attempt, in order
    earlier: tuple[AttemptColumns, ...] = ()
    outputs: Path | None = None
    orphan: Orphan | None = None  # it is on its CE although it is over
    panda: PandaStory | None = None  # where it is a PanDA job

    @property
    def state(self) -> CeState:
        return CeState(self.job.state)

    @property
    def words(self) -> str:
        """The job as an argument of a command."""
        return self.job.app_job_id if self.job.app == BY_HAND else f"{self.job.app_job_id} --app {self.job.app}"

    @property
    def reason(self) -> str:
        """What was written when it came to this state."""
        came = (one.reason for one in reversed(self.events) if one.from_state != one.to_state == self.job.state)
        return next(came, "") or "…"


def not_before(job: AttemptColumns, now: datetime) -> str:
    return f", not before {moment(job.due_at, now)}" if job.due_at and job.due_at > now else ""


def ce_away(case: Case, draft: Draft, now: datetime) -> None:
    """What keeps the CE that has it from being asked, or from being believed."""
    for look in case.looks:
        draft.add(part for part in parts(look, now, case.job.share) if part.there)


def held_by_rule(case: Case, draft: Draft, now: datetime) -> None:
    """What an error rule that leaves jobs as they are says of it."""
    for look in case.looks:
        told = [one for one in look.standing if one.topic == Topic.ERRORS and one.share == case.job.share]
        draft.add(line_of(one, now, job=case.words) for one in told if one.facts.get("rule") == case.job.rule)

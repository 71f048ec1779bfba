"""What follows from an error: the first rule whose pattern is found in the CE's words decides. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache

from act_core.ce.base import Facts, Refused
from act_core.db.attempts import Attempt
from act_core.db.models import ERROR_LENGTH
from act_core.decisions import Move, Stay
from act_core.engine.rule_table import ABOVE, ARC, ARC_ERRORS, EVERY, HOLDS, Shipped
from act_core.settings.policy import Action, Errors, Rule
from act_core.states import CeState, Request

CONFIGURED = "aCTConfigARC.yaml"
NAME_LENGTH = 64
# A restart finds the list as it is (act.md 3, FAILED handling 1).
_NO_RESTART = "error reading user generated output file list"
# What ends a job, or begins it anew by hand, leaves the rules nothing to decide.
_DECIDED = {Request.CANCEL, Request.CLEAN, Request.RESUBMIT, Request.RERUN}


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """A rule that is ready for use. `source`: who says so."""

    name: str
    wanted: re.Pattern[str]
    pattern: str
    action: Action
    kinds: str
    why: str
    source: str

    def matches(self, text: str, kind: str) -> bool:
        return fnmatchcase(kind, self.kinds) and self.wanted.search(text[:ERROR_LENGTH]) is not None


Book = Sequence[ErrorRule]


def _ready(row: Shipped) -> ErrorRule:
    wanted = re.compile(row.pattern if row.regex else re.escape(row.pattern), re.IGNORECASE | re.DOTALL)
    return ErrorRule(row.name[:NAME_LENGTH], wanted, row.pattern, row.action, row.kinds, row.why, row.source)


def _configured(rule: Rule) -> Shipped:
    name = rule.name or rule.pattern
    return Shipped(name, rule.pattern, rule.action, rule.why, CONFIGURED, rule.kind or EVERY, rule.regex)


def _listed(text: str) -> Shipped:
    return Shipped(text, text, "resubmit", "errors.toresubmit.arcerrors", CONFIGURED, ARC)


@lru_cache(maxsize=8)
def rulebook(errors: Errors) -> tuple[ErrorRule, ...]:
    """All rules in their order: the configured ones, the original's list where it is set, the shipped ones."""
    own = [_configured(rule) for rule in errors.rules]
    given = errors.toresubmit.arcerrors
    listed = ARC_ERRORS if given is None else tuple(_listed(text) for text in given)
    rows = (*own, *ABOVE, *listed, *HOLDS) if given is None else (*own, *listed, *ABOVE, *HOLDS)
    return tuple(_ready(row) for row in rows)


def first_match(book: Book, text: str | None, kind: str) -> ErrorRule | None:
    """The rule that decides; None: nobody has said anything about this error."""
    return next((rule for rule in book if rule.matches(text, kind)), None) if text else None


class Why(StrEnum):
    """Why a rule's action was not taken as it stands."""

    NO_ATTEMPT = "no attempt is left"
    LATE = "its best-before has passed"
    CLOSED = "its application has closed it"
    TOO_OFTEN = "it was released often enough"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done about a job: the rule that said so, the wish that follows, and whether the operator is told."""

    rule: ErrorRule | None
    wish: Request | None = None
    tell: bool = False  # the job stays as it is: the operator decides
    rest: bool = False  # the CE shall rest if several jobs say so
    but: Why | None = None
    text: str = ""  # the CE's words

    @property
    def words(self) -> str:
        """For the event of the attempt."""
        if self.rule is None:
            return "restarted where it failed" if self.wish is Request.RERUN else ""
        taken = f"rule {self.rule.name}: {self.rule.action}"
        return f"{taken}, but {self.but}" if self.but else taken


@dataclass(frozen=True, slots=True)
class Allowed:
    """What is still allowed of a job: restarts of its failed stage-in or stage-out, releases from hold."""

    restarts: int = 0  # of the description: the CE counts them, too
    releases: int = 0
    late: bool = False  # its best-before has passed: nothing begins again


NOTHING = Verdict(None)


def after_failure(attempt: Attempt, facts: Facts, book: Book, kind: str, allowed: Allowed) -> Verdict:
    """What follows a failure: a restart where the CE can, else what the rules say; else it stays failed."""
    if attempt.request in _DECIDED or attempt.superseded_by:
        return NOTHING
    rule = first_match(book, facts.error, kind)
    restartable = _restartable(attempt, facts, allowed)
    if restartable and (rule is None or rule.source != CONFIGURED or rule.action == "rerun"):
        return Verdict(rule if rule and rule.action == "rerun" else None, Request.RERUN)
    return decided(attempt, rule, allowed)


def _restartable(attempt: Attempt, facts: Facts, allowed: Allowed) -> bool:
    if attempt.released_at or allowed.late or facts.restart_at is None or attempt.reruns >= allowed.restarts:
        return False
    return _NO_RESTART not in (facts.error or "").lower()


def decided(attempt: Attempt, rule: ErrorRule | None, allowed: Allowed) -> Verdict:
    """What a rule says of a failed job that is not restarted (any more)."""
    match rule.action if rule else None:
        case "resubmit" | "rest":
            return replace(_again(attempt, rule, allowed), rest=rule is not None and rule.action == "rest")
        case "hold":
            return Verdict(rule, tell=True)
        case _:
            return Verdict(rule)


def _again(attempt: Attempt, rule: ErrorRule | None, allowed: Allowed) -> Verdict:
    if attempt.released_at is not None:
        return Verdict(rule, but=Why.CLOSED)
    if allowed.late:
        return Verdict(rule, but=Why.LATE)
    if attempt.attempts_left <= 0:
        return Verdict(rule, but=Why.NO_ATTEMPT)
    return Verdict(rule, Request.RESUBMIT)


def after_hold(attempt: Attempt, facts: Facts, book: Book, kind: str, allowed: Allowed) -> Verdict:
    """What is done about a job that its CE holds. Without a rule it stays, until jobs.maxtimehold or maxtimeheld."""
    rule = first_match(book, facts.error, kind)
    if rule is None or attempt.request in _DECIDED or attempt.superseded_by:
        return NOTHING
    if rule.action == "hold":
        return Verdict(rule, tell=True)
    may = facts.restart_at is not None and attempt.reruns < allowed.releases and not allowed.late
    if rule.action == "rerun" and may:
        return Verdict(rule, Request.RERUN)
    if rule.action == "fail":
        return Verdict(rule, Request.CANCEL)
    again = _again(attempt, rule, allowed)
    verdict = again if again.wish else replace(again, wish=Request.CANCEL)
    if rule.action == "rerun":
        return replace(verdict, but=verdict.but or Why.TOO_OFTEN)
    return replace(verdict, rest=rule.action == "rest")


def applied(move: Move, verdict: Verdict) -> Move:
    """The move with what the rules made of it: the wish that follows, and who said so."""
    words = f"{move.reason}; {verdict.words}" if verdict.words else move.reason
    named = {"rule": verdict.rule.name} if verdict.rule else {}
    quiet = verdict.tell and move.to is CeState.FAILED
    return replace(move, reason=words, columns={**move.columns, **named}, wish=verdict.wish, news=not quiet)


def wished(stay: Stay, verdict: Verdict) -> Stay:
    """The same for a job that does not move."""
    words = "; ".join(one for one in (stay.reason, verdict.words) if one)
    named = {"rule": verdict.rule.name} if verdict.rule else {}
    return replace(stay, reason=words, columns={**stay.columns, **named}, wish=verdict.wish)


def refused(answer: Refused, book: Book, kind: str, attempt: Attempt) -> tuple[Refused, ErrorRule | None]:
    """A refused submission as the rules see it: for good, or asked again later.

    What the CE itself refuses for good is asked again only as often as the job has attempts left; `rest` waits.
    """
    rule = first_match(book, answer.why, kind)
    if rule is None:
        return answer, None
    if rule.action == "rest":
        return replace(answer, for_good=False), rule
    if rule.action in ("resubmit", "rerun"):
        return replace(answer, for_good=answer.for_good and attempt.tries >= attempt.attempts_left), rule
    return replace(answer, for_good=rule.action == "fail" or answer.for_good), rule

"""The error rules at work: what they say of jobs that failed or are held, what they count, and who is told."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from act_core.ce.base import ComputingElement, Facts, OutcomeLost, Refused, RemoteId, SubmissionKey
from act_core.db import ledger, queries, rules
from act_core.db.attempts import Attempt
from act_core.db.ledger import Line
from act_core.db.rules import Hit
from act_core.decisions import Decision, Move, Stay
from act_core.engine.limits import span
from act_core.engine.rules import (
    Allowed,
    Book,
    ErrorRule,
    Verdict,
    after_failure,
    after_hold,
    applied,
    refused,
    rulebook,
    wished,
)
from act_core.engine.settling import settled_attempts
from act_core.logs import log
from act_core.reasons import Reason, Topic
from act_core.runtime import Counts, Runtime
from act_core.states import CeState, Request

logger = log(__name__)
Verdicts = Mapping[Attempt, Verdict]
Outcome = RemoteId | Refused | OutcomeLost
SAID = 200  # characters of an error in the ledger


def book(rt: Runtime) -> Book:
    return rulebook(rt.settings.arc.errors)


async def verdicts_on(
    rt: Runtime, end: ComputingElement, found: Mapping[Attempt, Facts], held: bool
) -> dict[Attempt, Verdict]:
    """What the rules say of jobs that failed, or (`held`) that their CE holds. The time is asked once for all."""
    if not found:
        return {}
    now, all_rules, kind = rt.now(), book(rt), end.traits.kind
    asked = [a.description_id for a, facts in found.items() if facts.restart_at and not held]
    specs = await rt.read(queries.specs, asked) if asked and end.traits.restarts else {}
    decide = after_hold if held else after_failure
    verdicts = {}
    for attempt, facts in found.items():
        spec = specs.get(attempt.description_id)
        late = attempt.submit_before is not None and now >= attempt.submit_before
        allowed = Allowed(spec.reruns if spec else 0, rt.settings.arc.errors.releases, late)
        verdicts[attempt] = replace(decide(attempt, facts, all_rules, kind, allowed), text=facts.error or "")
    return verdicts


def with_verdict(rt: Runtime, decision: Move | Stay, verdict: Verdict) -> Decision:
    """The decision as the rules want it. A failed job that they hold is fetched when jobs.maxtimehold is over."""
    if isinstance(decision, Stay):
        return wished(decision, verdict)
    move = applied(decision, verdict)
    patience = rt.settings.arc.jobs.maxtimehold
    if verdict.tell and move.to is CeState.FAILED and patience:
        columns = {**move.columns, "due_at": rt.now() + patience}
        return replace(move, wish=Request.FETCH, columns=columns)
    return move


async def settle_judged(
    rt: Runtime, ce: str, decisions: Mapping[Attempt, Decision], verdicts: Verdicts, actor: str = "poll"
) -> Counts:
    """Settle, then count the rules that were applied to what was written, and tell whom they concern."""
    if not decisions:
        return Counts()
    written = await settled_attempts(rt, decisions, actor)
    ids = {attempt.id for attempt in written}
    moved = {a: d for a, d in decisions.items() if a.id in ids}
    counts = Counts(d.to.value for d in moved.values() if isinstance(d, Move))
    if stale := len(decisions) - len(moved):
        counts["stale"] += stale
    await tell(rt, ce, {a: verdicts[a] for a in moved if a in verdicts and verdicts[a].rule})
    return counts


async def by_rules(
    rt: Runtime, ce: str, kind: str, sent: Mapping[SubmissionKey, Attempt], answers: Mapping[SubmissionKey, Outcome]
) -> Mapping[SubmissionKey, Outcome]:
    """The answers to a submission, refusals as the rules see them: for good, or asked again later."""
    found: dict[SubmissionKey, Outcome] = dict(answers)
    verdicts: dict[Attempt, Verdict] = {}
    for key, answer in answers.items():
        if isinstance(answer, Refused) and key in sent:
            found[key], rule = refused(answer, book(rt), kind, sent[key])
            if rule:
                verdicts[sent[key]] = Verdict(rule, rest=rule.action == "rest", text=answer.why)
    await tell(rt, ce, verdicts)
    return found


async def tell(rt: Runtime, ce: str, verdicts: Verdicts) -> None:
    """Count hits; let the CE rest where several jobs say so; name in the ledger what the operator has to decide."""
    by_rule: dict[str, list[Attempt]] = {}
    resting: dict[str, ErrorRule] = {}
    for attempt, verdict in verdicts.items():
        if verdict.rule:
            by_rule.setdefault(verdict.rule.name, []).append(attempt)
            resting |= {verdict.rule.name: verdict.rule} if verdict.rest else {}
    if not by_rule:
        return
    policy, now = rt.settings.arc.errors, rt.now()
    hits = [
        Hit(name, ce, len(jobs), max(a.id for a in jobs), _others(rt, ce, name, jobs) if name in resting else None)
        for name, jobs in by_rule.items()
    ]
    within = await rt.write(rules.count, hits, now, policy.restwithin)
    for name, rule in resting.items():
        if (n := within[name, ce]) >= policy.restafter:
            await _rest(rt, ce, rule, n)
    if held := {attempt: verdict for attempt, verdict in verdicts.items() if verdict.tell}:
        await rt.note(_held_lines(ce, held))
        if (known := rt.memory(ce).held_shares) is not None:
            known |= {attempt.share for attempt in held}


def _others(rt: Runtime, ce: str, rule: str, jobs: Sequence[Attempt]) -> int:
    """How many of these jobs have not said so lately: one job that is refused again and again is one witness."""
    memory, now, window = rt.memory(ce), rt.now(), rt.settings.arc.errors.restwithin
    memory.struck = {job: at for job, at in memory.struck.items() if now - at < window}
    new = {(rule, attempt.app, attempt.app_job_id) for attempt in jobs} - memory.struck.keys()
    memory.struck |= dict.fromkeys(new, now)
    return len(new)


async def _rest(rt: Runtime, ce: str, rule: ErrorRule, n: int) -> None:
    policy, now = rt.settings.arc.errors, rt.now()
    until = now + policy.restfor
    why = f"rule {rule.name}: {n} jobs within {span(policy.restwithin)}: {rule.why or rule.pattern}"
    if await rt.write(rules.rest, ce, why, until, now):
        logger.warning("ce=%s rests until %s: %s", ce, f"{until:%H:%M:%S}", why)


def _held_lines(ce: str, held: Verdicts) -> list[Line]:
    """One line a share."""
    shares = Counter(attempt.share for attempt in held)
    lines = {}
    for attempt, verdict in held.items():
        assert verdict.rule is not None
        facts = {
            "ce": ce,
            "share": attempt.share or "no share",
            "rule": verdict.rule.name,
            "error": verdict.text[:SAID],
            "why": verdict.rule.why or "its CE says why",
        }
        lines[attempt.share] = Line(
            Topic.ERRORS, Reason.RULE_HOLDS, ce, attempt.share, n=shares[attempt.share], facts=facts
        )
    return list(lines.values())


async def no_longer_held(rt: Runtime, ce: str) -> None:
    """End the ledger's lines of shares of which no job is held by a rule any more; asks only while there are any."""
    memory = rt.memory(ce)
    if memory.held_shares is None:
        standing = await rt.read(ledger.standing, ces=[ce])
        memory.held_shares = {row.share for row in standing if row.code == Reason.RULE_HOLDS.value}
    if not memory.held_shares:
        return
    if gone := memory.held_shares - await rt.read(rules.held_shares, ce, rt.now()):
        await rt.note([Line(Topic.ERRORS, None, ce, share) for share in sorted(gone)])
        memory.held_shares -= gone

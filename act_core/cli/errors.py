"""`act errors`: the error rules that hold, and what they were applied to."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from act_core.cli.context import database, now, settings
from act_core.cli.out import out, print_json, table
from act_core.db import rules as counters
from act_core.db.policy_models import RuleHit
from act_core.engine.rules import ErrorRule, rulebook
from act_core.monitor.times import at, brief


def described(book: Sequence[ErrorRule], hits: Sequence[RuleHit], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """Each rule in the order in which they are tried, with its hits; then those that hold no more and have some."""
    by_rule: dict[str, list[RuleHit]] = {}
    for hit in hits:
        by_rule.setdefault(hit.rule, []).append(hit)
    known = [_counted(_says(rule), by_rule.pop(rule.name, []), names) for rule in book]
    return known + [_counted({"rule": name, "action": None}, of, names) for name, of in sorted(by_rule.items())]


def _says(rule: ErrorRule) -> dict[str, Any]:
    says = {"rule": rule.name, "action": rule.action, "pattern": rule.pattern, "kinds": rule.kinds}
    return says | {"why": rule.why, "source": rule.source}


def _counted(says: dict[str, Any], hits: Sequence[RuleHit], names: Mapping[int, str]) -> dict[str, Any]:
    newest = max(hits, key=lambda hit: hit.last_at, default=None)
    return says | {
        "hits": sum(hit.n for hit in hits),
        "last_at": at(newest.last_at) if newest else None,
        "last_job": names.get(newest.last_job) if newest else None,
        "ces": {hit.ce: hit.n for hit in sorted(hits, key=lambda hit: (-hit.n, hit.ce))},
    }


def errors(
    every: Annotated[bool, typer.Option("--all", help="also the rules that were never applied")] = False,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """What error rules did: rule, action, hits, the last job, the CEs."""
    held = settings()
    with database(held) as db:
        hits = db.read(counters.hits)
        names = db.read(counters.app_job_ids, {hit.last_job for hit in hits})
    rows = described(rulebook(held.arc.errors), hits, names)
    shown = [row for row in rows if every or row["hits"]]
    if json:
        print_json(shown)
        return
    if not shown:
        out.print("no rule was applied yet; --all lists them")
        return
    lines = [
        (
            row["rule"],
            row["action"] or "holds no more",
            str(row["hits"] or ""),
            brief(row["last_at"], now()) if row["last_at"] else "",
            row["last_job"] or "",
            ", ".join(f"{ce} {n}" for ce, n in list(row["ces"].items())[:5]),
            row.get("why", ""),
        )
        for row in shown
    ]
    table(("rule", "action", "hits", "last", "job", "CEs", "why"), lines)

"""`act errors`: which rules hold, and what they were applied to."""

from contextlib import closing
from datetime import timedelta

from act_core.db import rules
from act_core.db.arrivals import NewJob, add_jobs
from act_core.db.bootstrap import tower_id
from act_core.db.rules import Hit
from act_core.db.session import Database
from act_core.engine.rules import rulebook
from act_core.jobspec import JobSpec
from act_core.settings import load_settings
from act_core.settings.policy import Errors
from tests.cli.conftest import Act

WINDOW = timedelta(minutes=10)


def hit(*hits: Hit) -> None:
    with closing(Database(load_settings().settings)) as db:
        jobs = [NewJob("manual", "night", JobSpec(executable="x"), frozenset({"here"}), 3)]
        db.write(add_jobs, db.read(tower_id), jobs, db.clock())
        db.write(rules.count, hits, db.clock(), WINDOW)


def test_before_anything_went_wrong(act: Act) -> None:
    said = act("errors")
    assert (said.code, said.out) == (0, "no rule was applied yet; --all lists them\n")
    assert act("errors", "--json").json == []


def test_every_rule_in_its_order(act: Act) -> None:
    said = act("errors", "--all", "--json").json
    assert [row["rule"] for row in said] == [rule.name for rule in rulebook(Errors())]
    assert said[0].keys() >= {"rule", "action", "pattern", "kinds", "why", "source", "hits", "last_job", "ces"}


def test_what_rules_were_applied_to(act: Act) -> None:
    hit(Hit("arc-lost", "here", 2, 1), Hit("arc-lost", "there", 5, 77), Hit("gone", "here", 1, 1))
    lost, gone = act("errors", "--json").json
    assert (lost["rule"], lost["action"], lost["hits"], lost["ces"]) == (
        "arc-lost",
        "resubmit",
        7,
        {"there": 5, "here": 2},
    )
    assert (gone["rule"], gone["action"], gone["last_job"]) == ("gone", None, "night")
    lines = act("errors").lines
    assert lines[0] == "rule action hits last job CEs why"
    assert lines[1].startswith("arc-lost resubmit 7 ")
    assert lines[1].endswith("there 5, here 2 the batch system lost it")
    assert lines[2].startswith("gone holds no more 1 ")

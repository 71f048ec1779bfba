"""What operators want of the tower, of shares and of PanDA queues, and who ends a mode of a CE: in sentences."""

from collections.abc import Collection, Sequence
from datetime import datetime

from act_core.db.models import Ce
from act_core.db.operator_modes import TOPICS, Kind, Word, Words
from act_core.monitor.explain import Answer, Draft, Part
from act_core.monitor.sentences import told


def concerning(words: Words, shares: Collection[str]) -> list[Word]:
    """Those that hold waiting jobs of these shares back, wherever they could go."""
    tower = [words.tower] if words.tower else []
    return tower + [one for name, one in words.shares.items() if name in shares]


def part_of(word: Word, now: datetime) -> Part:
    """Of a share, other jobs are sent all the same."""
    tell = told(TOPICS[word.kind][1], word.facts, now)
    return Part(tell.why, tell.next, tell.do, word.since, partly=word.kind is Kind.SHARE)


def explain_name(name: str, kinds: Sequence[Kind], words: Sequence[Word], now: datetime) -> Answer:
    """Of a share or a PanDA queue that is known by this name, perhaps both."""
    draft = Draft()
    draft.add(part_of(one, now) for one in words)
    for kind in kinds:
        if not any(one.kind is kind for one in words):
            draft.say(why=f"No operator's mode holds for the {_WHAT[kind]}.")
        draft.say(do=f"`act {kind}s show {name}` tells its jobs, and where they are.")
    what = " and ".join(_WHAT[kind] for kind in kinds)
    return draft.answer(f"{what} {name}", min((one.since for one in words), default=None))


def who_of(row: Ce) -> str:
    """Who set the mode of a CE."""
    return "CRIC" if row.mode_owner == "cric" else "the configuration" if row.mode_owner == "config" else "somebody"


def mode_do(row: Ce) -> str:
    """What ends it."""
    if row.mode_owner == "config":
        return f"Set sites.{row.name}.status to online (or name it again) in aCTConfigARC.yaml, then `act bootstrap`."
    return f"`act ces on {row.name}` lets it take jobs again."


_WHAT = {Kind.SHARE: "share", Kind.QUEUE: "PanDA queue", Kind.TOWER: "tower"}

"""What a person should look at, red things first. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from act_core.db import brakes as brake_rows
from act_core.db.models import Ce
from act_core.db.modes import CARED_FOR
from act_core.db.policy_models import BrakeRow, Standing
from act_core.monitor.sentences import told
from act_core.monitor.times import moment
from act_core.monitor.views import lines
from act_core.monitor.views.figures import Counted, CredentialNow
from act_core.monitor.views.health import TowerNow
from act_core.reasons import Topic

RED, AMBER = "red", "amber"
# Topics whose standing reasons are alarms, and how loud; the rest is told from other tables, or by CE.
_TOPICS = {
    Topic.RECOVERY: RED,
    Topic.PANDA: RED,
    Topic.UNSEEN: RED,
    Topic.IDENTITY: RED,
    Topic.MOVED: RED,
    Topic.APP: RED,
    Topic.CREDENTIAL: RED,
    Topic.BLACKHOLE: AMBER,
    Topic.ORPHANS: AMBER,
    Topic.ERRORS: AMBER,
}
ALARMING = tuple(_TOPICS)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should look at. `level`: red or amber; `subject`: what, `kind`: ce, queue, tower, …"""

    level: str
    kind: str
    subject: str
    why: str
    do: str
    since: datetime | None


def alarms(
    tower: TowerNow, counted: Counted, ces: Iterable[Ce], standing: Iterable[Standing], brakes: Iterable[BrakeRow],
    credentials: Iterable[CredentialNow], now: datetime,
) -> tuple[Alarm, ...]:  # fmt: skip
    found = [*_tower(tower, counted, now), *(_brake(one, now) for one in brakes)]
    found += [alarm for one in credentials for alarm in _credential(one, now)]
    found += [_standing(one, now) for one in standing if one.topic in _TOPICS]
    found += [alarm for row in ces for alarm in _ce(row, now)]
    return in_order(found)


def in_order(found: Sequence[Alarm]) -> tuple[Alarm, ...]:
    """Red ones first; of one colour as they were found."""
    return tuple(sorted(found, key=lambda one: one.level != RED))


def _tower(tower: TowerNow, counted: Counted, now: datetime) -> Iterator[Alarm]:
    if not tower.up:
        why = "The tower gives no sign of life"
        why += f" since {moment(tower.last_sign, now)}." if tower.last_sign else ": nothing was ever done."
        yield Alarm(
            RED, "tower", tower.tower_id, why, "`act up` brings it up; `act status` tells more.", tower.last_sign
        )
    elif counted.old and counted.at is not None:
        why = f"The figures are of {moment(counted.at, now)}: nobody counts."
        yield Alarm(AMBER, "tower", tower.tower_id, why, "See whether its stages run: `act status`.", counted.at)
    if tower.observing:
        why = "The tower only observes: nothing is taken, sent, killed, reported or cleaned."
        yield Alarm(AMBER, "tower", tower.tower_id, why, "Take tower.observe out of aCTConfigARC.yaml.", None)
    if tower.mode:
        by = f"by {tower.mode.owner or 'somebody'}{f' ({tower.mode.reason})' if tower.mode.reason else ''}"
        yield Alarm(
            AMBER, "tower", tower.tower_id, f"The tower's mode is {tower.mode.mode}, {by}.", "", tower.mode.since
        )


def _brake(one: BrakeRow, now: datetime) -> Alarm:
    tell = told(f"brake-{one.kind}", brake_rows.line(one).facts, now)
    return Alarm(RED, "brake", one.scope, f"Brake {one.id} is on: {tell.why}", tell.do, one.since)


def _credential(one: CredentialNow, now: datetime) -> Iterator[Alarm]:
    if one.state == "good":
        return
    whose, end = one.subject or "nobody known", moment(one.expires, now)
    why = f"The {one.kind} of {whose} in {one.path} {'ended' if one.state == 'expired' else 'ends'} at {end}"
    why += f"; its renewal: {one.trouble}" if one.trouble else "."
    level = AMBER if one.state == "ending" else RED
    yield Alarm(level, "credential", one.path, why, "Renew it: `act credentials` tells who does.", None)


def _standing(one: Standing, now: datetime) -> Alarm:
    tell = lines.told_line(one, now)
    of_tower = "tower" if one.topic == Topic.RECOVERY else "share"
    kind = "ce" if one.ce else "panda" if one.topic == Topic.PANDA else of_tower
    return Alarm(_TOPICS[Topic(one.topic)], kind, one.ce or one.share, tell.why, tell.do, one.since)


def _ce(row: Ce, now: datetime) -> Iterator[Alarm]:
    if row.failures and row.mode in CARED_FOR and row.retry_at is not None:
        rests = f", and is asked again at {moment(row.retry_at, now)}" if row.retry_at > now else ""
        whose = "We could not ask" if row.own_trouble else "Errors in a row at"
        why = f"{whose} {row.name}: {row.failures} times{rests}: {row.trouble or 'no words'}"
        yield Alarm(RED, "ce", row.name, why, f"`act ces test {row.name}` tells where it hurts.", row.last_seen)
    if row.mode not in CARED_FOR:
        why = f"{row.name} is {row.mode}, by {row.mode_owner or 'somebody'}: nobody asks it about its jobs."
        yield Alarm(AMBER, "ce", row.name, why, f"`act ces on {row.name}` ends it.", row.mode_since)

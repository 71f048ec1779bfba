"""Why something waits, rests or was given up: each reason's code, and what is said of it in sentences.

The sentences are templates over a line's facts (`{name}`) and its `n`; `act explain` fills them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Topic(StrEnum):
    """What a reason is about; of each topic one holds at a time for a CE, share or job."""

    SUBMIT = "submit"  # why waiting jobs are not sent
    INPUTS = "inputs"
    BREAKER = "breaker"
    BRAKE = "brake"
    MODE = "mode"
    ERRORS = "errors"  # what an error rule did
    LIMIT = "limit"  # time limits by state
    CREDENTIAL = "credential"
    BLACKHOLE = "blackhole"
    ORPHANS = "orphans"
    UNSEEN = "unseen"
    IDENTITY = "identity"  # answers that are not believed, since another identity asked
    CLEAN = "clean"
    PANDA = "panda"  # whether PanDA is there, and what it thinks of us; the share is the server
    OUTPUTS = "outputs"  # of dead attempts, on storage


class Reason(StrEnum):
    """The codes of the ledger."""

    FULL = "full"
    QUEUE_FULL = "queue-full"
    SHARE_FULL = "share-full"
    STALLED = "stalled"
    CAPACITY = "capacity"
    RATE = "rate"
    NO_SUBMISSION = "no-submission"
    DOWNTIME_AHEAD = "downtime-ahead"
    PROXY_SHORT = "proxy-short"
    MODE_REST = "mode-rest"
    MODE_STOP = "mode-stop"
    MODE_DRAIN = "mode-drain"
    MODE_OFFLINE = "mode-offline"
    MODE_ABANDONED = "mode-abandoned"
    RULE_HOLDS = "rule-holds"
    BLACK_HOLE = "black-hole"
    BRAKE_LOSE = "brake-lose"
    BRAKE_VOID = "brake-void"
    BRAKE_KILL = "brake-kill"
    BRAKE_ABANDON = "brake-abandon"
    BRAKE_ORPHANS = "brake-orphans"
    OTHER_IDENTITY = "other-identity"
    ORPHANS_KNOWN = "orphans-known"
    ORPHANS_UNKNOWN = "orphans-unknown"
    COPY_ENDS = "copy-ends"
    CREDENTIAL_ENDS = "credential-ends"
    SILENT = "silent"
    GIVEN_UP = "given-up"
    PANDA_NO_ROLE = "panda-no-role"
    PANDA_REFUSES = "panda-refuses"
    PANDA_AWAY = "panda-away"
    OUTPUT_DELETED = "output-deleted"
    OUTPUT_WOULD_GO = "output-would-be-deleted"
    OUTPUT_KEPT = "output-kept"


@dataclass(frozen=True, slots=True)
class Tell:
    """Three sentences."""

    why: str
    next: str
    do: str


TELLS: Mapping[Reason, Tell] = {
    Reason.FULL: Tell(
        "{ce} has {on_ce} of at most {maxjobs} jobs.",
        "Jobs are sent as soon as others there have ended.",
        "Raise sites.{ce}.maxjobs if the site takes more, then `act bootstrap`.",
    ),
    Reason.QUEUE_FULL: Tell(
        "{ce} has {queued} {unit} queued, and {allowed} may be ({running} running, a={a:g}, b={b:g}).",
        "Jobs are sent as others start there; one of higher priority than all that is queued goes at once.",
        "Raise jobs.queueoffset, or sites.{ce}.queueoffset, if the site runs dry; a tower that is up takes it over at "
        "its next `act up`.",
    ),
    Reason.SHARE_FULL: Tell(
        "{share} has {queued} {unit} queued at {ce}, and its part is {allowed} ({running} running, a={a:g}, "
        "{b:g} of b).",
        "Its jobs are sent as others of it start there; the rest of b belongs to other shares that wait.",
        "Give it a greater weight under fill.shares, or raise jobs.queueoffset.",
    ),
    Reason.STALLED: Tell(
        "No job has started at {ce} since {since} UTC, with {queued} {unit} queued: b is {b:g} and not {b_set:g}.",
        "With the next start b is whole again.",
        "Look whether the site is well (`act ticket {ce}`); fill.stalled sets the patience.",
    ),
    Reason.CAPACITY: Tell(
        "{ce} says that it has {slots} slots, so that b is {b:g} and not {b_set:g}; {queued} {unit} are queued.",
        "Jobs are sent as others start there; what the CE said counts as unknown when it is older than "
        "fill.capacityage.",
        "If the CE is wrong about itself, ask the site to mend its information system.",
    ),
    Reason.RATE: Tell(
        "{ce} was sent {sent} jobs within {seconds:g} s, and may get {most} (fill.rate).",
        "The next ones go when the first of these are older than that.",
        "Raise fill.rate if the CE takes more.",
    ),
    Reason.NO_SUBMISSION: Tell(
        "Nothing is submitted anywhere: downtime.stopsubmission is true.",
        "Jobs wait; what runs is cared for.",
        "Set downtime.stopsubmission to false and restart the tower.",
    ),
    Reason.DOWNTIME_AHEAD: Tell(
        "{ce} has a downtime from {start} UTC ({reason}), and these jobs would not end before it.",
        "Only jobs that end before it are sent; the others go after {end} UTC, or to another CE.",
        "Jobs without a wall time never fit: give them one, or set downtime.fit to false.",
    ),
    Reason.PROXY_SHORT: Tell(
        "The proxy that jobs at {ce} would get ends at {until} UTC, before queue limit, wall time and margin are over.",
        "They go as soon as the proxy has been renewed.",
        "Renew it (`act credentials` tells who does), or lower jobs.queuetime or voms.margin.",
    ),
    Reason.MODE_REST: Tell(
        "{ce} rests, by {owner}: {reason}.",
        "Nothing new is sent there; its jobs are cared for. Until: {until}.",
        "`act ces on {ce}` ends it.",
    ),
    Reason.MODE_STOP: Tell(
        "{ce} gets no jobs, by {owner}: {reason}.",
        "Its jobs are cared for. Until: {until}.",
        "`act ces on {ce}` ends it.",
    ),
    Reason.MODE_DRAIN: Tell(
        "{ce} is being emptied, by {owner}: {reason}.",
        "Nothing new is sent there; its jobs run to their end. Until: {until}.",
        "`act ces on {ce}` ends it.",
    ),
    Reason.MODE_OFFLINE: Tell(
        "{ce} is offline, by {owner}: {reason}.",
        "Nobody asks it anything, so that its jobs stay as they are in the tables. Until: {until}.",
        "`act ces on {ce}` ends it.",
    ),
    Reason.MODE_ABANDONED: Tell(
        "{ce} was given up, by {owner}: {reason}.",
        "Its attempts are reported as failed; jobs of ours that are found when it returns are killed.",
        "`act ces on {ce}` takes it back into service.",
    ),
    Reason.RULE_HOLDS: Tell(
        "The error rule {rule} leaves {n} jobs of {share} at {ce} as they are: {error}.",
        "Nothing happens by itself until jobs.maxtimehold (HTCondor: jobs.maxtimeheld) is over; then they are ended.",
        "The rule says: {why}. `act jobs rerun {job}` releases or restarts one, `act jobs fetch {job}` gives a "
        "failed one up, `act jobs cancel {job}` kills a held one; `act errors` tells the rules.",
    ),
    Reason.BLACK_HOLE: Tell(
        "{ce} ends jobs of {share} {times:g} times faster than other CEs and {percent} % of them badly "
        "({jobs} jobs, {wall} s against {wall_elsewhere} s).",
        "{next}",
        "Look at the failed jobs' nodes and errors; `act ces rest {ce}` stops it, `act ticket {ce}` tells the site.",
    ),
    Reason.BRAKE_LOSE: Tell(
        "{source} does not know {n} of {living} living jobs of {whom} any more; at most {limit} may go on one word.",
        "They stay as they are, and everything else goes on. The brake ends by itself when they are known again, or "
        "when two of the CE's lists, which still name older jobs of ours, do not name these.",
        "Ask the site whether it lost them, or maps the identity to another account. If they are gone: "
        "`act brake release {id}`.",
    ),
    Reason.BRAKE_VOID: Tell(
        "By the lists of {source}, {n} submissions to {whom} never arrived; at most {limit} are believed at once.",
        "They wait. With two-phase submission they are sent anew when the CE's patience with their input is over, "
        "since they cannot run any more; without it, when two lists confirm it.",
        "Ask the site whether it maps the identity to another account; `act brake release {id}` sends them anew.",
    ),
    Reason.BRAKE_KILL: Tell(
        "{source} would end {n} of {living} living jobs of {whom}, and at most {limit} may go on one word.",
        "None is killed, and everything else goes on. The brake ends when it is not said any more.",
        "Ask who killed them; PanDA, why it does not know them. If it is meant: `act brake release {id}`.",
    ),
    Reason.BRAKE_ABANDON: Tell(
        "{source} would give up {n} of {living} living jobs of {whom}, and at most {limit} may go on one word.",
        "They stay as they are.",
        "`act brake release {id}` lets it happen.",
    ),
    Reason.BRAKE_ORPHANS: Tell(
        "{source} has {n} jobs whose attempts are over here, and at most {limit} are killed at once.",
        "They are left alone, and everything else goes on.",
        "Look at them (`act orphans`); was the database restored? `act brake release {id}` lets them be killed.",
    ),
    Reason.OTHER_IDENTITY: Tell(
        "{n} jobs at {ce} were submitted by {others}, and not by the one in use ({now}).",
        "That {ce} does not know them is not believed; nothing of them is lost or cleaned meanwhile.",
        "Give {ce} the former credential until these jobs are over. If it will not come back: "
        "`act ces abandon {ce} --identity {id}` gives up these jobs alone.",
    ),
    Reason.COPY_ENDS: Tell(
        "{n} jobs at {ce} may outlive the proxy on their worker nodes; the first ends at {until}.",
        "No renewal reaches that copy; the outputs that the CE sends itself go on with the renewed delegation.",
        "Lower jobs.queuetime or the jobs' wall times, or let proxies live longer (voms.proxylifetime).",
    ),
    Reason.CREDENTIAL_ENDS: Tell(
        "{n} jobs at {ce} may outlive the {ends} that {subject} gave them, which ends at {until} ({trouble}).",
        "After that {ce} cannot send their outputs, and does not know the tower any more.",
        "Renew {path}, or let the tower do it (docs/credentials.md); `act credentials forecast` lists the jobs.",
    ),
    Reason.ORPHANS_KNOWN: Tell(
        "{n} jobs on {ce} belong to attempts that are over here.",
        "They are killed when they have been seen twice, reconcile.sightings apart.",
        "`act orphans` lists them.",
    ),
    Reason.ORPHANS_UNKNOWN: Tell(
        "{n} jobs on {ce} carry this tower's name and a key that is in no table.",
        "They are left alone (reconcile.orphans: {policy}), and taken back if their rows return.",
        "Was the database restored? Bring the newer one back, or set reconcile.orphans to kill.",
    ),
    Reason.SILENT: Tell(
        "{ce} has not answered since {seen}; {n} jobs of ours are there. {vouched}",
        "After {giveup} of such time they are reported as failed; what is found when it returns is killed.",
        "Ask the site (`act ticket {ce}`); `act ces abandon {ce}` gives them up now.",
    ),
    Reason.GIVEN_UP: Tell(
        "{ce} did not answer for {giveup}: {n} jobs there were given up.",
        "They are reported as failed. If the CE returns, what is found of them is killed.",
        "Nothing; `act orphans` lists what has come back.",
    ),
    Reason.PANDA_NO_ROLE: Tell(
        "{share} gives {dn} no production role, and so takes no reports of it; it has {roles}.",
        "No jobs are taken from there; it is asked again every two minutes.",
        "Give the tower a proxy with the production role (panda.role, panda.proxy) or a token with panda.origin "
        "atlas.production; `act credentials` shows what it has. If it has the role: ask PanDA's people for it.",
    ),
    Reason.PANDA_REFUSES: Tell(
        "{share} refuses us: {words}.",
        "Reports wait and are sent again; it is asked again every two minutes.",
        "Renew the proxy or the token (`act credentials`), and see that it is the one PanDA knows.",
    ),
    Reason.PANDA_AWAY: Tell(
        "{share} does not answer as PanDA does: {words}.",
        "Reports wait and are sent again; it is asked again every two minutes.",
        "Look whether panda.server is right, and whether PanDA has trouble.",
    ),
    Reason.OUTPUT_DELETED: Tell(
        "{file} of a dead attempt was deleted, before the next one was sent: {url}.",
        "The next attempt writes it anew.",
        "Nothing: set validation.delete to dry-run or off if you do not want that.",
    ),
    Reason.OUTPUT_WOULD_GO: Tell(
        "{file} of a dead attempt is in the way of the next one, and would be deleted: {url}.",
        "The next attempt is sent, and its upload may fail over it.",
        "Set validation.delete to on, and such files are deleted; or delete it yourself.",
    ),
    Reason.OUTPUT_KEPT: Tell(
        "{file} of a dead attempt was not deleted ({words}): {url}.",
        "The next attempt is sent, and its upload may fail over what is there.",
        "If that happens: look what lies there, and whose it is.",
    ),
}

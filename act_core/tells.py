"""What is said of each reason, in sentences: why, what happens next, what an operator can do.

Templates over a line's facts (`{name}`) and its `n`; `act explain` fills them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from act_core.reasons import Reason


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
        "Raise sites.{ce}.maxjobs if the site takes more.",
    ),
    Reason.QUEUE_FULL: Tell(
        "{ce} has {queued} {unit} queued, and {allowed} may be ({running} running, a={a:g}, b={b:g}).",
        "Jobs are sent as others start there; one of higher priority than all that is queued goes at once.",
        "Raise jobs.queueoffset, or sites.{ce}.queueoffset, if the site runs dry.",
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
        "Set downtime.stopsubmission to false.",
    ),
    Reason.TOWER_DRAIN: Tell(
        "The tower is being drained, by {owner}: {reason}.",
        "Nothing is taken from PanDA, and what has never been sent waits; all else goes on, new attempts too. Until: "
        "{until}.",
        "`act drain --end` ends it; `act status` says how many jobs are left.",
    ),
    Reason.SHARE_MODE: Tell(
        "Share {share} is in mode {mode}, by {owner}: {reason}.",
        "None of its jobs is sent anywhere; what a CE has is cared for. Until: {until}.",
        "`act shares on {share}` ends it.",
    ),
    Reason.QUEUE_MODE: Tell(
        "PanDA queue {queue} is in mode {mode}, by {owner}: {reason}.",
        "No jobs of it are taken from PanDA. Until: {until}.",
        "`act queues on {queue}` ends it.",
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
    Reason.BREAKER_OPEN: Tell(
        "{ce} was not asked for a while after {failures} errors in a row: {trouble}",
        "It is tried gently, one call at a time, after rests that double; one good answer ends it.",
        "`act ces test {ce}` tells where it hurts; `act ticket {ce}` writes to the site.",
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
    Reason.OTHER_ENDPOINT: Tell(
        "{n} jobs at {ce} were sent to {was}, before its endpoint was changed at {since} UTC.",
        "That the place which is asked now does not know them is not believed; nothing of them is lost or cleaned.",
        "Give {ce} its former endpoint until these jobs are over, and the new one a name of its own. If the former one "
        "will not come back: `act ces abandon {ce} --moved` gives up these jobs alone.",
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
        "Was the database lost or restored? `act recover` takes back those with a mark (docs/recovery.md).",
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
    Reason.CONFIG_REFUSED: Tell(
        "The configuration was changed, and {share} refuses it ({problems}).",
        "The one of {taken} holds. The files are looked at every two seconds.",
        "Mend it; `act config check` tells every problem, and whether the tower has taken it over.",
    ),
    Reason.CONFIG_RESTART: Tell(
        "A tower that is up cannot take over what was changed in {keys} (on {share}).",
        "All else that was changed is in force; these wait for the next start.",
        "`act down` and `act up`, when it suits you: jobs on the CEs go on.",
    ),
    Reason.APP_GONE: Tell(
        "{n} jobs that are not over are of {share}, which the configuration does not name any more.",
        "Their CEs are asked all the same, but nobody hears what becomes of them: PanDA gets no heartbeats and no "
        "final reports of its jobs, and gives them up.",
        "Name it again (modules.app, instances) until they are over, or end them: `act jobs cancel --app {share}`.",
    ),
    Reason.RECOVERING: Tell(
        "The tower finds its jobs again ({why}): {read} of {ces} CEs are read, {rebuilt} attempts are rebuilt. "
        "Unread: {unread}.",
        "No new jobs are taken, and none are sent to a CE that is not read. When all of them are, it opens by itself.",
        "`act recover` tells how far it is. A CE that stays away: `act recover --without CE` (docs/recovery.md).",
    ),
    Reason.DISK_JOBS: Tell(
        "{path} on {host} has {free} free ({percent} %), and the limit for new jobs is {limit} (disk.fetchjobs). "
        "{forecast}",
        "No jobs are taken from PanDA. Those that are there go on: they are sent, fetched, checked and reported.",
        "Make room on that file system: `act doctor` names what lies there.",
    ),
    Reason.DISK_DOWNLOADS: Tell(
        "{path} on {host} has {free} free ({percent} %), and the limit for downloads is {limit} (disk.downloads). "
        "{forecast}",
        "Outputs stay on the CEs and no new jobs are taken; checks on storage and reports to PanDA go on.",
        "Make room on that file system at once: `act doctor` names what lies there.",
    ),
}

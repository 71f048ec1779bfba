"""Keys of the original's files that mean nothing any more, or not yet, and why (reference: act.md 16)."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

LDMX = "it belonged to the LDMX application"
ROWS = (
    ("arc", "sites.*.submitters", "one task serves a CE; its batches are as large as the CE takes them"),
    ("arc", "sites.*.rse", LDMX),
    ("arc", "sites.*.noupload", LDMX),
    ("arc", "periodicrestart", "nothing leaks, so nothing is restarted by the clock"),
    ("arc", "actlocation", "there are no process scripts and pid files; `act up` and `act down` manage the tower"),
    ("arc", "logger.arclevel", "the ARC library is not used"),
    ("arc", "logger.size", "logs are rotated by the day"),
    ("arc", "downtime.srmdown", "a storage that does not answer is asked again later by itself"),
    ("arc", "monitor.rucioprometheusport", LDMX),
    ("arc", "rest", "how much is transferred at a time is each back end's own matter"),
    ("app", "disabledProcs", "there are no processes by daemon and CE; `act ces` says what a CE gets"),
    ("app", "db", "the database is named in aCTConfigARC.yaml; the original never read it here"),
    ("app", "executable.ptarurl*", "only pilot 3 is sent: executable.p3tarurl"),
    ("app", "executable.wrapper", LDMX),
    ("app", "executable.ruciohelper", LDMX),
    ("app", "executable.simprodrte", LDMX),
    ("app", "monitor", "APFMon is not served"),
    ("app", "joblog.keepsuccessful", LDMX),
    ("app", "cric.every", "CRIC is read every ten minutes"),
    ("app", "cric.objectstores", "object stores are not used"),
    ("app", "cric.osfilename", "object stores are not used"),
    ("app", "panda.sites.*.flavour", "a CE's kind is said where it is configured: sites.<name>.kind"),
    ("app", "user", "the client REST service is not in this version"),
    ("app", "jobs", LDMX),
)

MODULES = {
    "act.arc": "the engine for ARC is always there",
    "act.condor": "the engine for HTCondor is always there",
    "act.client": "jobs by hand are the application `manual`, which serves no network",
    "act.ldmx": LDMX,
}
PACKAGE = "act."


def modules_today(named: Sequence[str]) -> tuple[list[str], list[str]]:
    """The applications that the original's module names mean, and a reason for each name that means none."""
    found, reasons = [], []
    for name in named:
        if reason := MODULES.get(name.lower()):
            reasons.append(f"{name} has no effect: {reason}")
        else:
            found.append(name[len(PACKAGE) :] if name.lower().startswith(PACKAGE) else name)
    return found, reasons


def legacy_reason(kind: str, keys: Sequence[str]) -> str | None:
    """Why this key of the original is accepted and ignored (`kind`: its file, arc or app); None: it is none."""
    for of, pattern, reason in ROWS:
        parts = pattern.split(".")
        if of == kind and len(parts) == len(keys) and all(map(fnmatchcase, keys, parts)):
            return reason
    return None

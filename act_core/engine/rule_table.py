"""The shipped error rules, as data: what CEs say, what is done about it, why, and who says so.

The first match counts, so that what is special stands above what is general.
"""

from dataclasses import dataclass

from act_core.settings.policy import Action

ARC, CONDOR, EVERY = "arc-*", "htcondor", "*"
LIST = "the original's list of errors that are worth another attempt (act.md 3)"
SEEN = "seen on real A-REX 6.17 and 7 (arc-rest.md)"
MANUAL = "HTCondor's HoldReasonCode table, seen with 23.9 (htcondor.md)"
SOURCE = "A-REX's own refusals (nordugrid/arc, services/a-rex/job.cpp)"


@dataclass(frozen=True, slots=True)
class Shipped:
    """One row. `pattern` is a text, or with `regex` a regular expression; case does not count."""

    name: str
    pattern: str
    action: Action
    why: str
    source: str
    kinds: str = ARC
    regex: bool = False


def _arc(name: str, pattern: str, why: str) -> Shipped:
    return Shipped(f"arc-{name}", pattern, "resubmit", why, LIST)


def _held(codes: str, name: str, action: Action, why: str) -> Shipped:
    return Shipped(f"hold-{name}", rf"^hold ({codes})\b", action, why, MANUAL, CONDOR, regex=True)


# What `errors.toresubmit.arcerrors` replaces.
ARC_ERRORS: tuple[Shipped, ...] = (
    _arc("lost", "Job was lost", "the batch system lost it"),
    _arc("submission", "Job submission to LRMS failed", "it never reached the batch system"),
    _arc("no-lrms-id", "Failed extracting LRMS ID", "the batch system's answer could not be read"),
    _arc("sge-gone", "Job disappeared from SGE", "the batch system lost it"),
    _arc("cancelled", "Job was cancelled", "the site removed it from its batch system"),
    _arc("uploader", "Internal error in uploader", "the CE's own stage-out broke"),
    _arc("nonzero", "Job finished with non-zero exit code", "often the node's fault"),
    _arc("lrms-127", "LRMS error: (127) Job failed", "a command is missing on the node"),
    _arc("slurm-gone", "Job missing from SLURM", "the batch system lost it"),
    _arc("rte", "Submission: runtime script", "a runtime environment's script failed on the CE"),
    _arc("lrms-minus-4", "LRMS error: (-4)", "the batch system's own error"),
    _arc("exit-1", "Job failed with exit code 1", "often the node's fault"),
    _arc("pbs-killed", "Job was killed by PBS", "the batch system killed it"),
    _arc("client", "Local submission client failed", "the CE could not talk to its batch system"),
    _arc("lrms-255", "LRMS error: (255)", "often the node's fault"),
    _arc("lrms-257", "xxx LRMS error: (257)", "switched off by its authors, who put the xxx before it"),
    _arc("lrms-1", "LRMS error: (1)", "often the node's fault"),
    _arc("lrms-minus-1", "LRMS error: (-1)", "the batch system does not say how it ended"),
    _arc("lrms-91", "LRMS error: (91)", "the site's epilogue says: the node"),
    _arc("node-fail", "LRMS error: (257) Node fail", "the node died"),
    _arc("initiating", "Failed initiating job submission to LRMS", "it never reached the batch system"),
)

ABOVE: tuple[Shipped, ...] = (
    Shipped(
        "arc-output-list",
        "Error reading user generated output file list",
        "fail",
        "the job wrote no list of its outputs, and a restart finds none either",
        "act.md 3, FAILED handling 1",
    ),
    Shipped(
        "arc-inputs-late",
        r"User file: .*Timeout waiting",
        "resubmit",
        "our inputs did not come in time, so that it never ran",
        SEEN,
        regex=True,
    ),
    Shipped(
        "arc-killed-there",
        "Job is canceled by external request",
        "fail",
        "somebody at the CE killed it, and not this tower",
        SEEN,
    ),
    Shipped(
        "arc-draining",
        "New job submission is not allowed",
        "rest",
        "the site takes no new jobs (allownew=no); the job waits",
        SOURCE,
    ),
    Shipped("arc-id", "Failed to allocate job ID", "resubmit", "its control directory is in trouble", SOURCE),
    Shipped("arc-session", "Failed to find valid session directory", "rest", "all its session disks are full", SOURCE),
)

HOLDS: tuple[Shipped, ...] = (
    _held("34", "resources", "fail", "it used more memory or disk than it asked for"),
    _held("46|47", "duration", "fail", "it ran longer than it is allowed to"),
    _held("32|33", "too-large", "fail", "its input or output is larger than the site takes"),
    _held("3|26|5|27", "policy", "fail", "a rule of the job or of the site stopped it"),
    _held("12|13", "transfer", "rerun", "a transfer failed: it is released, a few times"),
    _held("4", "credential", "hold", "its credential cannot be used: renew it, then release the job"),
    _held("1", "by-hand", "hold", "somebody held it, and will know why"),
    _held("6|7|8|9|10|14", "start", "resubmit", "the node could not start it"),
    _held("21", "startd", "resubmit", "the node's own policy held it"),
    _held("22|23", "account", "rest", "the account that it is mapped to is not usable there"),
    _held("45", "container", "rest", "the site's container runtime does not work"),
    Shipped(
        "hold-spool",
        r"^hold 0\b.*(Error sending files to schedd|spoolJobFiles|Error connecting to schedd)",
        "rerun",
        "the local schedd could not reach the CE: it is released, a few times",
        "gridmanager holds have code 0 (htcondor.md)",
        CONDOR,
        regex=True,
    ),
    Shipped(
        "hold-delegation",
        r"^hold 0\b.*(proxy|token|credential|delegation)",
        "hold",
        "its credential cannot be handed on: renew it, then release the job",
        "gridmanager holds have code 0 (htcondor.md)",
        CONDOR,
        regex=True,
    ),
)

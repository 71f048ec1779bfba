"""Why something waits, rests or was given up: each reason's code. What is said of it in sentences: `tells`."""

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
    MOVED = "moved"  # answers that are not believed, since another endpoint was asked
    CLEAN = "clean"
    PANDA = "panda"  # whether PanDA is there, and what it thinks of us; the share is the server
    OUTPUTS = "outputs"  # of dead attempts, on storage
    TOWER = "tower"  # what an operator wants of all of it
    QUEUE = "queue"  # of a PanDA queue; the share is QUEUE@SERVER
    SHARE = "share"  # of a share, at whatever CE
    CONFIG = "config"  # whether a changed configuration is in force; the share is the worker's host
    APP = "app"  # of an application; it is the share
    RECOVERY = "recovery"  # of the tower: it finds its jobs again on the CEs
    DISK = "disk"  # what a full disk stops; the share is host and file system


class Reason(StrEnum):
    """The codes of the ledger."""

    FULL = "full"
    QUEUE_FULL = "queue-full"
    SHARE_FULL = "share-full"
    STALLED = "stalled"
    CAPACITY = "capacity"
    RATE = "rate"
    NO_SUBMISSION = "no-submission"
    TOWER_DRAIN = "tower-drain"
    SHARE_MODE = "share-mode"
    QUEUE_MODE = "queue-mode"
    DOWNTIME_AHEAD = "downtime-ahead"
    PROXY_SHORT = "proxy-short"
    BREAKER_OPEN = "breaker-open"
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
    OTHER_ENDPOINT = "other-endpoint"
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
    CONFIG_REFUSED = "config-refused"
    CONFIG_RESTART = "config-restart"
    APP_GONE = "app-gone"
    RECOVERING = "recovering"
    DISK_JOBS = "disk-jobs"
    DISK_DOWNLOADS = "disk-downloads"

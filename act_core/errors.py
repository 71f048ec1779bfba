"""Errors are verdicts: a class names who acts next, not where it happened."""


class ActError(Exception):
    """As such: our own bug; the run turns red."""


class ConfigError(ActError):
    """The operator acts, before anything starts: the message names file, line and remedy."""


class BadInput(ActError):
    """Whoever sent it acts: a job, a command or a file that cannot be understood. The rest of the batch goes on."""


class Transient(ActError):
    """Nobody acts: the next round is the retry."""


class DatabaseAway(Transient):
    """Nobody acts: the next round is the retry, and no CE is to blame."""


class CredentialError(ActError):
    """The operator acts; the CE rests meanwhile."""


class DiskError(ActError):
    """The operator acts: the tower cannot write on a disk of its own. No CE is to blame, and none rests for it."""


class OutcomeUnknown(ActError):
    """`engine.reconcile` acts: the call left, the answer was lost."""


class ProtocolError(ActError):
    """A developer acts: the peer said something new."""


class AppBroken(ActError):
    """Whoever wrote the application acts: its code raised what is no verdict. The engine and the others go on."""


# What a round may end with; the rest are bugs.
VERDICTS = (Transient, CredentialError, OutcomeUnknown, ProtocolError, ConfigError, DiskError)

"""How a command ends: verdicts become a sentence and an exit code, never a traceback."""

import sys
from collections.abc import Callable

from act_core.cli.out import fail
from act_core.errors import ActError, BadInput, ConfigError, CredentialError, Transient

# What a shell script may count on: 0 good, 1 it did not work, 2 the operator's mistake, 3 come again later.
EXITS: tuple[tuple[type[ActError], int], ...] = ((ConfigError, 2), (CredentialError, 2), (BadInput, 2), (Transient, 3))


def spoken(command: Callable[[], object]) -> None:
    """Run a command to its end."""
    try:
        command()
    except ActError as err:
        fail(str(err), next((code for kind, code in EXITS if isinstance(err, kind)), 1))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)

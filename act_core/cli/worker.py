"""`act worker`: one more worker of a tower whose `act up` runs elsewhere."""

import os
import sys
from typing import NoReturn

from act_core.cli.context import database, settings
from act_core.errors import ConfigError

WHERE, PASSWORD = "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"


def worker() -> NoReturn:
    """Work for a tower that is up on another machine, until SIGTERM: same configuration, same MariaDB.

    $PREFECT_API_URL says where its Prefect is (http://HOST:4200/api), $PREFECT_API_AUTH_STRING its user:password,
    unless the tower's file prefect/password lies in the state directory here.
    """
    from flows.environment import client_environment, password_file

    held = settings()
    with database(held):
        where = os.environ.get(WHERE)
    if not where:
        raise ConfigError(f"${WHERE} is not set: the address of the tower's Prefect, such as http://HOST:4200/api")
    said = os.environ.get(PASSWORD)
    if said is None and not password_file(held).exists():
        raise ConfigError(f"${PASSWORD} is not set, and there is no {password_file(held)}: copy it from the tower")
    known = client_environment(held, held.arc.prefect.port) | {WHERE: where} | ({PASSWORD: said} if said else {})
    command = [sys.executable, "-m", "flows.serve", held.arc.prefect.pool]
    os.execve(sys.executable, command, {**os.environ, **known})  # noqa: S606 - our own module

"""What the pilot's wrapper is told on its command line, for each way of running jobs."""

import shlex
from collections.abc import Iterator

from act_core.atlas.cric import Queue
from act_core.atlas.labels import label_of
from act_core.atlas.modes import Mode
from act_core.atlas.rules import Case, Needs
from act_core.errors import BadInput

PILOT_VERSION = "3"


def arguments(case: Case, needs: Needs, panda: tuple[str, str], pilot: str | None) -> tuple[str, ...]:
    """`panda`: the server's address and port, for pilots that speak to it themselves; `pilot`: which one they fetch.

    Raises BadInput for a queue whose own words cannot be read, or not be written in any job description.
    """
    words = tuple(_words(case, needs, panda, pilot))
    for word in (*words, pilot or ""):
        if not word.isprintable():
            raise BadInput(
                f"queue {case.queue.name}: {word[:80]!r} for the pilot has characters that cannot be printed"
            )
    return words


def _words(case: Case, needs: Needs, panda: tuple[str, str], pilot: str | None) -> Iterator[str]:
    job, queue, mode = case.job, case.queue, case.mode
    yield from ("-q", queue.schedconfig)
    if mode is Mode.HTCONDOR:
        yield from ("-r", queue.name, "-s", queue.name, "-d")
    yield from ("-j", job.label, "--pilot-user", case.translation.pilotuser)
    yield from ("--harvester-submit-mode", "PUSH", "-w", "generic")
    yield from ("--job-type", label_of(job.label).job_type, "--resource-type", needs.resource_type)
    if mode is not Mode.HTCONDOR or not pilot:
        yield from ("--pilotversion", queue.pilot_version or PILOT_VERSION)
    for word in label_of(job.label).arguments:
        if (mode, word) != (Mode.HTCONDOR, "-d"):  # it is told already
            yield word
    if mode is Mode.HTCONDOR and (queue.python_version or "").startswith("3"):
        yield from ("--pythonversion", "3")
    if mode is Mode.NATIVE:
        yield from ("-z", "-t", "--piloturl", "local", "--mute")
    else:
        yield from ("--url", panda[0], "-p", panda[1])
        yield from ("--piloturl", pilot) if pilot else ()
    yield from _own(queue)


def _own(queue: Queue) -> list[str]:
    try:
        return shlex.split(queue.pilot_args)
    except ValueError as err:
        raise BadInput(f"queue {queue.name}: params.pilot_args {queue.pilot_args[:80]!r}: {err}") from err

"""Prefect's log lines that would wake somebody for nothing."""

import logging

RENEWALS = "prefect.concurrency"


def without_late_renewals(record: logging.LogRecord) -> bool:
    """Whether a line is to be shown: not the first `410 Gone` at the renewal of a run's slot.

    A thread of Prefect's renews the slot at once when a run begins; a run of a few milliseconds has given it back by
    then. Of a slot that is lost while the run goes on the later attempts tell, and the error after the last.
    """
    words = record.getMessage()
    return not (words.startswith("Attempt 1 of") and "lease renewal" in words and "410" in words)


def hush() -> None:
    """For the life of this process; a second call changes nothing."""
    logging.getLogger(RENEWALS).addFilter(without_late_renewals)

"""Whose name a job carries: the ids that cross every room."""

from typing import NewType

RemoteId = NewType("RemoteId", str)  # theirs, opaque
SubmissionKey = NewType("SubmissionKey", str)  # ours, in every submission: act-<tower id>-<26 characters>
TowerId = NewType("TowerId", str)


def key_belongs(name: str, tower: TowerId) -> bool:
    """Whether a job's name on a CE is a submission key of this tower (architecture rule 7)."""
    return name.startswith(f"act-{tower}-") and len(name) == len(f"act-{tower}-") + 26


TRIAL = "trial"  # a random key has no i and no l: none looks like a trial's


def trial_key(key: SubmissionKey) -> SubmissionKey:
    """The key of a job of `act ces test`, out of a fresh one: it is in no table, and needs no question when found."""
    return SubmissionKey(f"{key[:-26]}{TRIAL}{key[-26 + len(TRIAL) :]}")


def is_trial(key: SubmissionKey) -> bool:
    """Whether a job of ours on a CE is left from `act ces test`."""
    return key[-26:].startswith(TRIAL)

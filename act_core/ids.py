"""Whose name a job carries: the ids that cross every room."""

from typing import NewType

RemoteId = NewType("RemoteId", str)  # theirs, opaque
SubmissionKey = NewType("SubmissionKey", str)  # ours, in every submission: act-<tower id>-<26 characters>
TowerId = NewType("TowerId", str)


def key_belongs(name: str, tower: TowerId) -> bool:
    """Whether a job's name on a CE is a submission key of this tower (architecture rule 7)."""
    return name.startswith(f"act-{tower}-") and len(name) == len(f"act-{tower}-") + 26

"""Python's collector of garbage in processes that work with many objects at a time."""

import gc

OFTEN, SELDOM, RARELY = 5_000, 10, 10


def calm() -> None:
    """What is there by now stays, and is looked at no more; the rest less often: batches of rows are no garbage.

    Python's own beginning, 700 objects more than were freed, is the middle of reading one batch.
    """
    gc.freeze()
    gc.set_threshold(OFTEN, SELDOM, RARELY)

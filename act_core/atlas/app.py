"""The ATLAS application, as the tower plugs it in."""

from act_core.apps import Application, Part
from act_core.atlas import (
    awaited,
    bind,
    clearing,
    closing,
    fetch_jobs,
    forgotten,
    hand_back,
    heartbeat,
    lost_answers,
    mirror,
    panda_check,
    refresh,
    refresh_downtimes,
    retire,
    validate,
    workers,
)
from act_core.atlas.books import NAME

APP = Application(
    NAME,
    on_news=mirror.on_news,
    parts=(
        Part("refresh-queues", "read", refresh.due, refresh.refresh, reads=True),
        Part("refresh-queues", "read also", refresh_downtimes.due, refresh_downtimes.refresh, turn=1, reads=True),
        Part("fetch-jobs", "take for", fetch_jobs.due, fetch_jobs.fetch_jobs),
        Part("fetch-jobs", "look for lost answers of", lost_answers.due, lost_answers.look),
        Part("translate", "translate", bind.due, bind.bind, reads=True),
        Part("fetch-validate", "validate", validate.due, validate.validate),
        Part("fetch-validate", "clear up after", clearing.due, clearing.clear),
        Part("heartbeat", "report to", heartbeat.due, heartbeat.heartbeat),
        Part("heartbeat", "hand back to", hand_back.due, hand_back.hand_back),
        Part("heartbeat", "ask", awaited.due, awaited.ask),
        Part("heartbeat", "ask after", forgotten.due, forgotten.ask),
        Part("heartbeat", "ask ahead of", forgotten.due_behind, forgotten.ask_behind),
        Part("heartbeat", "register at", workers.due, workers.register),
        Part("heartbeat", "check", panda_check.due, panda_check.ask),
        Part("close-books", "close for", closing.due, closing.close_books),
    ),
    archive=retire.retire,
    restored=forgotten.restored,
    several=True,
)

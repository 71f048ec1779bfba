"""The ATLAS application, as the tower plugs it in."""

from act_core.apps import Application, Part
from act_core.atlas import (
    awaited,
    bind,
    fetch_jobs,
    hand_back,
    heartbeat,
    mirror,
    refresh,
    refresh_downtimes,
    retire,
    validate,
)
from act_core.atlas.books import NAME

APP = Application(
    NAME,
    on_news=mirror.on_news,
    parts=(
        Part("refresh-queues", "read", refresh.due, refresh.refresh, reads=True),
        Part("refresh-queues", "read also", refresh_downtimes.due, refresh_downtimes.refresh, turn=1, reads=True),
        Part("fetch-jobs", "take for", fetch_jobs.due, fetch_jobs.fetch_jobs),
        Part("translate", "translate", bind.due, bind.bind, reads=True),
        Part("fetch-validate", "validate", validate.due, validate.validate),
        Part("heartbeat", "report to", heartbeat.due, heartbeat.heartbeat),
        Part("heartbeat", "hand back to", hand_back.due, hand_back.hand_back),
        Part("heartbeat", "ask", awaited.due, awaited.ask),
    ),
    archive=retire.retire,
    several=True,
)

"""The application, as the tower plugs it in."""

from act_core.apps import Application, Part
from act_core.simple import book, collect, counts, follow
from act_core.simple.options import Options
from act_core.simple.tables import NAME, bootstrap

APP = Application(
    NAME,
    on_news=follow.on_news,
    parts=(Part("fetch-validate", "collect", collect.due, collect.collect, reads=True),),
    options=Options,
    bootstrap=bootstrap,
    archive=book.archive,
    report=counts.report,
    count=counts.count,
    collect=counts.collect,
)

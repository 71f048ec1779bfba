"""Jobs that people add by hand: `act jobs add`. The smallest application."""

from act_core import homecoming
from act_core.apps import Application

NAME = "manual"
APP = Application(NAME, on_news=homecoming.on_news)

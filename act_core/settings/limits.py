"""How long a job may stay in one state of its CE: `jobs.maxtime<state>`, the original's keys and sample values."""

from datetime import timedelta

from act_core.settings.quantities import Seconds
from act_core.settings.section import Section


class Limits(Section):
    """Measured from when the tower first heard the word, without the time in which nobody asked the CE.

    What is over its limit is killed; 0: no limit.
    """

    maxtimeundefined: Seconds = timedelta(days=1)  # restarted by the CE, and no word of it since
    maxtimeaccepted: Seconds = timedelta(days=1)
    maxtimepreparing: Seconds = timedelta(days=1)  # the CE brings inputs
    maxtimesubmitting: Seconds = timedelta(days=1)
    maxtimequeuing: Seconds = timedelta(days=7)  # in the batch queue; no worker-node proxy lasts so long
    maxtimeidle: Seconds = timedelta(days=1)  # HTCondor's word for queued
    maxtimehold: Seconds = timedelta(days=2)  # ARC; also a failed job that a rule holds for the operator
    maxtimeheld: Seconds = timedelta(hours=1)  # HTCondor
    maxtimesuspended: Seconds = timedelta(days=2)
    maxtimerunning: Seconds = timedelta(days=9)
    maxtimeother: Seconds = timedelta(days=9)  # A-REX's OTHER: the batch system says something that it does not know
    maxtimefinishing: Seconds = timedelta(days=1)  # the CE brings outputs away
    maxtimefinished: Seconds = timedelta(days=1)  # over, and its outputs do not come home
    maxtimetotal: Seconds = timedelta(days=30)  # since it was sent, however often its state changes

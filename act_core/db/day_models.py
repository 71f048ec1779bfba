"""Days of CEs: what sixty days of hours would say is read at once."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from act_core.db.models import BYTES, Base
from act_core.db.types import BigId


class DailySlots(Base):
    """What a CE held on a day: the same sums as `HourlySlots`."""

    __tablename__ = "daily_slots"
    __table_args__ = (BYTES,)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)
    ce: Mapped[str] = mapped_column(String(128), primary_key=True)
    samples: Mapped[int]
    queued: Mapped[int] = mapped_column(BigId)
    running: Mapped[int] = mapped_column(BigId)
    slots: Mapped[int] = mapped_column(BigId)

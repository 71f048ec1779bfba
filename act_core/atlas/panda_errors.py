"""What only PanDA answers."""

from act_core.errors import ProtocolError


class NotSpoken(ProtocolError):
    """The server has no such method: it is of another generation."""

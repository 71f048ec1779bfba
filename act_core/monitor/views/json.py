"""Any view as JSON-able values."""

from typing import Any

from pydantic import TypeAdapter

_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def as_json(view: Any) -> Any:
    """Dataclasses as objects, times as ISO 8601 with their zone."""
    return _ANY.dump_python(view, mode="json")

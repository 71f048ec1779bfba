"""What people may type into the form of a run, with its bounds."""

from typing import Annotated

from pydantic import Field

LONGEST_WINDOW = 3600  # seconds
Window = Annotated[float, Field(ge=0, le=LONGEST_WINDOW, title="seconds open")]
Name = Annotated[str, Field(min_length=1, max_length=255)]
Names = Annotated[list[Name] | None, Field(max_length=500)]
Most = Annotated[int | None, Field(ge=1, le=100_000)]

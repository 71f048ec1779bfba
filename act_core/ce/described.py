"""What the readers of job descriptions share."""

from collections.abc import Callable, Collection, Iterator

from pydantic import ValidationError

from act_core.jobspec import InputFile

Home = Callable[[str], str]  # where a source lies: a URL as it is, a path made absolute


def complaint(err: ValidationError) -> str:
    """The first thing that is wrong, in a sentence."""
    first = err.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"]))
    words = str(first["msg"]).removeprefix("Value error, ")
    return f"{field}: {words}" if field else words


def brought_along(
    executable: str | None, stdin: str | None, inputs: Collection[InputFile], home: Home
) -> Iterator[InputFile]:
    """A program with a relative path and a stdin are inputs too, named or not (reference: act.md 5)."""
    there = {file.name for file in inputs}
    for name, runs in ((executable, True), (stdin, False)):
        if name and not name.startswith(("/", "$")) and name not in there:
            there.add(name)
            yield InputFile(name=name, source=home(name), executable=runs)

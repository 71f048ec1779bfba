"""A job as xRSL, for people who know the original's job descriptions. It is shown and never sent."""

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta

from act_core.jobspec import JobSpec


def written(spec: JobSpec) -> str:
    """One relation a line. Files that the tower uploads have no source, as in ARC's own client."""
    return "\n".join(["&", *_relations(spec)])


def _relations(spec: JobSpec) -> Iterator[str]:
    yield _relation("executable", spec.executable)
    yield from _some("arguments", spec.arguments)
    yield _relation("jobname", spec.name)
    yield from _streams(spec)
    yield _relation("count", str(spec.cores))
    yield from _some("countpernode", [str(spec.cores)] if spec.cores > 1 else [])
    for name, number in (("memory", spec.memory_mb), ("disk", spec.disk_mb)):
        yield from _some(name, [] if number is None else [str(number)])
    for name, time in (("walltime", spec.walltime), ("cputime", spec.cputime)):
        yield from _some(name, [] if time is None else [_time(time)])
    yield from _some("queue", [spec.queue] if spec.queue else [])
    yield _relation("priority", str(spec.priority))
    yield from _some("rerun", [str(spec.reruns)] if spec.reruns else [])
    yield from _some("gmlog", [spec.log_dir] if spec.log_dir else [])
    for one in spec.runtime_environments:
        yield _relation("runtimeenvironment", one.name, *one.options)
    yield from _files(spec)
    if spec.environment:
        yield _lists("environment", *spec.environment.items())


def _streams(spec: JobSpec) -> Iterator[str]:
    joined = spec.stdout is not None and spec.stdout == spec.stderr
    for name, file in (("stdin", spec.stdin), ("stdout", spec.stdout), ("stderr", None if joined else spec.stderr)):
        if file is not None:
            yield _relation(name, file)
    if joined:
        yield _relation("join", "yes")


def _files(spec: JobSpec) -> Iterator[str]:
    if spec.inputs:
        sources = ((file.name, (file.source or "") if file.by_ce else "", file.options) for file in spec.inputs)
        yield _lists("inputfiles", *((name, source, *_pairs(options)) for name, source, options in sources))
    yield from _some("executables", [file.name for file in spec.inputs if file.executable])
    if spec.outputs:
        yield _lists("outputfiles", *((out.name, out.target or "", *_pairs(out.options)) for out in spec.outputs))


def _pairs(options: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in options.items()]


def _time(time: timedelta) -> str:
    """Minutes, as the original writes them, where it is so many."""
    seconds = int(time.total_seconds())
    return f"{seconds} seconds" if seconds % 60 else str(seconds // 60)


def _some(name: str, words: Collection[str]) -> Iterator[str]:
    if words:
        yield _relation(name, *words)


def _relation(name: str, *words: str) -> str:
    return f"({name}={' '.join(map(_quoted, words))})"


def _lists(name: str, *lists: tuple[str, ...]) -> str:
    return f"({name}={' '.join('(' + ' '.join(map(_quoted, words)) + ')' for words in lists)})"


def _quoted(word: str) -> str:
    doubled = word.replace('"', '""')
    return f'"{doubled}"'

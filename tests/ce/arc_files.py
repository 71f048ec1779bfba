"""Payloads that leave files at a simulated A-REX, and what of them came home."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from act_core.ce.base import ComputingElement, FetchPlan, RemoteId
from act_core.jobspec import JobSpec, OutputFile
from act_core.simulators.arc_payload import PayloadJob, PayloadResult

Payload = Callable[[PayloadJob], Any]


def leaves(**files: bytes) -> Payload:
    """A payload that leaves these files (a name's `__` is a slash)."""

    async def payload(_: PayloadJob) -> PayloadResult:
        return PayloadResult(0, {name.replace("__", "/"): content for name, content in files.items()})

    return payload


def keeps(*names: str) -> JobSpec:
    return JobSpec(executable="/bin/true", outputs=tuple(OutputFile(name=name) for name in names))


async def fetch(ce: ComputingElement, job: RemoteId, home: Path, *patterns: str, **more: Any) -> Any:
    return (await ce.fetch({job: FetchPlan(home, patterns or ("/",), **more)}))[job]


def there(home: Path) -> dict[str, bytes]:
    return {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def homes(parent: Path) -> list[str]:
    return [path.name for path in parent.iterdir() if "home" in path.name]

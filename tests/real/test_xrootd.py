"""Outputs on a real XRootD storage: what is wrong is found and named, by root:// and by https:// alike."""

import json
import os
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from xrootd import Xrootd

from act_core.atlas.books import Booked
from act_core.atlas.outputs import judged
from act_core.atlas.reports import Update
from act_core.atlas.validate import after_check
from act_core.settings.app_model import Validation
from act_core.states import PandaState
from act_core.storage.base import Backend, Fate, Limits, Outcome, Verdict, Wanted
from act_core.storage.root import Root
from act_core.storage.storage import Storage
from act_core.storage.webdav import Webdav

pytestmark = pytest.mark.real

MANY, EACH, JOBS = 1000, 40, 100
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RULES = Validation()
ROW: Mapping[str, Any] = {
    **dict.fromkeys(("told", "told_at", "ce", "node", "started_at", "ended_at", "error")),
    **{"id": 1, "version": 0, "server": "s", "panda_id": 7, "attempt_nr": 1, "queue": "Q", "label": "managed"},
    **{"state": PandaState.TOVALIDATE, "wanted": "transferring", "refused": 0, "cores": 1, "checks": 0},
    "reporter": "tower",
}
TIME = timedelta(seconds=60)
BOTH = ("root", "https")


def content(n: int) -> bytes:
    return f"output {n} ".encode() * (n % 7 * 300)


def wanted(base: str, name: str, body: bytes) -> Wanted:
    return Wanted(f"{base}/{name}", len(body), f"{zlib.adler32(body):x}")


def base_of(xrootd: Xrootd, scheme: str) -> str:
    return xrootd.root_url if scheme == "root" else xrootd.https_url


def opened(xrootd: Xrootd, **limits: object) -> Storage:
    context = xrootd.context
    allowed = Limits(**{"timeout": TIME, "perhost": 8, **limits})  # type: ignore[arg-type]
    root = Root(connect=timedelta(seconds=2), timeout=allowed.timeout)
    web = Webdav(lambda: context, timedelta(seconds=2))
    backends: dict[str, Backend] = {"root": root, "https": web, "davs": web}
    return Storage(backends, allowed)


@pytest.fixture
async def storage(xrootd: Xrootd) -> AsyncIterator[Storage]:
    made = opened(xrootd, rest=timedelta(0))
    yield made
    await made.close()


async def said(storage: Storage, file: Wanted) -> Verdict:
    return (await storage.check([file]))[file]


@pytest.mark.parametrize("scheme", BOTH)
async def test_of_a_thousand_outputs_each_bad_one_is_found_and_named(
    xrootd: Xrootd, storage: Storage, scheme: str
) -> None:
    base, directory = base_of(xrootd, scheme), f"{scheme}/thousand"
    bodies = {f"{directory}/out.{n:04}": content(n) for n in range(MANY)}
    files = {name: wanted(base, name, body) for name, body in bodies.items()}
    names = sorted(name for name, body in bodies.items() if body)
    shorter, altered, missing = names[:EACH], names[EACH : 2 * EACH], names[2 * EACH : 3 * EACH]
    bodies |= {name: bodies[name][:-1] for name in shorter}
    bodies |= {name: bodies[name][:-1] + b"!" for name in altered}
    xrootd.put({name: body for name, body in bodies.items() if name not in missing})
    verdicts = dict(await storage.check(files.values()))
    for _ in range(5):  # under load a server says of some checksum that its program failed
        again = [file for file, verdict in verdicts.items() if verdict.outcome is Outcome.UNREACHABLE]
        verdicts |= await storage.check(again)
    found = {name: verdicts[file] for name, file in files.items()}
    assert {name for name, verdict in found.items() if verdict.outcome is Outcome.ABSENT} == set(missing)
    assert {name for name, verdict in found.items() if verdict.outcome is Outcome.MISMATCH} == {*shorter, *altered}
    assert all(found[name].words == f"size is {len(bodies[name])}, not {files[name].size}" for name in shorter)
    assert all(f"not {int(files[name].adler32 or '', 16):08x}" in found[name].words for name in altered)
    counted = Counter(verdict.outcome for verdict in found.values())
    assert counted == {Outcome.MATCH: MANY - 3 * EACH, Outcome.MISMATCH: 2 * EACH, Outcome.ABSENT: EACH}
    for n in range(JOBS):
        of_job = {name: files[name] for name in sorted(files)[n::JOBS]}
        bad = of_job.keys() & {*shorter, *altered, *missing}
        assert named_in_the_report(of_job, verdicts) == bad


def named_in_the_report(files: Mapping[str, Wanted], verdicts: Mapping[Wanted, Verdict]) -> set[str]:
    """Which outputs of a job PanDA is told of by name, where no attempt is left; none: it is reported as finished."""
    report = Update(job_id=7, job_status="finished", attempt_nr=1).model_dump_json(exclude_none=True)
    row = Booked(**ROW, report=report)
    change = after_check(row, judged(files, verdicts, RULES), NOW, RULES, denied="no attempt is left")
    told = json.loads(change.columns.get("report", report))
    named = {name for name in files if name in told.get("pilot_error_diag", "")}
    assert told["job_status"] == ("failed" if named else "finished")
    return named


@pytest.mark.parametrize("scheme", BOTH)
async def test_every_answer_of_the_server_has_its_outcome(xrootd: Xrootd, storage: Storage, scheme: str) -> None:
    base = base_of(xrootd, scheme)
    xrootd.put({f"{scheme}/answers/{name}": b"content" for name in ("good", "closed", "shut/x", "open/x")})
    xrootd.put({f"{scheme}/answers/empty": b""})
    closed, shut = (xrootd.data / f"{scheme}/answers/{name}" for name in ("closed", "shut"))
    for path, mode in ((closed, 0o600), (shut, 0o700)):
        os.chown(path, 0, 0)
        path.chmod(mode)
    expected = {
        "good": (7, f"{zlib.adler32(b'content'):x}", Outcome.MATCH),
        "empty": (0, "1", Outcome.MATCH),
        "none": (7, "1", Outcome.ABSENT),
        "open/": (7, "1", Outcome.MISMATCH),
        "closed": (7, "1", Outcome.FORBIDDEN),
        "shut/x": (7, "1", Outcome.FORBIDDEN),
    }
    if scheme == "root":  # asked by https for the digest of a directory, 5.8 says 409 or, by chance, nothing
        expected["open"] = (7, "1", Outcome.MISMATCH)
    files = {name: Wanted(f"{base}/{scheme}/answers/{name}", size, sums) for name, (size, sums, _) in expected.items()}
    verdicts = await storage.check(files.values())
    outcomes = {name: verdicts[file].outcome for name, file in files.items()}
    assert outcomes == {name: outcome for name, (_, _, outcome) in expected.items()}


@pytest.mark.parametrize("scheme", BOTH)
async def test_md5(xrootd: Xrootd, storage: Storage, scheme: str) -> None:
    xrootd.put({f"{scheme}/md5": b"hello"})
    url = f"{base_of(xrootd, scheme)}/{scheme}/md5"
    good = Wanted(url, 5, None, "5d41402abc4b2a76b9719d911017c592")
    other = Wanted(url, 5, None, "0" * 32)
    assert [(await said(storage, file)).outcome for file in (good, other)] == [Outcome.MATCH, Outcome.MISMATCH]


@pytest.mark.parametrize("scheme", BOTH)
async def test_a_checksum_from_before_the_file_was_changed_deceives_nobody(
    xrootd: Xrootd, storage: Storage, scheme: str
) -> None:
    """XRootD keeps a checksum as long as the file's time in whole seconds is the same."""
    name = f"{scheme}/stale"
    xrootd.put({name: b"content"})
    file, path = wanted(base_of(xrootd, scheme), name, b"content"), xrootd.data / name
    assert (await said(storage, file)).outcome is Outcome.MATCH
    before = path.stat()
    with path.open("r+b") as kept:  # the same file, with what was kept beside it
        kept.truncate(3)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await said(storage, file) == Verdict(Outcome.MISMATCH, "size is 3, not 7")


@pytest.mark.parametrize("scheme", BOTH)
async def test_what_becomes_of_files_that_are_to_be_deleted(xrootd: Xrootd, storage: Storage, scheme: str) -> None:
    """Unasked, this server takes an empty directory away as if it were a file."""
    base = f"{base_of(xrootd, scheme)}/{scheme}/delete"
    xrootd.put({f"{scheme}/delete/{name}": b"content" for name in ("file", "full/x", "empty/x", "kept/x")})
    (xrootd.data / scheme / "delete/empty/x").unlink()
    os.chown(xrootd.data / scheme / "delete/kept", 0, 0)
    expected = {
        "file": Fate.DELETED, "none": Fate.ABSENT, "full": Fate.REFUSED, "empty": Fate.REFUSED, "empty/": Fate.REFUSED,
        "kept/x": Fate.REFUSED,
    }  # fmt: skip
    removals = await storage.delete([f"{base}/{name}" for name in expected])
    assert {name: removals[f"{base}/{name}"].fate for name in expected} == expected
    left = {
        str(path.relative_to(xrootd.data / scheme / "delete")) for path in (xrootd.data / scheme).rglob("delete/**/*")
    }
    assert left == {"full", "full/x", "empty", "kept", "kept/x"}


@pytest.mark.parametrize("scheme", BOTH)
async def test_a_server_that_was_away_is_asked_again_when_it_is_back(xrootd: Xrootd, scheme: str) -> None:
    """The library itself would leave a host alone for half an hour."""
    storage = opened(xrootd, rest=timedelta(0))
    name = f"{scheme}/away"
    xrootd.put({name: b"content"})
    file = wanted(base_of(xrootd, scheme), name, b"content")
    try:
        assert (await said(storage, file)).outcome is Outcome.MATCH
        xrootd.end()
        assert (await said(storage, file)).outcome is Outcome.UNREACHABLE
        xrootd.launch()
        await _until(lambda verdict: verdict.outcome is Outcome.MATCH, storage, file)
    finally:
        await storage.close()


@pytest.mark.parametrize("scheme", BOTH)
async def test_a_server_that_hangs_is_noticed_and_holds_up_no_other(xrootd: Xrootd, scheme: str) -> None:
    storage = opened(xrootd, timeout=timedelta(seconds=3), rest=timedelta(0), failures=3)
    other = Xrootd(pki=xrootd.pki)
    other.start()
    files = [wanted(base_of(xrootd, scheme), f"{scheme}/hang/{n}", b"x") for n in range(30)]
    xrootd.put({urlsplit(file.url).path.lstrip("/"): b"x" for file in files})
    good = wanted(base_of(other, scheme), f"{scheme}/good", b"content")
    other.put({f"{scheme}/good": b"content"})
    try:
        xrootd.freeze(True)
        async with aclosing(storage.answers([*files, good])) as answers:
            first = await anext(answers)
            assert (first[0], first[1].outcome) == (good, Outcome.MATCH)
            assert {verdict.outcome async for _, verdict in answers} == {Outcome.UNREACHABLE}
        xrootd.freeze(False)
        await _until(lambda verdict: verdict.outcome is Outcome.MATCH, storage, files[0])
    finally:
        xrootd.freeze(False)
        await storage.close()
        other.stop()


async def _until(reached: Callable[[Verdict], bool], storage: Storage, file: Wanted) -> None:
    """A library that reconnects may need a second look; no more than a few."""
    for _ in range(20):
        verdict = await said(storage, file)
        if reached(verdict):
            return
    raise AssertionError(f"never came true: {verdict}")

"""Which jobs outlive which credential, told before it happens."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from act_core.db import credentials, ledger
from act_core.db.credentials import PROXY, TOKEN, Found
from act_core.db.models import CeJob
from act_core.db.outlook import Outlook
from act_core.db.policy_models import CredentialRow
from act_core.engine.forecast import (
    Ends,
    Shown,
    by_identity,
    endings,
    expected_end,
    forecast,
    look_ahead,
    worth_a_look,
)
from act_core.settings.policy import Voms
from act_core.states import CeState
from tests.engine.house import CE, House

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
QUEUE = 48 * HOUR
S = CeState


def _job(state: CeState = S.RUNNING, **known: Any) -> Outlook:
    usual: dict[str, Any] = {"id": 1, "since": NOW - HOUR, "started": NOW - HOUR, "walltime": 10 * HOUR}
    return Outlook(state=state, **(usual | {"credential_id": 7, "proxy_until": None} | known))


def _shown(hours: float, renewer: str = "", trouble: str | None = None, kind: str = PROXY) -> Shown:
    return Shown("/p", "/CN=robot", kind, NOW + hours * HOUR, renewer, trouble)


@pytest.mark.parametrize(
    ("job", "hours"),
    [
        pytest.param(_job(), 9, id="it runs since an hour"),
        pytest.param(_job(started=None, since=NOW - 4 * HOUR), 6, id="nobody said when it began"),
        pytest.param(_job(started=NOW - 20 * HOUR), 0, id="longer than it may"),
        pytest.param(_job(walltime=None), 0, id="no wall time is said"),
        pytest.param(_job(S.SUBMITTED), 57, id="queued since an hour"),
        pytest.param(_job(S.SUBMITTED, since=NOW - 100 * HOUR), 10, id="queued for longer than it may"),
        pytest.param(_job(S.HOLDING, walltime=None), 47, id="held"),
        pytest.param(_job(S.FINISHING), 0, id="its outputs are being sent"),
    ],
)
def test_when_a_job_ends_at_the_latest(job: Outlook, hours: float) -> None:
    assert expected_end(job, NOW, QUEUE) == NOW + hours * HOUR


@pytest.mark.parametrize(
    ("job", "shown", "ends"),
    [
        pytest.param(_job(proxy_until=NOW + 9 * HOUR), _shown(99, "auto"), [], id="all lasts"),
        pytest.param(_job(proxy_until=NOW + 8 * HOUR), _shown(99, "auto"), [Ends.COPY], id="the copy does not"),
        pytest.param(_job(), _shown(9.5), [Ends.DELEGATION], id="no hour for its outputs"),
        pytest.param(_job(), _shown(10), [], id="an hour for its outputs"),
        pytest.param(_job(), _shown(1, "auto"), [], id="it is renewed"),
        pytest.param(_job(), _shown(1, "auto", "no role"), [Ends.DELEGATION], id="renewal does not work"),
        pytest.param(_job(), _shown(1, kind=TOKEN), [Ends.TOKEN], id="a token"),
        pytest.param(_job(proxy_until=NOW + HOUR), _shown(2), [Ends.COPY, Ends.DELEGATION], id="both"),
        pytest.param(_job(credential_id=None), _shown(1), [], id="a job that was given nothing"),
        pytest.param(_job(S.FINISHING), _shown(0.5), [Ends.DELEGATION], id="no time for outputs under way"),
        pytest.param(_job(S.FINISHING, proxy_until=NOW - HOUR), _shown(99), [], id="the payload is over"),
        pytest.param(_job(S.CANCELLING, proxy_until=NOW - HOUR), _shown(0.5), [], id="it is being killed"),
    ],
)
def test_what_ends_first(job: Outlook, shown: Shown, ends: list[Ends]) -> None:
    assert [one.ends for one in endings("ce", [job], {7: shown}, NOW, QUEUE)] == ends


def test_many_jobs_are_one_line() -> None:
    jobs = [_job(id=n, proxy_until=NOW + (5 + n % 3) * HOUR) for n in range(1, 10)]
    (one,) = endings("ce", jobs, {7: _shown(99, "auto")}, NOW, QUEUE)
    assert (one.jobs, one.job, one.until, one.subject) == (9, 3, NOW + 5 * HOUR, "/CN=robot")


def _row(row: int, path: str, subject: str, hours: float, renewer: str = "") -> CredentialRow:
    known = {"kind": PROXY, "roles": "", "expires": NOW + hours * HOUR, "renewer": renewer, "trouble": None}
    return CredentialRow(id=row, path=path, subject=subject, **known)


ROWS = [
    _row(1, "/old", "/CN=a", 5),
    _row(2, "/new", "/CN=a", 90, "auto"),
    _row(3, "/new#3", "/CN=b", 40),
    _row(4, "/none", "", 0),
]


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        pytest.param("/new", {1: ("/new", 90, True), 2: ("/new", 90, True), 3: ("/new", 40, False)}, id="the newest"),
        pytest.param("/old", {1: ("/old", 5, False), 2: ("/old", 5, False), 3: ("/new", 40, False)}, id="an older one"),
        pytest.param(None, {1: ("/new", 90, False), 2: ("/new", 90, False), 3: ("/new", 40, False)}, id="nothing"),
    ],
)
def test_what_a_ce_is_shown_counts(path: str | None, kept: dict[int, tuple[str, int, bool]]) -> None:
    found = by_identity(ROWS, path)
    assert {row: (one.path, (one.expires - NOW) / HOUR, one.lasting) for row, one in found.items()} == kept


async def _given(house: House, until: timedelta, expires: timedelta, renewer: str) -> None:
    """Two running jobs that were given this proxy."""
    arc = house.settings.arc.model_copy(update={"voms": Voms(proxypath="/p")})
    house.settings = house.settings.model_copy(update={"arc": arc})
    await house.jobs(2, S.RUNNING)
    found = Found(PROXY, "/p", "/CN=robot", house.now() + expires, renewer=renewer)
    row = await house.write(credentials.remember, found, house.now())
    values = {"credential_id": row, "proxy_until": house.now() + until, "walltime_s": 36000}
    await house.write(lambda session: session.execute(update(CeJob).values(values)))


async def _told(house: House) -> dict[str, str]:
    return {row.ce: row.code for row in await house.read(ledger.standing)}


async def test_what_ends_is_told_once_and_taken_back(house: House) -> None:
    assert await worth_a_look(house) == []
    await _given(house, 2 * HOUR, 3 * HOUR, "")
    assert await worth_a_look(house) == ["forecast"]
    found = await forecast(house)
    assert [(one.ce, one.ends, one.jobs) for one in found] == [(CE, Ends.COPY, 2), (CE, Ends.DELEGATION, 2)]
    for _ in range(2):
        assert await look_ahead(house, "forecast") == {"jobs that outlive a credential": 4}
    assert await _told(house) == {CE: "copy-ends"}
    assert len(await house.read(ledger.lines, ce=CE)) == 1
    await house.write(lambda session: session.execute(update(CeJob).values(walltime_s=60)))
    house.ahead = timedelta(minutes=2)
    await look_ahead(house, "forecast")
    assert await _told(house) == {}


async def test_a_proxy_that_nobody_renews_is_told_of(house: House) -> None:
    await _given(house, 99 * HOUR, 3 * HOUR, "")
    await look_ahead(house, "forecast")
    (line,) = await house.read(ledger.lines, ce=CE)
    assert (line.code, line.n) == ("credential-ends", 2)
    assert line.facts["path"] == "/p"

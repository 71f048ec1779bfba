"""A runtime on the state tables: it shares what is the process's, and changes nothing by being opened."""

import asyncio
import threading

from sqlalchemy.orm import Session

from act_core.db import ces
from act_core.db.session import Database
from act_core.runtime import Runtime
from act_core.settings.model import Settings, Site


def _with(settings: Settings, *names: str, pool: int = 8) -> Settings:
    db = settings.arc.db.model_copy(update={"pool": pool})
    sites = {name: Site(kind="local") for name in names}
    return settings.model_copy(update={"arc": settings.arc.model_copy(update={"sites": sites, "db": db})})


async def test_another_configuration_takes_no_ce_out_of_service(db_settings: Settings) -> None:
    async with Runtime.open(_with(db_settings, "a", "b")) as rt:
        async with Runtime.open(_with(db_settings, "c")), Runtime.open(_with(db_settings)):
            pass
        assert {row.name: row.mode for row in await rt.read(ces.all_ces)} == dict.fromkeys("abc", "on")


async def test_runtimes_of_a_process_ask_with_no_more_threads_than_there_are_connections(db_settings: Settings) -> None:
    settings = _with(db_settings, "a", pool=1)
    shared = Database(settings)

    def thread(_session: Session) -> int:
        return threading.get_ident()

    async with Runtime.open(settings, shared) as one, Runtime.open(settings, shared) as two:
        asked = await asyncio.gather(*(rt.read(thread) for rt in (one, two) for _ in range(4)), one.write(thread))
    assert len(set(asked)) == 1
    assert shared.read(lambda session: 1) == 1  # still open: it is not theirs
    shared.close()

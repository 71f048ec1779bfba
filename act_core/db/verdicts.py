"""What an error of the database means, and who acts next."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from act_core.db.bulk import LARGEST, weight
from act_core.errors import BadInput, ConfigError, DatabaseAway

FOREIGN = (DBAPIError, PoolTimeout)  # what is translated; anything else is a bug of ours
NO_SAVEPOINT = 1305
RETRIED = {1205, 1213, 1020}  # lock wait, deadlock, record changed since last read
LOST = {2006, 2013}
UNREACHABLE = LOST | {2002, 2003, 1040, 1053, 1927}
# Read-only (1290, 1792, 1836) or its disk is full (1021, 1026, 1030, 1114): it answers, and takes nothing.
TAKES_NOTHING = {1021, 1026, 1030, 1114, 1290, 1792, 1836}
DENIED = {1044, 1045, 1049, 1698}
TOO_LARGE = 1153
CANNOT_CONNECT, NO_TLS = 2003, 2026
NO_TABLE = 1146
_CANNOT_OPEN = "unable to open database file"


def again(err: SQLAlchemyError) -> bool:
    """Whether the transaction may go well when it is run once more."""
    return isinstance(err, DBAPIError) and _code(_begun(err)) in RETRIED


def translated(err: SQLAlchemyError) -> Exception:
    """The verdict on a database's error; what has none comes back as it is."""
    if not isinstance(err, DBAPIError):
        return DatabaseAway(f"database: all its connections are in use: {err}") if isinstance(err, PoolTimeout) else err
    err = _begun(err)
    code, words = _code(err), f"database: {err.orig}"
    if (first := _first(err)) and _too_large(first):
        statement = " ".join((first.statement or "").split()[:3])
        return BadInput(f"database: more than max_allowed_packet in one row: {statement} …")
    if code in (CANNOT_CONNECT, NO_TLS) and (trouble := _of_tls(words)):
        return ConfigError(f"{words}; {trouble}")
    if code in DENIED:
        return ConfigError(f"{words}; check the db section of aCTConfigARC.yaml")
    if code in UNREACHABLE | RETRIED | TAKES_NOTHING or err.connection_invalidated:
        return DatabaseAway(words)
    if code == NO_TABLE:
        return ConfigError(f"{words}; run `act bootstrap`")
    return _of_sqlite(words) or err if type(err) in (OperationalError, DatabaseError) else err


def _of_tls(words: str) -> str:
    """What mends it; empty: it is no trouble with TLS."""
    if "SSL is required" in words:
        return "the server speaks no TLS, and db.tls_ca wants it: let it, or take db.tls_ca out"
    if "CERTIFICATE_VERIFY_FAILED" not in words:
        return ""
    if "mismatch" in words:
        return "its certificate is for another host: set db.host to a name that stands in it"
    if "expired" in words:
        return "the server needs a new certificate"
    return "its certificate is not signed by the CA in db.tls_ca: is it that server, and that CA?"


def _of_sqlite(words: str) -> Exception | None:
    """SQLite's errors differ by their words alone."""
    if "no such table" in words:
        return ConfigError(f"{words}; run `act bootstrap`")
    if _CANNOT_OPEN in words:
        return ConfigError(f"{words}; may this user write in the state directory ($ACT_STATE_DIR)?")
    if "malformed" in words:
        return ConfigError(f"{words}; put a copy of the file in its place (sqlite3 .recover saves what can be read)")
    if any(word in words for word in ("locked", "disk", "readonly")):
        return DatabaseAway(words)
    return None


def _code(err: DBAPIError) -> Any:
    return err.orig.args[0] if err.orig and err.orig.args else None


def _begun(err: DBAPIError) -> DBAPIError:
    """Of a deadlock in a savepoint the deadlock itself: its victim's savepoints are gone, and the way back fails."""
    cause: BaseException | None = err
    while _code(err) == NO_SAVEPOINT and cause is not None:
        cause = cause.__context__
        err = cause if isinstance(cause, DBAPIError) else err
    return err


def _first(err: DBAPIError) -> DBAPIError:
    """The error that began it: the server hangs up on what is too large, so that the rollback fails, too."""
    while isinstance(err.__context__, DBAPIError):
        err = err.__context__
    return err


def _too_large(err: DBAPIError) -> bool:
    return _code(err) == TOO_LARGE or (_code(err) in LOST and _heaviest(err.params) > LARGEST)


def _heaviest(params: Any) -> int:
    """Of the row that weighs most: many rows are sent in several statements."""
    rows = params if isinstance(params, list) else [params]
    return max((weight(row.values() if isinstance(row, Mapping) else row or ()) for row in rows), default=0)

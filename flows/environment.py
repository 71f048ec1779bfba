"""Prefect's settings and password, as environment of its processes. Imports nothing of Prefect."""

import secrets
from pathlib import Path

from act_core.settings import Settings
from act_core.settings.load import VARIABLES


def home(settings: Settings) -> Path:
    """Prefect's own directory, below ours."""
    made = settings.state_dir / "prefect"
    made.mkdir(parents=True, exist_ok=True, mode=0o700)
    return made


def password_file(settings: Settings) -> Path:
    return home(settings) / "password"


def password(settings: Settings) -> str:
    """`user:password` of the API and the UI; made at the first call, 0600."""
    file = password_file(settings)
    if not file.exists():
        fresh = file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(f"act:{secrets.token_urlsafe(18)}\n", encoding="ascii")
        fresh.replace(file)
    return file.read_text(encoding="ascii").strip()


def common(settings: Settings) -> dict[str, str]:
    """For every process that speaks to the server, and for the server."""
    return {
        "PREFECT_HOME": str(home(settings)),
        "PREFECT_API_AUTH_STRING": password(settings),
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
    }


def configuration(settings: Settings) -> dict[str, str]:
    """The files that were read: a child reads the same ones, whatever the command line named."""
    return {VARIABLES[kind]: str(file) for kind, file in settings.files.items()}


def client_environment(settings: Settings, port: int) -> dict[str, str]:
    return (
        common(settings)
        | configuration(settings)
        | {
            "PREFECT_API_URL": f"http://{settings.arc.prefect.host}:{port}/api",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
        }
    )


def server_environment(settings: Settings, port: int) -> dict[str, str]:
    """Leases on disk, a short history, few runs made ahead (reference: prefect.md)."""
    database = settings.arc.prefect.database
    url = database.get_secret_value() if database else f"sqlite+aiosqlite:///{home(settings) / 'prefect.db'}"
    host = settings.arc.prefect.host
    return common(settings) | {
        "PREFECT_SERVER_API_AUTH_STRING": password(settings),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": url,
        "PREFECT_UI_API_URL": f"http://{host}:{port}/api",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_SCHEDULER_MAX_RUNS": "10",
        "PREFECT_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "PT5M",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "21600",
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": "PT6H",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "100",
    }

"""Logs of jobs, published for people: `<dir>/<day>/<queue>/<PandaID>.out` and `.log`."""

import shutil
from datetime import datetime
from pathlib import Path

from act_core.atlas.translate import CE_ERRORS, HEARTBEAT
from act_core.logs import log
from act_core.settings.model import Settings

logger = log(__name__)


def publish(settings: Settings, directory: Path, booked: datetime, queue: str, panda_id: int) -> None:
    """Copy the pilot's stdout and the CE's log to where the web server looks. A full disk loses logs, never jobs."""
    joblog = settings.app.joblog
    if not joblog.urlprefix:
        return
    target = (joblog.dir or settings.app_dir / "joblog") / f"{booked:%Y-%m-%d}" / queue
    try:
        target.mkdir(parents=True, exist_ok=True)
        for source, name in ((directory / CE_ERRORS, f"{panda_id}.log"), (_stdout(directory), f"{panda_id}.out")):
            if source is not None and source.is_file():
                shutil.copyfile(source, target / name)
                (target / name).chmod(0o644)
    except OSError as err:
        logger.warning("job %d: logs not published in %s: %s", panda_id, target, err)


def _stdout(directory: Path) -> Path | None:
    """The one file at the top that is not the pilot's report."""
    try:
        return next((file for file in directory.iterdir() if file.is_file() and file.name != HEARTBEAT), None)
    except OSError:
        return None

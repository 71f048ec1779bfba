"""A control directory as A-REX leaves it, without A-REX: what it would do is done by hand."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from act_core.ce.arc_control import Control
from act_core.ce.arc_internal import ArcInternalCe, Options
from act_core.ce.base import RemoteId
from act_core.ce.registry import Place
from act_core.ids import TowerId
from act_core.jobspec import COMMIT_FILE, InputFile, JobSpec
from act_core.settings.model import Site

# A-REX serves no root: as root the directory is given away.
UID = os.geteuid() or 4242
TOWER = TowerId("tower001")
NAME, OTHER = f"act-{TOWER}-{'a' * 26}", f"act-tower002-{'a' * 26}"
JOB = "0123456789ab"
SPEC = JobSpec(executable="/bin/true")
COMMIT = InputFile(name=COMMIT_FILE, content="ok\n")
DESCRIPTION = (
    '<ActivityDescription xmlns="http://www.eu-emi.eu/es/2010/12/adl"><ActivityIdentification><Name>{}</Name>'
    "</ActivityIdentification></ActivityDescription>"
)


def document(state: str) -> str:
    """The xml of a job, as the information provider of 6.17 writes it, shortened."""
    return (
        '<ComputingActivity xmlns="http://schemas.ogf.org/glue/2009/03/spec_2.0_r1" BaseType="Activity">'
        f"<State>nordugrid:INLRMS:R</State><State>arcrest:{state}</State><Queue>fork</Queue>"
        "<ExecutionNode>node7</ExecutionNode><RequestedSlots>2</RequestedSlots>"
        "<StartTime>2026-11-21T11:59:17Z</StartTime></ComputingActivity>"
    )


@dataclass
class Host:
    """`hashed`: of ARC 7."""

    root: Path
    hashed: bool
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    pace: timedelta = timedelta(0)  # from one look at the clock to the next
    reader: int = -1

    def look(self) -> datetime:
        self.now += self.pace
        return self.now

    @property
    def path(self) -> Path:
        return self.root / "control"

    @property
    def conf(self) -> Path:
        return self.root / "arc.conf"

    def lay_out(self) -> None:
        for name in ("accepting", "processing", "restarting", "finished"):
            (self.path / name).mkdir(parents=True)
        if self.hashed:
            (self.path / "version2").touch()
        (self.root / "session").mkdir()
        self.conf.write_text(
            f"[arex]\ncontroldir={self.path}\nsessiondir={self.root}/session\n[queue:fork]\n[queue:long]\n"
        )
        os.mkfifo(self.path / "gm.fifo")
        os.chown(self.path, UID, -1)
        self.run()

    def run(self) -> None:
        """Somebody reads the pipe from now on."""
        self.reader = os.open(self.path / "gm.fifo", os.O_RDONLY | os.O_NONBLOCK)

    def end(self) -> None:
        if self.reader >= 0:
            os.close(self.reader)
        self.reader = -1

    def told(self) -> set[str]:
        """The ids to which attention was drawn since the last time."""
        try:
            return set(os.read(self.reader, 65536).decode().split("\0")) - {""}
        except BlockingIOError:
            return set()

    def control(self) -> Control:
        made = Control(self.path, UID)
        made.check()
        return made

    def ce(
        self, proxy: Path | None = None, uid: int = UID, deadline: timedelta = timedelta(minutes=1), **options: object
    ) -> ArcInternalCe:
        site = Site(kind="arc-internal", deadline=deadline)
        place = Place(
            name="ce", site=site, where="conf.yaml:3", line=lambda key: f"conf.yaml:{key}",
            state_dir=self.root / "state", ca_dir=self.root, proxy=proxy, token=None, now=self.look,
        )  # fmt: skip
        return ArcInternalCe(place, Options.model_validate({"arc_config": self.conf, **options}), uid)

    def file(self, job: str, name: str) -> Path:
        if self.hashed:
            return self.path / "jobs" / job[:3] / job[3:6] / job[6:9] / job[9:] / name
        return self.path / f"job.{job}.{name}"

    def status(self, directory: str, job: str) -> Path:
        return self.path / directory / (f"{job}.status" if self.hashed else f"job.{job}.status")

    def marks(self) -> set[str]:
        return {path.name for path in (self.path / "accepting").iterdir() if path.suffix != ".status"}

    def mark(self, job: str, wish: str) -> str:
        return f"{job}{wish}" if self.hashed else f"job.{job}.{wish}"

    def job(self, job: str, name: str, word: str, files: Mapping[str, str] | None = None) -> RemoteId:
        """A job that A-REX has taken."""
        session = self.root / "session" / job
        session.mkdir()
        made = {"description": DESCRIPTION.format(name), "errors": "", "local": f"sessiondir={session}\n"}
        for file, text in (made | dict(files or {})).items():
            self.file(job, file).parent.mkdir(parents=True, exist_ok=True)
            self.file(job, file).write_text(text)
        self.move(job, word)
        return RemoteId(job)

    def move(self, job: str, word: str) -> None:
        for directory in ("accepting", "processing", "restarting", "finished"):
            self.status(directory, job).unlink(missing_ok=True)
        over = word in ("FINISHED", "DELETED")
        self.status("finished" if over else "processing", job).write_text(word)

    def files_of(self, job: str) -> set[str]:
        """Whatever is there of a job, but for its session directory."""
        found = [path for path in self.path.rglob("*") if path.is_file() and path.name != "version2"]
        whole = {str(path.relative_to(self.path)) for path in found}
        return {name for name in whole if job in name.replace("/", "").replace("jobs", "")}

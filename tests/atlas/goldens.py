"""Whole jobs, from PanDA's and CRIC's words to what the CEs read: one file each in `golden/translate`.

A file holds what comes in (`job` as acquire_jobs gives it, `queue` as CRIC's feed has it, `site` as the configuration
adds to it, `translation` as the configuration sets it, `worker`), and what comes out (`spec`, `xrsl`, `adl`, `classad`
with the `script` of the node, or `refused`). To add a job, write what comes in; `python -m tests.atlas.goldens` writes
what comes out of all of them: read the difference before you commit it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from act_core.atlas.cric import Queue, parse_queues
from act_core.atlas.modes import Mode, mode_of
from act_core.atlas.translate import TranslateSettings, Worker, translate
from act_core.atlas.wire import PandaJob
from act_core.ce import htcondor_jobs
from act_core.ce.arc_adl import activity
from act_core.ce.base import SubmissionKey
from act_core.ce.htcondor_jobs import Options
from act_core.ce.xrsl_writer import written
from act_core.errors import BadInput
from act_core.jobspec import JobSpec
from act_core.settings.app_model import Cric, JobLog, PandaSite, Translation

FOLDER = Path(__file__).parent / "golden" / "translate"
KEY = SubmissionKey("act-tower001-0123456789abcdefghjkmnpqrs")
BOOKED = datetime(2026, 11, 21, 23, 59, tzinfo=UTC)
PILOTS = "https://pilots.test.example"
COMES_IN = ("what", "job", "queue", "site", "translation", "worker")
SETTINGS = TranslateSettings(
    schedulerid="act-test",
    wrapper=f"{PILOTS}/runpilot2-wrapper.sh",
    wrapper_rc=f"{PILOTS}/rc/wrapper.sh",
    tarball=f"{PILOTS}/pilot3.tar.gz",
    tarball_rc=f"{PILOTS}/pilot3-rc.tar.gz",
    tarball_dev=f"{PILOTS}/pilot3-dev.tar.gz",
    replicas="rucio://rucio.test.example;rucioaccount=pilot/replicas/{scope}/{lfn}",
    joblog=JobLog(urlprefix="https://logs.test.example/act/", analysis="public"),
    queuedata="http://cache.test.example:25085/cache/schedconfig/{queue}.all.json",
    panda=("https://panda.test.example", "25443"),
)


@dataclass(frozen=True)
class Golden:
    """One file, as it is and as it should be."""

    file: Path
    held: Mapping[str, Any] = field(repr=False)

    @property
    def queue(self) -> Queue:
        ((name, entry),) = self.held["queue"].items()
        sites = {name: PandaSite.model_validate(self.held["site"])} if "site" in self.held else {}
        parsed = parse_queues(json.dumps({name: entry}), Cric(), sites, {})
        assert parsed.problems == ()
        return parsed.queues[name]

    @property
    def worker(self) -> Worker | None:
        return Worker(**self.held["worker"]) if "worker" in self.held else None

    def translated(self) -> JobSpec:
        """Raises BadInput."""
        settings = replace(SETTINGS, translation=Translation.model_validate(self.held.get("translation", {})))
        return translate(PandaJob.parse(self.held["job"]), self.queue, settings, BOOKED, self.worker)

    def made(self) -> dict[str, Any]:
        """What comes out, as JSON has it."""
        try:
            spec = self.translated()
        except BadInput as err:
            return {"refused": str(err)}
        told: dict[str, Any] = {"spec": spec.model_dump(mode="json", exclude_defaults=True)}
        if mode_of(self.queue) is not Mode.HTCONDOR:
            told |= {"xrsl": written(spec).splitlines(), "adl": adl(spec)}
        if mode_of(self.queue) is not Mode.NATIVE:
            told |= {"classad": classad(spec), "script": htcondor_jobs.script(spec).splitlines()}
        return told

    def renewed(self) -> str:
        comes_in = {key: self.held[key] for key in COMES_IN if key in self.held}
        return json.dumps(comes_in | self.made(), indent=1, ensure_ascii=False) + "\n"


def goldens() -> Iterator[Golden]:
    for file in sorted(FOLDER.glob("*.json")):
        yield Golden(file, json.loads(file.read_text(encoding="utf-8")))


def adl(spec: JobSpec) -> list[str]:
    """The description for ARC, an element a line."""
    return re.sub("(?<=>)(?=<[^/])", "\n", activity(spec, KEY, "df5f", two_phase=True)).split("\n")


def classad(spec: JobSpec) -> dict[str, str]:
    """The submission to HTCondor with the job's own values filled in. Raises BadInput."""
    htcondor_jobs.check(spec)
    options = Options()
    shared = htcondor_jobs.description(
        "CE", htcondor_jobs.resource("ce.test.example:9619", options), options, None, None
    )
    item = htcondor_jobs.item(KEY, spec, Path("/jobs") / KEY, options, go=False, missing=None)
    return {key: re.sub(r"\$\((act_\w+)\)", lambda found: item[found[1]], value) for key, value in shared.items()}


def main() -> None:
    for golden in goldens():
        golden.file.write_text(golden.renewed(), encoding="utf-8")


if __name__ == "__main__":
    main()

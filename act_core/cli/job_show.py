"""`act jobs show`: what becomes of any job."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from act_core.ce.arc_adl import activity
from act_core.ce.xrsl_writer import written
from act_core.cli.context import database, settings
from act_core.cli.out import out, plain, print_json
from act_core.cli.stories import story
from act_core.errors import BadInput
from act_core.ids import SubmissionKey
from act_core.jobspec import JobSpec

Json = Annotated[bool, typer.Option("--json", help="for programs")]
Ids = Annotated[
    list[str],
    typer.Argument(help="job ids (of PanDA jobs: PandaIDs), submission keys, or ids on the CE", metavar="ID…"),
]


class Language(StrEnum):
    XRSL = "xrsl"
    ADL = "adl"


def show(
    ids: Ids,
    language: Annotated[
        Language | None, typer.Option("--as", help="its newest description instead, in this language of ARC")
    ] = None,
    of: Annotated[str | None, typer.Option("--app", help="of this application, where several have the id")] = None,
    json: Json = False,
) -> None:
    """Show a job's whole story: attempts, events, where its outputs lie."""
    held = settings()
    with database(held) as db:
        stories = [story(db, held, one, of) for one in ids]
    if language is not None:
        for told in stories:
            out.print(plain(_in_words(told, language)), markup=False)
        return
    if json:
        print_json(stories)
        return
    for told in stories:
        _print_story(told)


SHOWN = (
    "key",
    "remote_id",
    "native_state",
    "wish",
    "exit_code",
    "wall_s",
    "cpu_s",
    "node",
    "batch_id",
    "error",
    "outputs",
)


def _in_words(told: dict[str, Any], language: Language) -> str:
    """What a job asks for; of ADL what an ARC CE reads, but for the delegation. Raises BadInput."""
    if told["description"] is None:
        raise BadInput(f"the description of job {told['id']} is no longer kept")
    spec = JobSpec.model_validate(told["description"])
    if language is Language.XRSL:
        return written(spec)
    return activity(spec, SubmissionKey(told["attempts"][-1]["key"]), None, two_phase=True)


def _print_story(told: dict[str, Any]) -> None:
    out.print(f"[bold]{told['id']}[/bold] ({told['app']}) {told['name']}   candidates: {', '.join(told['candidates'])}")
    for one in told["logs"]:
        out.print(f"  {one['log']:6} {one['url']}   {one['file']}", highlight=False, soft_wrap=True, markup=False)
    for attempt in told["attempts"]:
        out.print(
            f"\nattempt {attempt['attempt']}: [bold]{attempt['state']}[/bold] at {attempt['ce'] or '(no CE yet)'}"
        )
        for key in SHOWN:
            if attempt[key] is not None:
                out.print(f"  {key:12} {attempt[key]}", highlight=False)
        for event in attempt["events"]:
            out.print(f"  [dim]{event['at']}[/dim] {event['from']} → {event['to']}  {event['reason']}", highlight=False)

"""`act jobs`: jobs without PanDA, and what becomes of any job."""

import typer

from act_core.cli import job_actions, job_list
from act_core.cli.later import Place, later

LATER = {"add": Place("job_add:add"), "show": Place("job_show:show"), "try": Place("try_job:try_")}
app = typer.Typer(cls=later(LATER), help="Add, list, show, try and steer jobs.", no_args_is_help=True)
app.command("list")(job_list.list_)
job_actions.add_to(app)

"""How fast, how large and how unlucky a simulated CE is; the control port changes it while it runs."""

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Pace(BaseModel):
    """All times in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slots: int = Field(default=100, ge=0)  # jobs that run at the same time
    run_s: tuple[float, float] = (1.0, 2.0)  # shortest and longest run, drawn evenly
    step_s: float = Field(default=0.05, ge=0)  # in each passing state
    kill_s: float = Field(default=0.5, ge=0)  # KILLING of a job that the batch system has
    info_period: float = Field(default=60.0, ge=0)  # between runs of the information provider; 0: never late
    stagein_timeout: float = Field(default=600.0, gt=0)  # for inputs that the client has to bring
    fail_stagein: float = Field(default=0.0, ge=0, le=1)  # fraction of jobs
    fail_run: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _ordered(self) -> "Pace":
        if not 0 <= self.run_s[0] <= self.run_s[1]:
            raise ValueError("run_s: shortest and longest run, in this order")
        return self

"""CRIC's pandaqueue entries, made from short descriptions: the shape of the real feed, with what people read of it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Flavour = Literal["ARC-CE", "HTCONDOR-CE", "LOCAL-CE"]
JOB_MANAGERS = {"ARC-CE": ("slurm", "arc"), "HTCONDOR-CE": ("condor", None), "LOCAL-CE": ("fork", None)}


class CeDescription(BaseModel):
    """One CE of a queue. `endpoint`: as CRIC has it (`https://host:443/arex`, `host:9619`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    endpoint: str
    flavour: Flavour = "ARC-CE"
    state: str = "ACTIVE"
    batch_queue: str = "atlas"
    walltime_min: int = 2880


class QueueDescription(BaseModel):
    """One PanDA queue. `fields` replaces or adds keys of the entry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    ces: tuple[CeDescription, ...] = ()
    status: str = "online"
    kind: str = "unified"  # type: production, analysis, unified, special
    native: bool = True  # the CE moves the data (copytool mv)
    cores: int = 8
    memory_mb: int = 16000
    walltime_s: int = 172800
    pilot_args: str = ""
    fields: dict[str, object] = Field(default_factory=dict)


def entry_of(queue: QueueDescription) -> dict[str, object]:
    """The entry as the feed has it (reference: panda.md section 5)."""
    return _names(queue) | _limits(queue) | _data(queue) | {"queues": _ces(queue)} | queue.fields


def _names(queue: QueueDescription) -> dict[str, object]:
    named = dict.fromkeys(("name", "nickname", "siteid", "panda_resource", "panda_queue_name"), queue.name)
    sited = dict.fromkeys(("atlas_site", "site", "rc_site", "gocname", "gstat", "panda_site"), "TEST-SITE")
    return {
        **named, **sited, "rc": "TEST-T2", "rc_country": "Norway", "cloud": "ND", "country": "Norway", "region": "ND",
        "tier": "T2D", "tier_level": 2, "vo_name": "atlas", "type": queue.kind, "resource_type": "GRID",
        "capability": "ucore", "state": "ACTIVE", "status": queue.status, "is_virtual": False, "is_default": True,
        "is_cvmfs": True, "workflow": "push", "harvester": None, "harvester_template": None, "pilot_manager": "aCT",
        "pilot_version": "3", "python_version": "3",
    }  # fmt: skip


def _limits(queue: QueueDescription) -> dict[str, object]:
    return {
        "corecount": queue.cores, "corepower": 12.5, "maxrss": queue.memory_mb, "minrss": 0, "meanrss": 2000,
        "memory": 0, "maxtime": queue.walltime_s, "mintime": 0, "maxwdir": 80000,
        "maxinputsize": 50000, "maxdiskio": 500,
        "timefloor": 0, "transferringlimit": 2000, "nodes": 100, "pledgedcpu": 800, "catchall": "", "environ": "",
        "appdir": "", "platform": "linux-64", "cmtconfig": "x86_64-el9-gcc13-opt",
        "container_type": "apptainer:wrapper", "container_options": "", "jobseed": "std",
        "fairsharepolicy": "", "releases": ["AUTO"], "special_par": "",
        "params": {"unified_dispatch": True, "pilot_rss_grace": 100, "pilot_args": queue.pilot_args},
    }  # fmt: skip


def _data(queue: QueueDescription) -> dict[str, object]:
    tool = "mv" if queue.native else "rucio"
    activities = ("pr", "pw", "pl")
    return {
        "allow_lan": True, "allow_wan": True, "direct_access_lan": False, "direct_access_wan": False,
        "use_pcache": False, "wnconnectivity": "full", "objectstores": [], "copytools": {tool: {"setup": ""}},
        "acopytools": {activity: [tool] for activity in (*activities, "default")}, "aprotocols": {},
        "astorages": {activity: ["TEST-SITE_DATADISK"] for activity in (*activities, "read_lan", "write_lan")},
    }  # fmt: skip


def _ces(queue: QueueDescription) -> list[dict[str, object]]:
    return [
        {
            "ce_id": 101 + number, "ce_name": ce.name, "ce_endpoint": ce.endpoint, "ce_hostname": _host(ce.endpoint),
            "ce_flavour": ce.flavour, "ce_version": "6", "ce_state": ce.state, "ce_status": "",
            "ce_implementation": ce.flavour, "ce_jobmanager": JOB_MANAGERS[ce.flavour][0],
            "ce_grid_type": JOB_MANAGERS[ce.flavour][1], "ce_queue_id": 1001 + number, "ce_queue_name": ce.batch_queue,
            "ce_queue_maxwctime": ce.walltime_min, "ce_queue_maxcputime": ce.walltime_min * queue.cores,
            "ce_queue_status": "Production",
        }
        for number, ce in enumerate(queue.ces)
    ]  # fmt: skip


def _host(endpoint: str) -> str:
    return endpoint.partition("://")[2].partition("/")[0].partition(":")[0] or endpoint.partition(":")[0]

"""The signatures of the new API's methods, and how strictly the server binds a call to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

REQUIRED = object()
TYPE_NAMES = {int: "int", str: "str", bool: "bool", list: "list", dict: "dict", float: "float"}

Arguments = Mapping[str, object]


class Refusal(Exception):
    """The call is refused with this message in the envelope; the HTTP status stays 200."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Accepted JSON types (the first one is cast to in a query string), default, and the type of list elements."""

    kinds: tuple[type, ...]
    default: object = None
    each: type | None = None

    @property
    def words(self) -> str:
        return " | ".join(TYPE_NAMES[kind] for kind in self.kinds)


@dataclass(frozen=True, slots=True)
class Signature:
    """One method: verb, who may call it, what it takes."""

    verb: str
    secure: bool = True
    production: bool = False
    parameters: Mapping[str, Parameter] = field(default_factory=dict)


def _optional(names: str, *kinds: type, default: object = None) -> dict[str, Parameter]:
    return {name: Parameter(kinds, default) for name in names.split()}


def _required(names: str, *kinds: type, each: type | None = None) -> dict[str, Parameter]:
    return {name: Parameter(kinds, REQUIRED, each) for name in names.split()}


_JOB_IDS = _required("job_ids", list, each=int)
_TIMEOUT = _optional("timeout", int, default=60)

UPDATE_JOB = Signature(
    "POST",
    production=True,
    parameters=_required("job_id", int)
    | _required("job_status", str)
    | _optional("job_output_report pilot_log meta_data stdout", str, default="")
    | _optional(
        "job_sub_status site_name node scheduler_id pilot_id batch_id start_time end_time pilot_error_diag "
        "exe_error_diag cpu_consumption_unit cpu_architecture_level job_metrics pilot_timing corrupted_files grid "
        "source_site destination_site",
        str,
    )
    | _optional(
        "attempt_nr trans_exit_code pilot_error_code exe_error_code n_events n_input_files cpu_consumption_time "
        "core_count mean_core_count",
        int,
    )
    | _optional(
        "cpu_conversion_factor max_rss max_vmem max_swap max_pss avg_rss avg_vmem avg_swap avg_pss tot_rchar tot_wchar "
        "tot_rbytes tot_wbytes rate_rchar rate_wchar rate_rbytes rate_wbytes",
        int,
        float,
    )
    | _TIMEOUT,
)

SIGNATURES: Mapping[str, Signature] = {
    "pilot/acquire_jobs": Signature(
        "POST",
        parameters=_required("site_name", str)
        | _TIMEOUT
        | _optional("n_jobs", int, default=1)
        | _optional("memory disk_space remaining_time task_id worker_id", int)
        | _optional(
            "prod_source_label node computing_element resource_type prod_user_id job_type harvester_id scheduler_id",
            str,
        )
        | _optional("background via_topic", bool)
        | _optional("get_proxy_key", bool, str)
        | _optional("target_architecture", dict, str),
    ),
    "pilot/update_job": UPDATE_JOB,
    "pilot/update_jobs_bulk": Signature(
        "POST",
        production=True,
        parameters=_required("job_list", list, each=dict) | _optional("harvester_id", str),
    ),
    "pilot/get_job_status": Signature("GET", parameters=_JOB_IDS | _TIMEOUT),
    "job/get_status": Signature("GET", parameters=_JOB_IDS | _TIMEOUT),
    "job/kill": Signature(
        "POST",
        parameters=_JOB_IDS
        | _optional("code", int)
        | _optional("use_email_as_id", bool, default=False)
        | {"kill_options": Parameter((list,), (), each=str)},
    ),
    "statistics/active_job_stats_by_site": Signature("GET", secure=False),
    "statistics/active_job_detailed_stats_by_site": Signature("GET", secure=False),
    "system/is_alive": Signature("GET", secure=False),
    "system/get_user_attributes": Signature("GET"),
    "metaconfig/get_resource_types": Signature("GET"),
    "harvester/heartbeat": Signature("POST", parameters=_required("harvester_id", str) | _optional("data", dict)),
    "harvester/update_workers": Signature(
        "POST", parameters=_required("harvester_id", str) | _required("workers", list)
    ),
    "harvester/get_current_worker_id": Signature("GET", parameters=_required("harvester_id", str)),
}


def bind(signature: Signature, given: Arguments, *, query: bool) -> dict[str, object]:
    """The arguments with defaults filled in. Raises Refusal in the server's words; nothing was applied then.

    `query`: the values come as text (or lists of text) from a query string or a form and GET methods cast them.
    """
    for name in given:
        if name not in signature.parameters:
            raise Refusal(f"Argument error: got an unexpected keyword argument '{name}'")
    for name, parameter in signature.parameters.items():
        if parameter.default is REQUIRED and name not in given:
            raise Refusal(f"Argument error: missing a required argument: '{name}'")
    return {
        name: _checked(name, parameter, given[name], query=query) if name in given else parameter.default
        for name, parameter in signature.parameters.items()
    }


def _checked(name: str, parameter: Parameter, value: object, *, query: bool) -> object:
    if query and not (parameter.default is None and value == "None"):
        value = _cast(name, parameter, value)
    elif query:
        value = None
    if value is None and parameter.default is None:
        return value
    if not isinstance(value, parameter.kinds):
        raise Refusal(f"Type error: '{name}' must be of type {parameter.words}, got {type(value).__name__}.")
    if parameter.each and isinstance(value, list) and not all(isinstance(item, parameter.each) for item in value):
        raise Refusal(f"Type error: All elements in '{name}' must be {TYPE_NAMES[parameter.each]}.")
    return value


def _cast(name: str, parameter: Parameter, value: object) -> object:
    kind = parameter.kinds[0]
    try:
        if kind is int:
            return int(float(str(value)))
        if kind is bool:
            return str(value).lower() in ("true", "1")
        if kind is list:
            items: Sequence[object] = value if isinstance(value, list) else [value]
            return [int(float(str(item))) for item in items] if parameter.each is int else list(items)
    except (ValueError, OverflowError):
        raise Refusal(
            f"Type error: '{name}' with value '{value}' could not be casted to type {TYPE_NAMES[kind]}"
            f" from {type(value).__name__}."
        ) from None
    return value

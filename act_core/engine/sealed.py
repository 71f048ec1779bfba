"""Sealed inputs are opened for the CE alone, in the moment in which it is given them."""

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from act_core.ce.base import Refused
from act_core.credentials.vault import Vault, key_file
from act_core.db import queries
from act_core.db.sealed import sealed_texts
from act_core.errors import CredentialError
from act_core.jobspec import JobSpec
from act_core.runtime import Runtime
from act_core.settings.model import Settings

WIPED = "its secrets are wiped: its application has closed the job"


@dataclass(frozen=True, slots=True)
class Opened:
    """Descriptions by id as a CE gets them, and of the others why they cannot be had."""

    specs: dict[int, JobSpec] = field(default_factory=dict)
    refused: dict[int, Refused] = field(default_factory=dict)


def vault(rt: Runtime) -> Vault:
    """The tower's key, as this process knows it."""
    return rt.kept(Vault, _open_vault, of=key_file)


def _open_vault(settings: Settings) -> Vault:
    return Vault(key_file(settings))


async def opened(rt: Runtime, ids: Collection[int]) -> Opened:
    """Descriptions with the texts of their sealed inputs: for the memory of this process, and for a CE."""
    specs = await rt.read(queries.specs, ids)
    closed = [one for one, spec in specs.items() if spec.sealed]
    if not closed:
        return Opened(specs)
    texts = await rt.read(sealed_texts, closed)
    return await asyncio.to_thread(_all_opened, vault(rt), specs, texts)


def _all_opened(key: Vault, specs: Mapping[int, JobSpec], texts: Mapping[int, bytes]) -> Opened:
    """A key that is not there may be tomorrow: who needs it waits."""
    found = Opened()
    for one, spec in specs.items():
        if not spec.sealed:
            found.specs[one] = spec
        elif one not in texts:
            found.refused[one] = Refused(WIPED, for_good=True)
        else:
            try:
                found.specs[one] = spec.opened(json.loads(key.open(texts[one]).get_secret_value()))
            except CredentialError as err:
                found.refused[one] = Refused(str(err), for_good=False)
    return found

"""Secrets that are told from all other text, planted wherever a tower holds one, and the search for them."""

import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from act_core.db.arrivals import NewJob
from act_core.jobspec import InputFile, JobSpec
from act_core.simulators.pki import TestPki
from act_core.simulators.token_issuer import unsigned
from act_core.web import passwords

JWT = "eyJhbGciOiJub25lIn0.eyJjYW5hcnkiOiJqd3QtNWUwMSJ9.c2lnbmVk"
NEVER = {  # may stand nowhere but in the file that was made for it
    "panda secrets": "canary-panda-a1f0",
    "pilot secrets": "canary-pilot-b2e1",
    "db.password": "canary-db-c3d2",
    "prefect.database": "canary-prefect-d4c3",
    "prefect password": "canary-clock-e5b4",
    "password of people": "canary-person-f6a5",
    "web token": "canary-web-token-0797",
    "clientsecret": "canary-client-1888",
    "clientsecretfile": "canary-client-file-2979",
    "token file": unsigned({"sub": "canary-bearer-file-3a6a", "exp": 4_000_000_000}),
    "option of a back end": "canary-option-4b5b",
    "password in an address": "canary-cric-5c4c",
    "password that a person types": "canary-typed-0d0d",
    "bearer token in an answer": JWT,
    "opaque bearer token in an answer": "canaryopaque6d3d",
    "password of an address in an answer": "canary-address-7e2e",
    "password in an answer": "canary-answer-8f1f",
}
OF_JOBS = {  # the job's own, which its payload is to get
    "variable of a job": "canary-variable-9a2a",
    "option of a job": "canary-argument-ab3b",
    "value after an option of a job": "canary-follows-bc4c",
    "option in jobPars": "canary-jobpars-cd5d",
    "address of an input": "canary-input-de6e",
}
ANSWER = (
    f"403 token Bearer {NEVER['opaque bearer token in an answer']} and {JWT} refused by "
    f"https://arc:{NEVER['password of an address in an answer']}@inside/x, db_password={NEVER['password in an answer']}"
)
MANUAL = "job-by-hand"
SECRETS = {"secrets": f'{{"TOKEN": "{NEVER["panda secrets"]}"}}', "pilotSecrets": NEVER["pilot secrets"]}
PEOPLE = {"vera": "viewer", "otto": "operator", "anna": "admin"}


@dataclass
class Garden:
    """What was planted, and what was found of it."""

    place: Path
    secrets: dict[str, str] = field(default_factory=lambda: dict(NEVER))
    found: list[str] = field(default_factory=list)
    looked_at: int = 0

    def look(self, where: str, text: str, but: Iterable[str] = ()) -> None:
        """Remember what stands there of the secrets, of the jobs' own ones, too, `but` these."""
        self.looked_at += 1
        for name, secret in {**self.secrets, **OF_JOBS}.items():
            if name not in but and any(form in text for form in forms(secret)):
                self.found.append(f"{name} in {where}: {_near(text, secret)}")

    def file(self, name: str, secret: str) -> str:
        path = self.place / name
        path.touch(mode=0o600)
        path.write_text(secret)
        return str(path)

    def write(self, urls: dict[str, str], pki: TestPki) -> None:
        """The configuration, with a secret wherever there can be one."""
        proxy = pki.proxy("tower", path=self.place / "proxy.pem")
        key = proxy.read_text().partition("PRIVATE KEY-----\n")[2].splitlines()[3]
        self.secrets["private key of the proxy"] = key
        (self.place / "aCTConfigARC.yaml").write_text(yaml.safe_dump(self._arc(urls, proxy, pki)))
        (self.place / "aCTConfigAPP.yaml").write_text(yaml.safe_dump(_app(urls)))

    def _arc(self, urls: dict[str, str], proxy: Path, pki: TestPki) -> dict[str, Any]:
        hashes = {name: passwords.hashed(f"{name}-{NEVER['password of people']}") for name in PEOPLE}
        self.secrets |= {f"hash of {name}": one for name, one in hashes.items()}
        client = {"issuer": urls["issuer"], "clientid": "act", "cacert": str(pki.ca_dir)}
        return {
            "db": {"password": NEVER["db.password"]},
            "prefect": {"database": f"postgresql+asyncpg://act:{NEVER['prefect.database']}@nowhere/prefect"},
            "voms": {"proxypath": str(proxy), "cacertdir": str(pki.ca_dir)},
            "tokens": {
                "good": client | {"clientsecretfile": self.file("client", NEVER["clientsecretfile"])},
                "bad": client | {"clientsecret": NEVER["clientsecret"]},
                "held": {"file": self.file("bearer", NEVER["token file"])},
            },
            "sites": {
                "here": {"kind": "local", "options": {"slots": 4}},
                "away": {"endpoint": f"{urls['arc']}/arex", "credential": "both", "token": "good"},
                "nobody": {"endpoint": "https://127.0.0.1:9/arex"},
                "held": {"endpoint": f"{urls['arc']}/held", "credential": "both", "token": "bad"},
            },
            "jobs": {"checkinterval": 0, "checkmintime": 0, "archiveafter": 0, "spread": 0, "fetchbackoff": 0},
            "clean": {"keepfailed": 0},
            "disk": {"fetchjobs": 0, "downloads": 0},
            "logger": {"level": "debug"},
            "web": {
                "users": {name: {"role": role, "password": hashes[name]} for name, role in PEOPLE.items()},
                "tokens": {"robot": {"role": "admin", "tokenfile": self.file("web-token", NEVER["web token"])}},
            },
        }


def _app(urls: dict[str, str]) -> dict[str, Any]:
    replicas = urls["storage"] + "/replicas/{scope}/{lfn}"
    panda = {"server": urls["panda"], "minjobs": 1000, "fetchpause": 0, "timeout": "20 s", "workers": True}
    return {
        "modules": {"app": ["atlas"]},
        "panda": panda,
        "cric": {"server": urls["cric"].replace("://", f"://act:{NEVER['password in an address']}@")},
        "executable": {"wrapperurl": urls["wrapper"], "queuedata": "", "replicas": replicas},
        "apps": {"nothing": {"password": NEVER["option of a back end"]}},
    }


def extra(fail: int) -> dict[str, str | int]:
    """Fields of a PanDA job."""
    return {**SECRETS, "jobPars": f"--fail {fail} --usersecret={OF_JOBS['option in jobPars']} --sleep 0"}


def by_hand(ce: str) -> NewJob:
    """A job whose variables, arguments and inputs have secrets."""
    spec = JobSpec(
        name="planted",
        executable="/bin/true",
        arguments=(f"--usersecret={OF_JOBS['option of a job']}", "--token", OF_JOBS["value after an option of a job"]),
        environment={"X_TOKEN": OF_JOBS["variable of a job"]},
        inputs=(InputFile(name="a", source=f"https://u:{OF_JOBS['address of an input']}@127.0.0.1/x"),),
    )
    return NewJob("manual", MANUAL if ce == "away" else f"{MANUAL}-2", spec, frozenset({ce}), 3)


def forms(secret: str) -> set[str]:
    """As it may stand in a page, an address or a document."""
    return {secret, html.escape(secret), quote(secret, safe=""), json.dumps(secret)[1:-1]}


def _near(text: str, secret: str) -> str:
    at = next(text.index(form) for form in forms(secret) if form in text)
    return " ".join(text[max(0, at - 100) : at + 60].split())


def files_for_others(root: Path) -> Iterator[tuple[str, str]]:
    """Files that others than us may read, and what is in them."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.stat().st_mode & 0o077:
            yield f"{path.relative_to(root)} ({path.stat().st_mode & 0o777:o})", path.read_bytes().decode("latin-1")

"""What two HTCondor pools for tests find in their directories: configurations, keys, a token issuer of their own.

`submit` has a schedd and a gridmanager: the client's side. `ce` has slots too, and stands in for an HTCondor-CE.
"""

import base64
import json
import os
import secrets
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

ACCOUNT, UID = "gridjobs", 61001  # whose jobs they are, in both pools
ISSUER = "https://issuer.act.test"
POOLS = ("submit", "ce")
_KEY_DAYS = 30 * 86400

_COMMON = """\
RELEASE_DIR = /usr
LOCAL_DIR = {var}
LOG = {var}/log
SPOOL = {var}/spool
EXECUTE = {home}/session
LOCK = {var}/lock
RUN = {var}/run
ETC = {var}/etc
DAEMON_SOCKET_DIR = {var}/sock
BIN = /usr/bin
SBIN = /usr/sbin
LIB = /usr/lib/condor
LIBEXEC = /usr/libexec/condor
SHARE = /usr/share/condor
CONDOR_IDS = {ids}
CONDOR_HOST = 127.0.0.1
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
NETWORK_HOSTNAME = localhost
ENABLE_IPV6 = False
USE_SHARED_PORT = True
SHARED_PORT_PORT = {port}
COLLECTOR_HOST = 127.0.0.1:{port}
COLLECTOR_USES_SHARED_PORT = True
SCHEDD_NAME = {pool}@localhost
UID_DOMAIN = {pool}.act.test
FILESYSTEM_DOMAIN = {pool}.act.test
TRUST_DOMAIN = {pool}.act.test
SEC_CREDENTIAL_DIRECTORY =
SEC_DEFAULT_AUTHENTICATION = REQUIRED
SEC_DEFAULT_INTEGRITY = REQUIRED
SEC_DEFAULT_ENCRYPTION = OPTIONAL
SEC_DEFAULT_AUTHENTICATION_METHODS = {methods}
SEC_PASSWORD_DIRECTORY = {var}/etc/passwords.d
SEC_TOKEN_POOL_SIGNING_KEY_FILE = {var}/etc/passwords.d/POOL
SEC_TOKEN_SYSTEM_DIRECTORY = {var}/etc/tokens.d
AUTH_SSL_CLIENT_CAFILE = {home}/ce/etc/trust_domain_ca.pem
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_ADMINISTRATOR = root@*, condor@*
ALLOW_DAEMON = root@*, condor@*
ALLOW_NEGOTIATOR = root@*, condor@*
QUEUE_SUPER_USERS = root, condor
MAIL = /bin/true
ENABLE_KERNEL_TUNING = False
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
MASTER_BACKOFF_CONSTANT = 1
MAX_HISTORY_LOG = 20000000
"""
_SUBMIT = """\
DAEMON_LIST = MASTER, COLLECTOR, SCHEDD
# a grid job shows its own token to the CE, and nothing else would be taken there
SEC_CLIENT_AUTHENTICATION_METHODS = SCITOKENS, FS, IDTOKENS
DELEGATE_JOB_GSI_CREDENTIALS = False
GRIDMANAGER_CHECKPROXY_INTERVAL = 2
GRIDMANAGER_PROXY_REFRESH_INTERVAL = 2
CONDOR_JOB_POLL_INTERVAL = 2
GRIDMANAGER_JOB_PROBE_INTERVAL = 2
GRIDMANAGER_JOB_PROBE_RATE = 50
GRIDMANAGER_GAHP_RESPONSE_TIMEOUT = 20
GRIDMANAGER_RESOURCE_PROBE_INTERVAL = 5
GRIDMANAGER_RESOURCE_PROBE_DELAY = 2
GRIDMANAGER_CONTACT_SCHEDD_DELAY = 1
C_GAHP_CONTACT_SCHEDD_DELAY = 1
GRIDMANAGER_LOG = {var}/log/GridmanagerLog.$(USERNAME)
C_GAHP_LOG = {var}/gahp/CGAHPLog.$(USERNAME)
C_GAHP_WORKER_THREAD_LOG = {var}/gahp/CGAHPWorkerLog.$(USERNAME)
C_GAHP_LOCK = {var}/gahp/CGAHPLock.$(USERNAME)
C_GAHP_WORKER_THREAD_LOCK = {var}/gahp/CGAHPWorkerLock.$(USERNAME)
"""
_CE = """\
DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD, STARTD
CERTIFICATE_MAPFILE = {var}/etc/mapfile
NUM_CPUS = {slots}
MEMORY = 4000 * {slots}
NUM_SLOTS = 1
NUM_SLOTS_TYPE_1 = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True
START = True
SUSPEND = False
PREEMPT = False
KILL = False
RANK = 0
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
UPDATE_INTERVAL = 5
JOB_START_COUNT = 50
JOB_START_DELAY = 0
CLAIM_WORKLIFE = 3600
SHADOW_QUEUE_UPDATE_INTERVAL = 5
STARTER_UPDATE_INTERVAL = 5
SHADOW_CHECKPROXY_INTERVAL = 2
BASE_CGROUP =
CGROUP_MEMORY_LIMIT_POLICY = none
MOUNT_UNDER_SCRATCH =
MOUNT_PRIVATE_DEV_SHM = False
STARTD_DETECT_GPUS = False
DISCARD_SESSION_KEYRING_ON_STARTUP = False
FILETRANSFER_PLUGINS = {var}/etc/fetch
RunBenchmarks = False
"""

# The packaged plugin tries again for minutes where nobody listens.
_FETCH = """\
#!/usr/bin/python3 -I
import shutil, sys, urllib.request
if sys.argv[1] == "-classad":
    print('PluginType = "FileTransfer"\\nSupportedMethods = "http,https"\\nMultipleFileSupport = false')
else:
    with urllib.request.urlopen(sys.argv[1], timeout=5) as source, open(sys.argv[2], "wb") as target:
        shutil.copyfileobj(source, target)
"""


def configuration(pool: str, home: str, port: int, ids: str, slots: int) -> str:
    """condor_config of a pool. `home`: as seen from inside; `ids`: uid.gid of the daemons' account."""
    methods = "FS, IDTOKENS" if pool == "submit" else "SCITOKENS, IDTOKENS"  # nobody is local to a CE
    text = _COMMON + (_SUBMIT if pool == "submit" else _CE)
    values = {"var": f"{home}/{pool}", "home": home, "pool": pool, "port": port, "ids": ids, "methods": methods}
    for name, value in (values | {"slots": slots}).items():
        text = text.replace("{" + name + "}", str(value))
    return text


def lay_out(home: Path, pool: str, uid: int, gid: int) -> None:
    """Directories of a pool, with a signing key. `uid`, `gid`: of the daemons' account."""
    var = home / pool
    for name in ("log", "spool", "lock", "run", "run/cache", "sock", "gahp"):
        (var / name).mkdir(parents=True)
        os.chown(var / name, uid, gid)
    (var / "gahp").chmod(0o1777)
    for name in ("etc/passwords.d", "etc/tokens.d"):
        (var / name).mkdir(parents=True)
        (var / name).chmod(0o700)
    key = var / "etc/passwords.d/POOL"
    key.write_bytes(secrets.token_bytes(64))
    key.chmod(0o600)
    fetch = var / "etc/fetch"
    fetch.write_text(_FETCH)
    fetch.chmod(0o755)


class Issuer:
    """A token issuer that exists only as a key in the CE's cache of keys."""

    def __init__(self, home: Path, uid: int, gid: int) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        (home / "ce/etc/mapfile").write_text(f'SCITOKENS "{ISSUER},pilot" {ACCOUNT}\n')
        cache = home / "ce/run/cache/scitokens"
        cache.mkdir()
        now = int(time.time())
        keys = {"jwks": self._jwks(), "expires": now + _KEY_DAYS, "next_update": now + _KEY_DAYS}
        file = cache / "scitokens_cpp.sqllite"
        with closing(sqlite3.connect(file)) as db, db:
            db.execute("CREATE TABLE keycache (issuer text UNIQUE PRIMARY KEY NOT NULL, keys text NOT NULL)")
            db.execute("INSERT INTO keycache VALUES (?, ?)", (ISSUER, json.dumps(keys)))
        for path in (cache, file):
            os.chown(path, uid, gid)

    def token(self, subject: str = "pilot", life_s: int = 86400) -> str:
        now = int(time.time())
        claims = {
            "iss": ISSUER, "sub": subject, "aud": "ANY", "ver": "scitoken:2.0", "jti": secrets.token_hex(8),
            "scope": "condor:/READ condor:/WRITE", "iat": now, "nbf": now - 5, "exp": now + life_s,
        }  # fmt: skip
        text = ".".join(_text(json.dumps(part).encode()) for part in (_header(), claims))
        first, second = utils.decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_text(first.to_bytes(32) + second.to_bytes(32))}"

    def _jwks(self) -> dict[str, object]:
        point = self._key.public_key().public_numbers()
        place = {"x": _text(point.x.to_bytes(32)), "y": _text(point.y.to_bytes(32))}
        return {"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", **_header(), **place}]}


def _header() -> dict[str, str]:
    return {"alg": "ES256", "typ": "JWT", "kid": "act"}


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

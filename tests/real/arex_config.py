"""What a test's A-REX finds in its directory: arc.conf, quicker copies of ARC's scripts, daemons kept to loopback."""

import os
import re
import shutil
from pathlib import Path

from arex_install import CannotInstall

SCAN_S = 2  # between looks for ended jobs; packaged: 10
DIRECTORIES = ("run", "log", "control", "session", "tmp", "arc/lib", "arc/share")
LOOP = '#!/bin/bash\nwhile kill -0 $PPID 2>/dev/null; do bash "${0%/*}/scan-once" "$@"; done\n'


def configuration(inner: str, url: str) -> str:
    """arc.conf. `inner`: the directory as seen from inside; there are `pki` and `subjects`."""
    scripts = 2 * (os.cpu_count() or 1)  # unlimited, a few hundred jobs stall a small machine
    return f"""\
[common]
hostname = localhost
x509_host_key = {inner}/pki/host.key
x509_host_cert = {inner}/pki/host.pem
x509_cert_dir = {inner}/pki/certificates
[authgroup:users]
file = {inner}/subjects
[mapping]
map_to_user = users nobody:nogroup
[authtokens]
[lrms]
lrms = fork
[arex]
controldir = {inner}/control
sessiondir = {inner}/session
logfile = {inner}/log/arex.log
joblog = {inner}/log/jobs.log
pidfile = {inner}/run/arex.pid
tmpdir = {inner}/tmp
loglevel = INFO
wakeupperiod = 2
maxjobs = -1 -1 -1 -1 {scripts}
[arex/ws]
wsurl = {url}
logfile = {inner}/log/ws.log
pidfile = {inner}/run/arex-ws.pid
[arex/ws/jobs]
allowaccess = users
[infosys]
logfile = {inner}/log/info.log
loglevel = WARNING
[infosys/glue2]
[infosys/cluster]
[queue:fork]
"""


def lay_out(root: Path, home: Path, info_period: int) -> None:
    """Directories, and an ARC_LOCATION of its own. `info_period`: of the information provider, in seconds.

    Raises CannotInstall when a script of this release has not the lines that have to be other ones.
    """
    for name in DIRECTORIES:
        (home / name).mkdir(parents=True)
    (home / "tmp").chmod(0o1777)
    own, packaged = home / "arc", root / "usr/share/arc"
    for link, target in (("sbin", "/usr/sbin"), ("bin", "/usr/bin"), ("lib/arc", "/usr/lib/arc")):
        (own / link).symlink_to(target)
    shutil.copytree(packaged, own / "share/arc", symlinks=True)
    share = own / "share/arc"
    # A-REX begins a new scan only each 10 s: one that goes on by itself is quicker
    (share / "scan-once").write_text(_other(packaged / "scan-fork-job", r"^sleep 10$", f"sleep {SCAN_S}"))
    (share / "scan-fork-job").write_text(LOOP)
    submit = share / "submit-fork-job"
    submit.write_text(_other(submit, r"^(\s+)sleep 1$", r"\1sleep 0.1"))
    cancel = share / "cancel-fork-job"
    cancel.write_text(_other(cancel, r"^(\s+)sleep 5$", r"\1sleep 0.5"))
    period = f"<arex:InfoproviderWakeupPeriod>{info_period * 10}</arex:InfoproviderWakeupPeriod>"  # in 0.1 s
    daemon = _other(packaged / "arc-arex-start", "<arex:gmconfig>", f"{period}<arex:gmconfig>")
    (home / "run/arex-start").write_text(daemon)
    loopback = "<tcp:Listen><tcp:Interface>127.0.0.1</tcp:Interface><tcp:Port>"
    web = _other(packaged / "arc-arex-ws-start", "<tcp:Listen><tcp:Port>", loopback)
    (home / "run/arex-ws-start").write_text(web)


def _other(script: Path, pattern: str, replacement: str) -> str:
    text, found = re.subn(pattern, replacement, script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if not found:
        raise CannotInstall(f"{script.name} of this release has no {pattern!r}: it cannot be made ready for tests")
    return text

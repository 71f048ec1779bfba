"""The making of VOMS proxies by an obedient program; the real ones are asked in `tests/real/test_voms_programs.py`.

The stand-in takes the command line of arcproxy; what it does then stands in a file beside it.
"""

import shutil
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from act_core.credentials.proxy import read_proxy
from act_core.credentials.voms_client import Renewed, command, last_words, program, renew, surroundings
from act_core.errors import ConfigError, CredentialError
from act_core.settings.policy import Voms
from act_core.simulators.pki import TestPki

HOUR = timedelta(hours=1)
PILOT = "/atlas/Role=pilot"
STAND_IN = """\
#!/bin/sh
here=$(dirname "$0")
echo "$@" >> "$here/asked"
env > "$here/env"
while [ $# -gt 0 ]; do case "$1" in -P) out=$2 ;; esac; shift; done
. "$here/plan"
"""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Stand:
    """A renewer that does what `plan` says."""

    voms: Voms
    here: Path
    place: Path

    def plan(self, script: str) -> None:
        (self.here / "plan").write_text(script)

    def asked(self) -> list[str]:
        return (self.here / "asked").read_text().splitlines()

    async def renew(self, deadline: float = 20) -> Renewed:
        return await renew(self.voms, "pilot", self.place, _now, pause=0, deadline=deadline)


@pytest.fixture
def stand(pki: TestPki, tmp_path: Path) -> Stand:
    here = tmp_path / "bin"
    here.mkdir()
    (here / "arcproxy").write_text(STAND_IN)
    (here / "arcproxy").chmod(0o755)
    source = pki.proxy("robot", 900 * HOUR, path=tmp_path / "robot.pem")
    voms = Voms(vo="atlas", roles=("pilot",), proxypath=source, bindir=here, cacertdir=pki.ca_dir)
    return Stand(voms, here, tmp_path / "store" / "atlas-pilot.pem")


@pytest.fixture
def result(pki: TestPki, stand: Stand) -> Callable[..., Path]:
    """A proxy that the stand-in can bring."""

    def make(name: str = "robot", hours: float = 96, roles: tuple[str, ...] = (PILOT, "/atlas")) -> Path:
        return pki.proxy(name, hours * HOUR, path=stand.here / "result.pem", roles=roles)

    return make


async def test_a_fresh_proxy_in_its_place(
    stand: Stand, result: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACT_DB__PASSWORD", "very secret")
    result()
    stand.plan('cp "$here/result.pem" "$out"; chmod 600 "$out"')
    done = await stand.renew()
    assert (done.credential.proxy, done.credential.roles[0], done.but) == (stand.place, PILOT, None)
    assert stat.S_IMODE(stand.place.stat().st_mode) == 0o600
    assert stat.S_IMODE(stand.place.parent.stat().st_mode) == 0o700
    assert list(stand.place.parent.iterdir()) == [stand.place]
    (asked,) = stand.asked()
    assert f"-S atlas:{PILOT} -c validityPeriod=345600 -c vomsACvalidityPeriod=345600" in asked
    environment = (stand.here / "env").read_text()
    assert "very secret" not in environment
    assert f"X509_CERT_DIR={stand.voms.cacertdir}" in environment


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        pytest.param('echo "no role for you" >&2; exit 1', "exit code 1: no role for you", id="refused"),
        pytest.param('echo "succeeded"', "cannot be read: No such file or directory; it said: succeeded", id="nothing"),
        pytest.param('echo x > "$out"', "is no proxy", id="rubbish"),
        pytest.param("kill -9 $$", "exit code -9", id="killed"),
    ],
)
async def test_three_tries_and_the_old_one_stays(
    stand: Stand, result: Callable[..., Path], plan: str, words: str
) -> None:
    stand.place.parent.mkdir(mode=0o700)
    shutil.copy(result(), stand.place)
    before = stand.place.read_bytes()
    stand.plan(plan)
    with pytest.raises(CredentialError, match="arcproxy made no good proxy in 3 tries") as told:
        await stand.renew()
    assert words in str(told.value)
    assert len(stand.asked()) == 3
    assert stand.place.read_bytes() == before
    assert list(stand.place.parent.iterdir()) == [stand.place]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        pytest.param({"name": "mallory"}, "it is /DC=org/DC=act-test/CN=mallory's", id="of somebody else"),
        pytest.param({"roles": ()}, "no VOMS attributes", id="arcproxy succeeds without attributes"),
        pytest.param({"roles": ("/atlas", PILOT)}, "its first role is /atlas", id="another role first"),
        pytest.param({"hours": -1}, "it has ended already", id="ended"),
    ],
)
async def test_what_was_not_asked_for_is_not_used(
    stand: Stand, result: Callable[..., Path], made: dict[str, object], words: str
) -> None:
    result(**made)
    stand.plan('cp "$here/result.pem" "$out"')
    with pytest.raises(CredentialError) as told:
        await stand.renew()
    assert words in str(told.value)
    assert not stand.place.exists()


async def test_a_second_try_may_be_better(stand: Stand, result: Callable[..., Path]) -> None:
    result(hours=24)
    stand.plan('[ $(wc -l < "$here/asked") -lt 2 ] && exit 3; cp "$here/result.pem" "$out"')
    done = await stand.renew()
    assert len(stand.asked()) == 2
    assert done.but == "the VOMS server gives it 24 h of the 96 h that were asked for"


async def test_a_program_that_hangs_is_killed_with_its_children(
    stand: Stand, eventually: Callable[..., Awaitable[Any]]
) -> None:
    stand.plan('sleep 600 & echo $! > "$here/child"; wait')
    with pytest.raises(CredentialError, match=r"did not end within 0\.4 s"):
        await stand.renew(deadline=0.4)
    children = [path.read_text().strip() for path in stand.here.glob("child")]

    async def gone() -> bool:
        return not any(_lives(child) for child in children)

    await eventually(gone, "the end of the program's child")


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_source_that_has_expired(stand: Stand, pki: TestPki) -> None:
    pki.proxy("robot", -HOUR, path=stand.voms.proxypath)
    with pytest.raises(CredentialError, match=r"robot\.pem expired at"):
        await stand.renew()


async def test_a_store_that_is_open_to_others(stand: Stand) -> None:
    stand.place.parent.mkdir(mode=0o755)
    with pytest.raises(ConfigError, match=r"store is open to others.*chmod 700"):
        await stand.renew()


def test_which_program(stand: Stand, tmp_path: Path) -> None:
    assert program(stand.voms) == ("arcproxy", stand.here / "arcproxy")
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(stand.here / "arcproxy", other / "voms-proxy-init")
    assert program(stand.voms.model_copy(update={"bindir": other}))[0] == "voms-proxy-init"
    with pytest.raises(ConfigError, match=r"no voms-proxy-init in .*bin: install it"):
        program(stand.voms.model_copy(update={"renewer": "voms-proxy-init"}))
    with pytest.raises(ConfigError, match=r"no arcproxy or voms-proxy-init in \$PATH"):
        program(Voms(), path=str(tmp_path))


VOMS_PROXY_INIT = """\
#!/bin/sh
# Takes what voms-proxy-init 2.1 takes of our words, each once, and nothing else.
here=$(dirname "$0")
for word in "$@"; do [ "$word" = "-${word#-}" ] && echo "$word"; done | sort | uniq -d | grep . && exit 2
while [ $# -gt 0 ]; do
    case "$1" in
        -rfc) shift 1; continue ;;
        -out) out=$2 ;;
        -cert|-key) [ -r "$2" ] || { echo "no $2"; exit 1; } ;;
        -certdir) [ -d "$2" ] || { echo "no $2"; exit 1; } ;;
        -voms) fqan=${2#*:} vo=${2%%:*} ;;
        -valid) echo "$2" | grep -Eqx '[0-9]+:[0-5][0-9]' || { echo "bad time $2"; exit 1; } ;;
        -bits|-timeout) [ "$2" -gt 0 ] || exit 1 ;;
        -vomses) [ -e "$2" ] || { echo "no $2"; exit 1; } ;;
        *) echo "unrecognized: $1"; exit 1 ;;
    esac
    shift 2
done
echo "Contacting  localhost:15000 [$vo]... Done"
[ -r "$here/result.pem" ] || { echo "$vo: User unknown to this VO." >&2; exit 1; }
cp "$here/result.pem" "$out" && chmod 600 "$out"
echo "Creating proxy to $out for $fqan ... Done"
"""


async def test_an_obedient_voms_proxy_init(stand: Stand, result: Callable[..., Path], tmp_path: Path) -> None:
    (stand.here / "arcproxy").unlink()
    (stand.here / "voms-proxy-init").write_text(VOMS_PROXY_INIT)
    (stand.here / "voms-proxy-init").chmod(0o755)
    with pytest.raises(CredentialError, match=r"voms-proxy-init made no good proxy in 3 tries: .*User unknown to this"):
        await stand.renew()
    result(hours=90)
    (tmp_path / "vomses").touch()
    voms = stand.voms.model_copy(update={"vomses": tmp_path / "vomses"})
    done = await Stand(voms, stand.here, stand.place).renew()
    assert (read_proxy(stand.place).roles[0], done.but is None) == (PILOT, False)
    assert list(stand.place.parent.iterdir()) == [stand.place]


def test_the_words_of_voms_proxy_init() -> None:
    voms = Voms(vo="atlas", proxypath="/r.pem", cacertdir="/ca", vomses="/v", proxylifetime="90 min")
    words = " ".join(command("voms-proxy-init", Path("/bin/vpi"), voms, "/atlas", Path("/o")))
    assert words == (
        "/bin/vpi -rfc -out /o -cert /r.pem -key /r.pem -certdir /ca -voms atlas:/atlas -valid 1:30 -bits 2048 "
        "-timeout 20 -vomses /v"
    )


def test_what_the_program_is_told_of_the_machine() -> None:
    given = {"PATH": "/bin", "ACT_X": "s", "X509_USER_KEY": "/k", "ARC_LOCATION": "/arc", "OTHER": "x"}
    assert surroundings(Voms(proxypath="/r", cacertdir="/ca", vomsdir="/vd", vomses="/v"), given) == {
        "PATH": "/bin",
        "X509_USER_KEY": "/k",
        "ARC_LOCATION": "/arc",
        "X509_CERT_DIR": "/ca",
        "X509_USER_PROXY": "/r",
        "X509_VOMS_DIR": "/vd",
        "X509_VOMSES": "/v",
    }


def test_last_words() -> None:
    assert last_words(b"\x1b[31mno\n\xff role\x00") == "[31mno � role"
    assert len(last_words(b"x" * 10_000)) == 300
    assert last_words(b"\n") == "nothing"

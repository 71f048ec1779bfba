"""arc.conf as a client on the same host reads it."""

from pathlib import Path

import pytest

from act_core.ce.arc_conf import read_conf
from act_core.errors import ConfigError

WHOLE = """\
# a comment = none of ours
[common]
hostname = "ce.example.org"
[lrms]
lrms = slurm long
[arex]
controldir=/srv/control
sessiondir = /srv/session1
sessiondir = /srv/session2 drain
sessiondir = /srv/session3
[arex/ws/jobs]
allownew = no
[queue:short]
comment = [not a block]
[ queue : long ]
"""


def test_everything_that_is_used() -> None:
    conf = read_conf(WHOLE)
    assert conf.control == Path("/srv/control")
    assert conf.sessions == (Path("/srv/session1"), Path("/srv/session3"))
    assert (conf.host, conf.lrms, conf.default_queue, conf.queues) == (
        "ce.example.org",
        "slurm",
        "long",
        ("short", "long"),
    )
    assert not conf.takes_jobs


def test_the_defaults_of_arc() -> None:
    conf = read_conf("[arex]\n[queue:one]\n")
    assert (conf.control, conf.sessions) == (Path("/var/spool/arc/jobstatus"), (Path("/var/spool/arc/sessiondir"),))
    assert (conf.host, conf.lrms, conf.default_queue, conf.queues) == ("localhost", "fork", None, ("one",))
    assert conf.takes_jobs


@pytest.mark.parametrize(
    ("text", "wanted", "queue"),
    [
        pytest.param("[queue:a]\n[queue:b]\n", None, "a", id="the first"),
        pytest.param("[lrms]\nlrms=fork b\n[queue:a]\n[queue:b]\n", None, "b", id="the default"),
        pytest.param("[queue:a]\n[queue:b]\n", "b", "b", id="the wanted"),
        pytest.param("[queue:a]\n", "z", None, id="none of that name"),
        pytest.param("[lrms]\nlrms=fork gone\n[queue:a]\n", None, None, id="a default that is not there"),
        pytest.param("", None, None, id="none at all"),
    ],
)
def test_the_queue_of_a_job(text: str, wanted: str | None, queue: str | None) -> None:
    assert read_conf(text).queue_for(wanted) == queue


@pytest.mark.parametrize(
    "line", [pytest.param("sessiondir=*", id="in homes"), pytest.param("controldir=/srv/%U", id="substituted")]
)
def test_paths_that_only_a_rex_can_follow(line: str) -> None:
    with pytest.raises(ConfigError, match=line.partition("=")[0]):
        read_conf(f"[arex]\n{line}\n")


def test_no_session_directory_takes_jobs() -> None:
    assert read_conf("[arex]\nsessiondir=/a drain\n").sessions == ()

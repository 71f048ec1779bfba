"""What a text for others does not tell."""

import pytest

from act_core.monitor.redact import Hidden

HIDDEN = Hidden(
    places=("tower7.lan", "db.inside", "/srv/act/state"),
    arguments=("--panda-token-of-alice", "s3cr3t-argument", "a"),
    shown="10.1.2.3",
)
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        pytest.param(f"got {PEM} here", "got [removed] here", id="a key"),
        pytest.param("-----BEGIN CERTIFICATE-----\nMIIEv", "[removed]", id="a certificate that was cut"),
        pytest.param(
            "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln was bad", "token [removed] was bad", id="a token"
        ),
        pytest.param("Authorization: Bearer abcdef123456.x", "Authorization: Bearer [removed]", id="a header"),
        pytest.param("bearer abcdef123456", "bearer [removed]", id="a bearer"),
        pytest.param("db_password=hunter2;x=1", "db_password=[removed];x=1", id="a password"),
        pytest.param('{"secret": "hunter2", "n": 1}', '{"secret=[removed]", "n": 1}', id="a secret in JSON"),
        pytest.param("the token: expired", "the token: expired", id="a sentence about a token stays"),
        pytest.param(
            "https://bob:pw@x.org/a?sig=1#f bad", "https://x.org/a bad", id="an address with a user and a query"
        ),
        pytest.param("from tower7.lan to db.inside", "from [private] to [private]", id="hosts of the tower"),
        pytest.param("tower7.lanes", "tower7.lanes", id="part of a word"),
        pytest.param("/srv/act/state/proxies/x.pem: no", "[private]/proxies/x.pem: no", id="the state directory"),
        pytest.param("/home/op/x509up missing", "[private] missing", id="a home"),
        pytest.param(
            "/var/spool/arc/session/df1 is full", "/var/spool/arc/session/df1 is full", id="the CE's own path"
        ),
        pytest.param("192.168.7.1 and 127.0.0.1", "[private] and [private]", id="private addresses"),
        pytest.param("10.1.2.3 answers 503", "10.1.2.3 answers 503", id="the CE's own address"),
        pytest.param("188.184.9.234, ARC 7.0.0.300", "188.184.9.234, ARC 7.0.0.300", id="a public one; a version"),
        pytest.param("run.sh s3cr3t-argument: not found", "run.sh [argument]: not found", id="an argument of the job"),
        pytest.param("a job", "a job", id="an argument that is in every sentence"),
    ],
)
def test_redacted(text: str, left: str) -> None:
    assert HIDDEN.taken_from(text) == left

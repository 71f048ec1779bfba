"""What the XRootD library says, as ours: recorded from a server of 5.8 and a library of 6.2."""

import pytest

from act_core.storage.base import Fate, Outcome, Wanted, place_of
from act_core.storage.compare import compare
from act_core.storage.root_dialect import meaning, path_of, plain, removal, server_of, with_checksum, without_checksum

FRAME = "[ERROR] Server responded with an error: "


@pytest.mark.parametrize(
    ("code", "errno", "text", "outcome"),
    [
        (400, 3011, f"{FRAME}[3011] Unable to locate /a/none; no such file or directory\n", Outcome.ABSENT),
        (400, 3011, f"{FRAME}[3011] No servers are available to read the file.\n", Outcome.UNREACHABLE),
        (400, 3011, f"{FRAME}[3011] Unable to locate /no servers/x; no such file or directory", Outcome.ABSENT),
        (400, 3010, f"{FRAME}[3010] Unable to locate /a/shut/f; permission denied\n", Outcome.FORBIDDEN),
        (400, 3016, f"{FRAME}[3016] Unable to checksum /a; is a directory\n", Outcome.MISMATCH),
        (400, 3013, f"{FRAME}[3013] not supported", Outcome.UNVERIFIABLE),
        (400, 3005, f"{FRAME}[3005] disk", Outcome.UNREACHABLE),
        (400, 3007, f"{FRAME}[3007] disk", Outcome.UNREACHABLE),
        (400, 3012, f"{FRAME}[3012] something", Outcome.UNREACHABLE),
        (400, 3024, f"{FRAME}[3024] overloaded", Outcome.UNREACHABLE),
        (400, 3999, f"{FRAME}[3999] a number of tomorrow", Outcome.UNREACHABLE),
        (108, 0, "[FATAL] Connection error", Outcome.UNREACHABLE),
        (206, 0, "[ERROR] Operation expired", Outcome.UNREACHABLE),
        (204, 0, "[FATAL] Auth failed", Outcome.FORBIDDEN),
    ],
)
def test_only_one_number_means_absent(code: int, errno: int, text: str, outcome: Outcome) -> None:
    assert meaning(code, errno, text) is outcome


@pytest.mark.parametrize(
    ("code", "errno", "text", "outcome"),
    [
        (400, 3012, f"{FRAME}[3012] sha1 checksum not supported.\n", Outcome.UNVERIFIABLE),
        (400, 3012, f"{FRAME}[3012] Program failed", Outcome.UNREACHABLE),
        (400, 3011, f"{FRAME}[3011] Unable to checksum /a/f; no such file or directory", Outcome.UNREACHABLE),
        (400, 3011, f"{FRAME}[3011] checksum not found", Outcome.UNVERIFIABLE),
        (400, 3024, f"{FRAME}[3024] Checksum not available", Outcome.UNVERIFIABLE),
        (400, 3013, f"{FRAME}[3013] query is not there", Outcome.UNVERIFIABLE),
        (400, 3010, f"{FRAME}[3010] Unable to checksum /a/closed; permission denied", Outcome.FORBIDDEN),
        (206, 0, "[ERROR] Operation expired", Outcome.UNREACHABLE),
    ],
)
def test_a_file_that_is_there_is_not_absent_because_its_checksum_is(
    code: int, errno: int, text: str, outcome: Outcome
) -> None:
    assert without_checksum(code, errno, text) is outcome


@pytest.mark.parametrize(
    ("code", "errno", "text", "fate"),
    [
        (400, 3011, f"{FRAME}[3011] Unable to remove /a/none; no such file or directory", Fate.ABSENT),
        (400, 3010, f"{FRAME}[3010] Unable to remove /a/f1; permission denied", Fate.REFUSED),
        (400, 3018, f"{FRAME}[3018] Unable to remove /a; directory not empty", Fate.REFUSED),
        (400, 3025, f"{FRAME}[3025] read only", Fate.REFUSED),
        (400, 3012, f"{FRAME}[3012] trouble", Fate.UNREACHABLE),
        (108, 0, "[FATAL] Connection error", Fate.UNREACHABLE),
    ],
)
def test_what_an_error_says_of_a_file_that_was_to_be_deleted(code: int, errno: int, text: str, fate: Fate) -> None:
    assert removal(code, errno, text) is fate


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("adler32 1a2b\0", Outcome.MATCH),
        ("ADLER32 00001A2B\n", Outcome.MATCH),
        ("adler32 00001a2c\0", Outcome.MISMATCH),
        ("md5 5d41402abc4b2a76b9719d911017c592\0", Outcome.UNVERIFIABLE),
        ("adler32", Outcome.UNVERIFIABLE),
        ("", Outcome.UNVERIFIABLE),
    ],
)
def test_checksums_as_servers_write_them(said: str, outcome: Outcome) -> None:
    assert compare(Wanted("root://h//x", 5, "00001a2b"), with_checksum(5, said)).outcome is outcome


@pytest.mark.parametrize(
    ("url", "server", "path"),
    [
        ("root://se.example.org//store/x", "root://se.example.org:1094", "/store/x"),
        ("root://se.example.org:1095/store/x", "root://se.example.org:1095", "/store/x"),
        ("xroot://se//x?svcClass=a", "root://se:1094", "/x?svcClass=a"),
        ("roots://[::1]//x", "roots://[::1]:1094", "/x"),
    ],
)
def test_addresses(url: str, server: str, path: str) -> None:
    place = place_of(url)
    assert place is not None
    assert (server_of(place), path_of(place)) == (server, path)


def test_messages_for_people_are_one_line() -> None:
    assert plain(f"{FRAME}[3011] Unable to locate /a; no\nsuch file\n") == "[3011] Unable to locate /a; no such file"

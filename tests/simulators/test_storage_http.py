"""The simulated storage: digests, ranges, refusals, registered inputs, on both kinds of shelf."""

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from act_core.simulators.contents import adler32, generated
from act_core.simulators.panda_jobs import JobOrder, inputs_of, render
from act_core.simulators.storage_control import StorageControl
from act_core.simulators.storage_files import Files, Inputs
from act_core.simulators.storage_http import Manners, Shelf

Client = TestClient[web.Request, web.Application]
CONTENT = b"some bytes " * 100


@pytest.fixture(params=["memory", "directory"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    return Shelf(Files(tmp_path if request.param == "directory" else None), Inputs(), Manners())


@pytest.fixture
async def client(shelf: Shelf) -> AsyncIterator[Client]:
    async with TestClient(TestServer(shelf.app())) as client:
        yield client


@pytest.fixture
async def control(shelf: Shelf) -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(StorageControl(shelf).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


async def status(client: Client, verb: str, path: str, **more: object) -> int:
    async with client.request(verb, path, **more) as answer:  # type: ignore[arg-type]
        await answer.read()
        return answer.status


async def test_one_head_gives_existence_size_and_checksum(client: Client) -> None:
    assert await status(client, "PUT", "/a/b/f1", data=CONTENT) == 201
    async with client.head("/a/b/f1", headers={"Want-Digest": "adler32"}) as answer:
        assert answer.status == 200
        assert answer.headers["Digest"] == f"adler32={adler32(CONTENT)}"
        assert (answer.headers["Content-Length"], answer.headers["Accept-Ranges"]) == (str(len(CONTENT)), "bytes")


@pytest.mark.parametrize(
    ("wanted", "digest"),
    [
        ("adler32", f"adler32={adler32(CONTENT)}"),
        ("md5", "md5=" + base64.b64encode(hashlib.md5(CONTENT).digest()).decode()),
        ("sha-3;q=1, adler32;q=0.1, md5", f"adler32={adler32(CONTENT)}"),
        ("sha-3", None),
        (None, None),
    ],
)
async def test_digests(client: Client, wanted: str | None, digest: str | None) -> None:
    await status(client, "PUT", "/f", data=CONTENT)
    async with client.head("/f", headers={"Want-Digest": wanted} if wanted else {}) as answer:
        assert (answer.status, answer.headers.get("Digest")) == (200, digest)


async def test_the_checksum_of_an_empty_file(client: Client) -> None:
    await status(client, "PUT", "/empty", data=b"")
    async with client.head("/empty", headers={"Want-Digest": "adler32"}) as answer:
        assert (answer.headers["Digest"], answer.headers["Content-Length"]) == ("adler32=00000001", "0")


async def test_missing_files_directories_and_deletes(client: Client) -> None:
    await status(client, "PUT", "/a/f", data=CONTENT)
    assert await status(client, "PUT", "/a/f", data=b"again") == 201
    assert await status(client, "HEAD", "/a/none") == 404
    assert await status(client, "HEAD", "/a", headers={"Want-Digest": "adler32"}) == 409
    assert await status(client, "PUT", "/a", data=b"") == 409
    assert await status(client, "DELETE", "/a/f") == 200
    assert await status(client, "DELETE", "/a/f") == 404
    assert await status(client, "GET", "/a/f") == 404
    assert await status(client, "POST", "/a/f") == 405


async def test_nobody_leaves_the_storage(client: Client, tmp_path: Path) -> None:
    assert await status(client, "PUT", "/%2e%2e/escaped", data=b"x") in (201, 404)
    assert not (tmp_path.parent / "escaped").exists()


@pytest.mark.parametrize(
    ("wanted", "part"),
    [("bytes=0-3", CONTENT[:4]), ("bytes=1090-", CONTENT[1090:]), ("bytes=-5", CONTENT[-5:])],
)
async def test_ranges(client: Client, wanted: str, part: bytes) -> None:
    await status(client, "PUT", "/f", data=CONTENT)
    async with client.get("/f", headers={"Range": wanted}) as answer:
        assert (answer.status, await answer.read()) == (206, part)
        first = CONTENT.rindex(part) if wanted != "bytes=0-3" else 0
        assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(part) - 1}/1100"
    assert await status(client, "GET", "/f", headers={"Range": "bytes=2000-"}) == 416
    assert await status(client, "GET", "/f", headers={"Range": "lines=1-2"}) == 200


async def test_manners_are_changed_on_the_control_port(client: Client, control: Client) -> None:
    await status(client, "PUT", "/safe/f", data=CONTENT)
    change = {"digest": False, "redirect": True, "forbidden": ["/secret"], "read_only": ["/safe"]}
    assert await status(control, "POST", "/manners", json=change) == 200
    async with client.head("/safe/f", headers={"Want-Digest": "adler32"}, allow_redirects=False) as answer:
        assert answer.status == 307
    async with client.head("/safe/f", headers={"Want-Digest": "adler32"}, allow_redirects=True) as answer:
        assert (answer.status, "Digest" in answer.headers) == (200, False)
    assert await status(client, "GET", "/secret/f") == 403
    assert await status(client, "DELETE", "/safe/f") == 403
    assert await status(client, "PUT", "/other/f", data=b"") == 201
    assert await status(control, "POST", "/manners", json={"speed": 1}) == 400


async def test_a_storage_may_know_only_some_checksums(client: Client, shelf: Shelf) -> None:
    await status(client, "PUT", "/f", data=CONTENT)
    shelf.manners.digests = ("md5",)
    async with client.head("/f", headers={"Want-Digest": "adler32,md5"}) as answer:
        assert answer.headers["Digest"].startswith("md5=")
    async with client.head("/f", headers={"Want-Digest": "adler32"}) as answer:
        assert (answer.status, "Digest" in answer.headers) == (200, False)


async def test_propfind_tells_a_file_from_a_directory(client: Client, shelf: Shelf) -> None:
    await status(client, "PUT", "/a/f", data=CONTENT)
    said = {}
    for path in ("/a", "/a/f"):
        async with client.request("PROPFIND", path, headers={"Depth": "0"}) as answer:
            said[path] = (answer.status, "<D:collection/>" in await answer.text())
    assert said == {"/a": (207, True), "/a/f": (207, False)}
    assert await status(client, "PROPFIND", "/none") == 404
    shelf.manners.propfind = False
    assert await status(client, "PROPFIND", "/a/f") == 405


async def test_a_recursive_storage_deletes_what_is_below_a_directory_and_nothing_beside_it(
    client: Client, shelf: Shelf
) -> None:
    for path in ("/a/b/f", "/a/g", "/ab/h"):
        await status(client, "PUT", path, data=CONTENT)
    assert await status(client, "DELETE", "/a") == 409
    shelf.manners.recursive = True
    assert await status(client, "DELETE", "/a") == 200
    assert [listed.path for listed in shelf.files.listed()] == ["ab/h"]


async def test_a_token_may_be_wanted(client: Client, control: Client) -> None:
    await status(client, "PUT", "/f", data=CONTENT)
    assert await status(control, "POST", "/manners", json={"token": "s3cret"}) == 200
    assert await status(client, "HEAD", "/f") == 401
    assert await status(client, "HEAD", "/f", headers={"Authorization": "Bearer other"}) == 401
    assert await status(client, "HEAD", "/f", headers={"Authorization": "Bearer s3cret"}) == 200
    assert await status(control, "POST", "/manners", json={"token": None}) == 200
    assert await status(client, "HEAD", "/f") == 200
    assert await status(control, "POST", "/manners", json={"digest": None}) == 400


async def test_a_redirect_may_lead_to_another_storage(client: Client, control: Client) -> None:
    await status(control, "POST", "/manners", json={"redirect_to": "https://elsewhere.example:2880"})
    async with client.head("/a/f?x=1", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (307, "https://elsewhere.example:2880/a/f?x=1")


async def test_registered_inputs_have_the_announced_size_and_checksum(client: Client, control: Client) -> None:
    order = JobOrder(queue="Q", inputs=2, input_size=1234)
    files = inputs_of(order, 7)
    assert await status(control, "POST", "/inputs", json=[file.model_dump() for file in files]) == 200
    checksums = str(render(order, 7)["checksum"]).split(",")
    for file, checksum in zip(files, checksums, strict=True):
        async with client.get(f"/replicas/{file.scope}/{file.lfn}") as answer:
            content = await answer.read()
        assert (answer.status, content) == (200, generated(file.lfn, 1234))
        assert "ad:" + adler32(content) == checksum
    assert await status(client, "GET", "/replicas/mc/none") == 404
    assert await status(client, "PUT", "/replicas/mc/none", data=b"") == 403
    assert await status(control, "POST", "/inputs", json=[{"lfn": "x"}]) == 400


async def test_the_books_list_what_was_written(client: Client, control: Client) -> None:
    await status(client, "PUT", "/a/f", data=CONTENT)
    async with control.get("/books") as answer:
        listed = {"path": "a/f", "size": 1100, "adler32": adler32(CONTENT)}
        assert await answer.json() == {"files": [listed]}
    async with control.get("/books/summary") as answer:
        assert await answer.json() == {"files": 1, "inputs": 0}

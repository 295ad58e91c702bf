"""One suite over every object store: a folder, an S3-compatible server, memory."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from tallystick.clock import SystemClock
from workers.errors import LinkInvalid, StoreUnavailable
from workers.objects.local import LocalObjects
from workers.objects.memory import MemoryObjects
from workers.objects.port import ObjectStore
from workers.objects.s3 import S3Objects, S3Place

SECRET = b"for links alone"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
KEY = "jobs/0190/01-a/0.png"


@pytest.fixture(scope="module")
def s3_server() -> Generator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def place(url: str, bucket: str = "pictures") -> S3Place:
    return S3Place(
        bucket=bucket, region="us-east-1", endpoint_url=url, access_key_id="testing", secret_access_key="testing"
    )


@pytest.fixture
def s3(s3_server: str) -> S3Objects:
    client: Any = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=s3_server,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket="pictures")
    return S3Objects(place(s3_server), SystemClock())


@pytest.fixture(params=["memory", "local", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    match request.param:
        case "memory":
            return MemoryObjects()
        case "local":
            return LocalObjects(tmp_path / "pictures", secret=SECRET, base_url="http://here/files")
        case _:
            return request.getfixturevalue("s3")


def test_what_is_put_is_got_with_its_type(store: ObjectStore) -> None:
    store.put(KEY, PNG, mime="image/png")
    found = store.get(KEY)
    assert found is not None
    assert (hashlib.sha256(found.content).digest(), found.mime) == (hashlib.sha256(PNG).digest(), "image/png")


def test_what_was_never_put_is_not_there(store: ObjectStore) -> None:
    assert store.get("jobs/none/0.png") is None


def test_putting_again_replaces(store: ObjectStore) -> None:
    store.put(KEY, b"first", mime="image/png")
    store.put(KEY, b"second", mime="image/png")
    found = store.get(KEY)
    assert found is not None and found.content == b"second"


def test_deleting_twice_is_no_error(store: ObjectStore) -> None:
    store.put(KEY, PNG, mime="image/png")
    store.delete(KEY)
    store.delete(KEY)
    assert store.get(KEY) is None


def test_deleting_one_leaves_its_neighbour(store: ObjectStore) -> None:
    store.put(KEY, PNG, mime="image/png")
    store.put("jobs/0190/01-a/1.webp", b"other", mime="image/webp")
    store.delete(KEY)
    found = store.get("jobs/0190/01-a/1.webp")
    assert found is not None and found.mime == "image/webp"


def test_many_threads_may_put_at_once(store: ObjectStore) -> None:
    keys = [f"jobs/many/{n}.png" for n in range(24)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: store.put(key, key.encode(), mime="image/png"), [*keys, *keys]))
    for key in keys:
        found = store.get(key)
        assert found is not None and found.content == key.encode()


@pytest.mark.parametrize(
    "key", ["../up.png", "jobs/../../up.png", "/etc/passwd", "", "jobs//a.png", "Jobs/A.png", "a\n"]
)
def test_a_key_that_climbs_is_a_bug_of_ours(store: ObjectStore, key: str) -> None:
    with pytest.raises(AssertionError):
        store.put(key, PNG, mime="image/png")


# --- links


def test_a_signed_link_of_the_store_shows_the_object(s3: S3Objects) -> None:
    s3.put(KEY, PNG, mime="image/png")
    until = datetime.now(UTC) + timedelta(minutes=5)
    answer = httpx.get(s3.link(KEY, until=until, file_name="job.png"), timeout=60, trust_env=False)
    assert answer.status_code == 200
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"


def opened(store: LocalObjects, url: str, now: datetime, **changed: str) -> bytes:
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()} | changed
    key = query.pop("key", parts.path.removeprefix("/files/"))
    found = store.open_link(
        key, until=int(query["until"]), file_name=query["name"], signature=query["signature"], now=now
    )
    return found.content


@pytest.fixture
def local(tmp_path: Path) -> LocalObjects:
    store = LocalObjects(tmp_path / "pictures", secret=SECRET, base_url="http://here/files/")
    store.put(KEY, PNG, mime="image/png")
    store.put("jobs/0190/01-a/1.png", b"another's", mime="image/png")
    return store


def test_a_link_shows_the_object_until_it_ends(local: LocalObjects) -> None:
    now = datetime.now(UTC)
    url = local.link(KEY, until=now + timedelta(minutes=5), file_name="a cat.png")
    assert url.startswith("http://here/files/jobs/0190/")
    assert opened(local, url, now) == PNG
    with pytest.raises(LinkInvalid):
        opened(local, url, now + timedelta(minutes=5, seconds=1))


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "jobs/0190/01-a/1.png"},
        {"until": "99999999999"},
        {"name": "other.png"},
        {"signature": "0" * 64},
        {"signature": "é"},
        {"key": "../secret"},
    ],
)
def test_an_altered_link_shows_nothing(local: LocalObjects, changed: dict[str, str]) -> None:
    now = datetime.now(UTC)
    url = local.link(KEY, until=now + timedelta(minutes=5), file_name="a.png")
    with pytest.raises(LinkInvalid):
        opened(local, url, now, **changed)


# --- a store that is away


def test_a_folder_that_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "pictures").write_bytes(b"a file where the folder should be")
    store = LocalObjects(tmp_path / "pictures", secret=SECRET, base_url="/files")
    with pytest.raises(StoreUnavailable):
        store.put(KEY, PNG, mime="image/png")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_no_half_written_file_is_ever_seen(local: LocalObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workers.objects.local.os.fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        local.put(KEY, b"newer", mime="image/png")
    found = local.get(KEY)
    assert found is not None and found.content == PNG


def test_a_missing_bucket_is_a_store_that_is_away(s3_server: str) -> None:
    store = S3Objects(place(s3_server, bucket="never-made"), SystemClock())
    with pytest.raises(StoreUnavailable):
        store.put(KEY, PNG, mime="image/png")

"""A key means one thing for ever: Redis is emptied, the API and PostgreSQL die, another server takes over the data."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import redis

from customers.domain.scopes import CUSTOMER_SCOPES
from migrations import runner
from tallystick.embedded import folders
from tallystick.embedded.postgres import SERVING_ROLE, WRITER_ROLE, EmbeddedPostgres
from tallystick.settings import Settings
from tests.conftest import SECRET
from tests.support import instances, servers
from tests.support.api import PROMPT, Site, serving

pytestmark = pytest.mark.timeout(150)


class Asked(NamedTuple):
    """A request with its key, the field of the answer that names what it made, if it made something, and its status."""

    path: str
    body: dict[str, Any]
    key: str
    made: str | None
    status: int


ASKED = (
    Asked("/ledger/debits", {"amount": "2", "reason": "r"}, "debit", "subject_id", 201),
    Asked("/ledger/holds", {"amount": "3", "lease_s": 600}, "hold", "subject_id", 201),
    Asked("/ledger/debits", {"amount": "5000", "reason": "r"}, "refused", None, 402),
    Asked("/topups", {"credits": "1000", "rail": "sandbox"}, "topup", "topup_id", 201),
    Asked("/generate", PROMPT, "job", "job_id", 202),
)


@contextlib.contextmanager
def homes() -> Generator[tuple[Path, Path]]:
    """Folders of two servers."""
    with servers.folder_for_servers() as one, servers.folder_for_servers() as other:
        yield one, other


@contextlib.contextmanager
def killed_at_its_end(home: Path) -> Generator[EmbeddedPostgres]:
    """A PostgreSQL that runs while the block does, and is killed with all its processes then."""
    server = EmbeddedPostgres(home, folders.service_user("nobody"))
    server.start()
    try:
        yield server
    finally:
        instances.kill({server.pid, *instances.descendants(server.pid)})
        server.stop()


@contextlib.contextmanager
def site_on(server: EmbeddedPostgres, redis_url: str, data_dir: Path) -> Generator[Site]:
    """An API on a server, which knows nothing but what is stored."""
    settings = Settings(
        data_dir=data_dir,
        secret=SECRET,
        database_url=server.serving_url,
        database_owner_url=server.owner_url,
        database_writer_url=server.writer_url,
        redis_url=redis_url,
        sandbox=True,
    )
    with serving(settings) as found:
        yield found


def ask(site: Site, api_key: str) -> Iterator[httpx.Response]:
    """Ask for all, in order."""
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=f"{site.url}/api/v1", headers=headers, timeout=20.0, trust_env=False) as client:
        for one in ASKED:
            answer = client.post(one.path, json=one.body, headers={"Idempotency-Key": one.key})
            assert answer.status_code == one.status, answer.text
            yield answer


def said(answer: httpx.Response, asked: Asked) -> object:
    """What may never change of an answer: of the ledger's all but the site's address, else what it is about."""
    if asked.path.startswith("/ledger/"):
        return answer.content.replace(f"http://127.0.0.1:{answer.url.port}/".encode(), b"")
    return answer.json()[asked.made]


def test_invariant_26_keys_survive_an_empty_redis_a_restart_and_a_failover(redis_url: str, tmp_path: Path) -> None:
    def repeated(site: Site) -> None:
        with redis.Redis.from_url(redis_url) as client:
            client.flushall()
        for answer, was, asked in zip(ask(site, api_key), first, ASKED, strict=True):
            assert said(answer, asked) == said(was, asked), asked.key
            assert answer.headers["Idempotency-Replayed"] == "true", asked.key
        assert site.runtime.ledger.head() == head, "nothing is done again"

    with homes() as (home, other_home):
        with killed_at_its_end(home) as server:
            runner.migrate(server.owner_url, serving_role=SERVING_ROLE, writing_role=WRITER_ROLE)
            with site_on(server, redis_url, tmp_path) as site:
                api_key = site.customer(*CUSTOMER_SCOPES).secret
                first = list(ask(site, api_key))
                head = site.runtime.ledger.head()
                repeated(site)
        with killed_at_its_end(home) as server, site_on(server, redis_url, tmp_path) as site:
            repeated(site)
        (home / "postgres").rename(other_home / "postgres")
        with killed_at_its_end(other_home) as server, site_on(server, redis_url, tmp_path) as site:
            repeated(site)

"""A whole API on real servers, spoken to over a socket; and its customers."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from threading import Thread
from typing import Any
from uuid import UUID, uuid4

import httpx

from api.app import create_app
from api.ratelimit import LocalLimiter, Policies, Policy
from api.server import Server, bind, make_server
from api.services import Services
from customers.domain.scopes import CUSTOMER_SCOPES
from ledger.drivers import catch_up
from tallystick.pages import pages_of
from tallystick.read_models import followers
from tallystick.settings import Settings
from tallystick.wiring import Background, Runtime, build, make_services
from tests.support.ledger import CREDIT, grant

START_LIMIT_S = 60.0
STOP_LIMIT_S = 60.0
UNBOUNDED = Policies(known=Policy("burst", 10**6), unknown=Policy("public", 10**6))
PROMPT = {"prompt": "a lighthouse", "width": 256, "height": 256, "quality": "draft", "seed": 7}


@dataclass
class Customer:
    """An organisation with a key, and a client that shows it."""

    organisation_id: UUID
    account_id: UUID
    key_id: UUID
    secret: str
    http: httpx.Client

    def post(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> httpx.Response:
        """POST JSON, with an Idempotency-Key if one is given."""
        sent = {"Idempotency-Key": key} if key else {}
        return self.http.post(f"/api/v1{path}", json=body, headers={**sent, **headers})

    def get(self, path: str, **headers: str) -> httpx.Response:
        """GET."""
        return self.http.get(f"/api/v1{path}", headers=headers)

    def order(self, **changes: Any) -> str:
        """An accepted job; its id."""
        answer = self.post("/generate", PROMPT | changes, key=uuid4().hex)
        assert answer.status_code == 202, answer.text
        return answer.json()["job_id"]


class Site:
    """One API process, as a thread."""

    def __init__(self, settings: Settings, *, limited: bool = False, background: bool = False) -> None:
        self.socket = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.runtime: Runtime = build(settings.with_values(public_url=self.url))
        self.services: Services = make_services(self.runtime)
        if not limited:
            object.__setattr__(self.services, "limiter", LocalLimiter(self.runtime.clock, UNBOUNDED))
        self.app = create_app(self.services, pages_of(self.runtime))
        self.server: Server = make_server(self.app, self.services.hub)
        self.background = Background(self.runtime, also_wake=self.services.hub.wake) if background else None
        self._thread = Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)

    def start(self) -> None:
        """Serve."""
        if self.background:
            self.background.start()
        self._thread.start()
        ends = time.monotonic() + START_LIMIT_S
        while not self.server.started:
            assert time.monotonic() < ends and self._thread.is_alive(), "the server did not start"
            time.sleep(0.01)

    def stop(self) -> float:
        """As a signal would; how many seconds it took."""
        start = time.monotonic()
        self.server.should_exit = True
        self._thread.join(STOP_LIMIT_S)
        assert not self._thread.is_alive(), "the server did not stop"
        return time.monotonic() - start

    def close(self) -> None:
        """Stop, and give up everything."""
        self.stop()
        if self.background:
            self.background.stop()
        self.services.crossing.close()
        self.runtime.close()

    def follow(self) -> None:
        """Fold all there is."""
        catch_up(self.runtime.driver(), followers(self.runtime.settings))

    def customer(self, *scopes: str, amount: int = 100) -> Customer:
        """A new organisation, with credits and a key of these scopes (all of them by default)."""
        organisation = self.runtime.organisations.sign_up(uuid4().hex, "Ada").organisation
        if amount:
            grant(self.runtime.ledger, organisation.account_id, amount * CREDIT)
        made = self.runtime.keys.create(organisation.organisation_id, "test", scopes or CUSTOMER_SCOPES)
        http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {made.secret}"}, timeout=20.0, trust_env=False
        )
        return Customer(organisation.organisation_id, organisation.account_id, made.key.key_id, made.secret, http)

    def stranger(self) -> httpx.Client:
        """A client without a key."""
        return httpx.Client(base_url=self.url, timeout=20.0, trust_env=False)


@contextlib.contextmanager
def serving(settings: Settings, *, limited: bool = False, background: bool = False) -> Generator[Site]:
    """An API that serves while the block runs."""
    site = Site(settings, limited=limited, background=background)
    try:
        site.start()
        yield site
    finally:
        site.close()


@dataclass
class Event:
    """One event of a live stream."""

    name: str
    id: int | None
    data: dict[str, Any]


def read_events(lines: Iterator[str]) -> Iterator[Event | str]:
    """Events of a stream as they come; comments and fields alone as the line."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield Event(
                    fields.get("event", "message"),
                    int(fields["id"]) if "id" in fields else None,
                    json.loads(fields["data"]),
                )
            fields = {}
        elif line.startswith((":", "retry:")):
            yield line
        else:
            name, _, value = line.partition(": ")
            fields[name] = value


def free_socket() -> socket.socket:
    """A socket on a free port."""
    return bind("127.0.0.1", 0)

"""The whole program behind a browser: an API with its pages, a worker, a stand-in node; and a person at the page."""

from __future__ import annotations

import contextlib
import re
import signal
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from customers.domain.scopes import CUSTOMER_SCOPES
from tallystick.run_worker import make_worker
from tallystick.settings import Settings
from tallystick.wiring import build
from tests.support.api import Site, serving
from tests.support.ledger import CREDIT, grant
from tests.support.nodes import StandIn
from tests.support.requirements import require
from tests.support.servers import Database

SECRET = "a secret for tests, of at least thirty-two bytes"
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
STEP_MS = 60
READY_LIMIT_S = 30.0
SOON_MS = 20_000
PRICES = {"Draft": "0.55 credits", "Standard": "1 credit", "High": "1.72 credits"}
_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
_OWN_REFUSALS = re.compile(r"Failed to load resource: the server responded with a status of (401|404|409|422)")

expect.set_options(timeout=SOON_MS)


@dataclass
class Stage:
    """What runs for all tests of one process; each test signs up an organisation of its own."""

    site: Site
    node: StandIn

    @property
    def url(self) -> str:
        return self.site.url


@contextlib.contextmanager
def stage(database: Database, redis_url: str) -> Generator[Stage]:
    """Everything, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="tallystick-e2e-") as folder:
        node_data = Path(folder) / "node"
        node_data.mkdir()
        node = StandIn(node_data, "--step-ms", str(STEP_MS))
        settings = Settings(
            data_dir=Path(folder) / "data",
            secret=SECRET,
            database_url=database.serving_url,
            database_owner_url=database.owner_url,
            database_writer_url=database.writer_url,
            redis_url=redis_url,
            sandbox=True,
            port=0,
            comfyui_nodes=(node.url,),
        )
        try:
            with serving(settings, background=True) as site:
                runtime = build(settings.with_values(public_url=site.url))
                worker = make_worker(runtime, drain_s=5.0)
                worker.start()
                try:
                    _until_ready(site)
                    yield Stage(site, node)
                finally:
                    worker.stop()
                    runtime.close()
        finally:
            if node.process.poll() is None:
                node.stop(signal.SIGKILL)


def _until_ready(site: Site) -> None:
    """Wait until the node has proven itself: what is scripted then meets a job, not the proof."""
    ends = time.monotonic() + READY_LIMIT_S
    with site.runtime.pool.connection() as connection:
        connection.autocommit = True
        while not connection.execute("SELECT name FROM nodes WHERE state = 'ready'").fetchone():
            assert time.monotonic() < ends, "the node did not get ready"
            time.sleep(0.05)


@contextlib.contextmanager
def chromium() -> Generator[Browser]:
    """Debian's Chromium; where it is missing the calling test is not run."""
    path = require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(path), args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Person:
    """Somebody with a browser window. ``complaints`` is what its console said."""

    stage: Stage
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list[str])
    secret: str = ""

    def goes(self, path: str = "/") -> None:
        self.page.goto(self.stage.url + path)

    def signs_up(self, name: str = "Ada & Co") -> str:
        """Sign up and go on to the page; the key that was shown."""
        self.goes()
        self.page.get_by_label("Name of your organisation").fill(name)
        self.page.get_by_role("button", name="Sign up").click()
        self.secret = self.page.locator("#secret").inner_text()
        self.page.get_by_role("link", name="I have kept it, go on").click()
        expect(self.page.get_by_role("heading", name="Make a picture")).to_be_visible()
        return self.secret

    def signs_in(self, secret: str) -> None:
        self.goes()
        self.page.get_by_label("API key").fill(secret)
        self.page.get_by_role("button", name="Sign in").click()

    def is_given(self, amount: int) -> None:
        """Credits out of nowhere, for tests of what comes after."""
        principal = self.stage.site.runtime.keys.verify(self.secret)
        grant(self.stage.site.runtime.ledger, principal.account_id, amount * CREDIT)

    def orders_credits(self) -> None:
        """The smallest pack, up to the top-up's page."""
        self.page.get_by_role("button", name="Add credits").click()
        expect(self.page.get_by_text("Waiting for payment")).to_be_visible()

    def pays(self, act: str) -> None:
        """On the sandbox's page, from the top-up's: pay, fail, late, under or over."""
        self.page.get_by_role("link", name="on the sandbox's page").click()
        self.page.locator(f"button[value={act}]").click()

    def asks_for(self, prompt: str, *, quality: str = "Draft", price: str = "") -> None:
        """Fill the form in, and wait for its price: that of one square picture if nothing else is said."""
        self.page.get_by_label("What should be in it?").fill(prompt)
        self.page.locator(".segments label", has_text=quality).click()
        expect(self.page.locator("#price strong")).to_have_text(price or PRICES[quality], timeout=SOON_MS)

    def sees(self, text: str | re.Pattern[str], within: str = "main", seconds: float = 20) -> None:
        expect(self.page.locator(within)).to_contain_text(text, timeout=seconds * 1000)

    def sees_no_complaint(self) -> None:
        assert self.complaints == []


@contextlib.contextmanager
def person(stage: Stage, browser: Browser, **options: Any) -> Generator[Person]:
    """A fresh browser window."""
    wanted: dict[str, Any] = {"viewport": DESK} | options
    context = browser.new_context(**wanted)
    context.set_default_timeout(20_000)
    page = context.new_page()
    found = Person(stage, context, page)
    page.on("console", lambda message: _note(found, message))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    try:
        yield found
    finally:
        context.close()
        stage.node.behave()  # a job cancelled before it was posted leaves its script to the next test's


def _note(someone: Person, message: ConsoleMessage) -> None:
    if message.type in {"error", "warning"} and not _OWN_REFUSALS.match(message.text):
        someone.complaints.append(f"{message.type}: {message.text}")


def another_customer(stage: Stage) -> str:
    """The key of an organisation that has nothing to do with anybody else."""
    organisation = stage.site.runtime.organisations.sign_up(uuid4().hex, "Eve").organisation
    return stage.site.runtime.keys.create(organisation.organisation_id, "hers", CUSTOMER_SCOPES).secret

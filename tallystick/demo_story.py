"""One credit's whole life as a customer lives it: each step does something real, checks it, and says it in one line."""

from __future__ import annotations

import hashlib
import io
import shutil
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import Struct
from PIL import Image

from tallystick.demo_books import export_books, verify_log
from tallystick.demo_client import Customer, LiveEvent, Unexpected
from tallystick.settings import Settings

NAME = "Demo Studio"
ORDER = {"prompt": "a lighthouse at dusk, oil on canvas", "aspect_ratio": "1:1", "quality": "standard", "seed": 7}
_CREDITED_LIMIT_S = 30.0
_JOB_LIMIT_S = 60.0
_STATEMENT_LIMIT_S = 15.0
_LOOK_S = 0.1
_SPENT = "commit"

Progress = Callable[[float], None]
"""Told how far the job is, from 0 to 1."""


class Step(Struct, frozen=True):
    """One step: its name, what to do (which returns what happened, in words)."""

    name: str
    do: Callable[[], str]


class Story:
    """Facts as they come in. ``out`` is the folder of picture and books; ``progress`` is told while the job runs."""

    def __init__(self, customer: Customer, settings: Settings, out: Path, progress: Progress) -> None:
        self._customer = customer
        self._settings = settings
        self._out = out
        self._progress = progress
        self._price = self._available = Decimal(0)
        self._job: dict[str, Any] = {}
        self.lines: list[dict[str, Any]] = []

    def steps(self) -> Iterator[Step]:
        """In order; each stands on those before it."""
        yield Step("sign up", self._sign_up)
        yield Step("top up", self._top_up)
        yield Step("quote", self._quote)
        yield Step("job", self._run_job)
        yield Step("image", self._fetch)
        yield Step("debit", self._debit)
        yield Step("statement", self._statement)
        yield Step("books", self._books)
        yield Step("verify", self._verify)

    def _sign_up(self) -> str:
        key = self._customer.sign_up(NAME)
        balance = self._balance()
        _expect(balance == (0, 0, 0), f"a new account begins with {balance}")
        return f"{NAME} has an account with no credits, and the key {key[:15]}…{key[-4:]}"

    def _top_up(self) -> str:
        pack = self._customer.get("/prices")["packs"][0]
        body = {"rail": "sandbox", "pack": pack["pack"]}
        topup = self._customer.post("/topups", body, 201, key="demo-topup")
        ref = topup["charge"]["ref"]
        self._customer.submit(f"/sandbox/{ref}", f"/sandbox/{ref}", {"act": "pay"})
        paid_at = time.monotonic()
        topup = self._until(
            _CREDITED_LIMIT_S,
            lambda: self._customer.get(f"/topups/{topup['topup_id']}"),
            lambda found: found["state"] == "credited",
        )
        seconds = time.monotonic() - paid_at
        quote, credited = topup["quote"], Decimal(topup["credited"])
        posted, held, self._available = self._balance()
        _expect((posted, held) == (credited, 0), f"{credited} credited and {posted} posted, {held} held")
        money = f"{quote['gross_minor'] / 100:.2f} {quote['currency']}"
        return f"{_credits(credited)} for {money}, paid at the sandbox's desk, credited after {seconds:.1f} s"

    def _quote(self) -> str:
        quote = self._customer.post("/quotes", ORDER, 200)
        self._price = Decimal(quote["price"])
        _expect(0 < self._price <= self._available, f"a price of {self._price}")
        kinds = ", ".join(f"{burn['amount']} of a {burn['kind']} grant" for burn in quote["burns"])
        size = f"{quote['width']} x {quote['height']}"
        what = f"a picture of {size} at {quote['quality']} quality"
        return f"{what} costs {_credits(self._price)}: {kinds}; nothing is held yet"

    def _run_job(self) -> str:
        start = time.monotonic()
        job = self._customer.post("/generate", ORDER, 202, key="demo-job")
        held = self._balance()[1]
        _expect(held in {self._price, Decimal(0)}, f"{held} held for a price of {self._price}")
        states: list[str] = []
        steps = 0
        for event in self._customer.follow(job["urls"]["events"], _JOB_LIMIT_S):
            steps += self._hear(event, states)
        self._job = self._customer.get(f"/jobs/{job['job_id']}")
        _expect(self._job["state"] == "succeeded", f"the job {self._job['state']}: {self._job['error']}")
        self._progress(1.0)
        seconds = time.monotonic() - start
        told = f"{steps} live reports of progress, attempt {self._job['attempts']}"
        return f"{_credits(self._price)} held; {' → '.join(states)} after {seconds:.1f} s, {told}"

    def _hear(self, event: LiveEvent, states: list[str]) -> int:
        if event.name in {"progress", "preview"}:
            self._progress(float(event.data.get("fraction", 0.0)))
            return 1
        if event.name in {"state", "done"}:
            states.append(event.data["state"])
        return 0

    def _fetch(self) -> str:
        (output,) = self._job["outputs"]
        content = self._customer.download(output["url"])
        digest = hashlib.sha256(content).hexdigest()
        _expect(digest == output["sha256"], "the picture is not the one that was paid for")
        with Image.open(io.BytesIO(content)) as picture:
            _expect(picture.size == (output["width"], output["height"]), f"a picture of {picture.size}")
            kind = picture.format
        file = self._out / f"{self._job['job_id']}.png"
        file.write_bytes(content)
        size = f"{output['width']} x {output['height']} {kind}, {len(content) // 1024} KiB"
        return f"{size}, SHA-256 {digest[:12]}… as the log says: {file}"

    def _debit(self) -> str:
        posted, held, available = self._balance()
        charged = Decimal(self._job["charged"])
        _expect(charged == self._price, f"{charged} charged for a price of {self._price}")
        _expect((held, available) == (0, self._available - self._price), f"{held} held, {available} available")
        _expect(posted == available, f"{posted} posted, {available} available")
        before, self._available = self._available, available
        return f"{_credits(charged)} charged, none held, {_n(before)} - {_n(charged)} = {_n(available)} available"

    def _statement(self) -> str:
        page = self._until(
            _STATEMENT_LIMIT_S,
            lambda: self._customer.get("/statement"),
            lambda found: bool(found["data"]) and found["data"][0]["kind"] == _SPENT,
        )
        self.lines = sorted(page["data"], key=lambda line: line["position"])
        moved = sum((Decimal(line["amount"]) for line in self.lines), Decimal(0))
        _expect(moved == self._available, f"lines add up to {moved}, {self._available} available")
        _expect(self.lines[-1]["job_id"] == self._job["job_id"], "the debit names another job")
        return f"{len(self.lines)} lines that add up to {_credits(moved)}"

    def _books(self) -> str:
        folder = self._out / "books"
        shutil.rmtree(folder, ignore_errors=True)
        books = export_books(self._settings, folder)
        _expect(not books.checked, "; ".join(books.checked or ()))
        said = f"not checked by bean-check ({books.install})" if books.checked is None else "bean-check finds nothing"
        counted = f"{_count(books.entries, 'entry', 'entries')} up to event {books.position}"
        return f"{counted}, every commodity sums to zero, {said}: {folder}"

    def _verify(self) -> str:
        report = verify_log(self._settings)
        _expect(not report.findings, "; ".join(f"event {one.position}: {one.what}" for one in report.findings))
        counted = (
            f"{_count(report.events, 'event')}, {_count(report.accounts, 'account')}, {_count(report.holds, 'hold')}"
        )
        return f"{counted}: hashes, balances and holds are what the log says; head {report.head_hash.hex()[:12]}…"

    def _balance(self) -> tuple[Decimal, Decimal, Decimal]:
        """Posted, held, available."""
        found = self._customer.get("/balance")
        return Decimal(found["posted"]), Decimal(found["held"]), Decimal(found["available"])

    def _until(self, limit_s: float, ask: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
        ends = time.monotonic() + limit_s
        while not good(found := ask()):
            if time.monotonic() > ends:
                raise Unexpected(f"not within {limit_s:.0f} s: {found}")
            time.sleep(_LOOK_S)
        return found


def _expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001  reads as a sentence
    if not holds:
        raise Unexpected(otherwise)


def _n(amount: Decimal) -> str:
    return f"{amount.normalize():f}"


def _credits(amount: Decimal) -> str:
    return f"{_n(amount)} {'credit' if amount == 1 else 'credits'}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"

"""Customers and operators of the ledger over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from customers.domain.scopes import CUSTOMER_SCOPES, OPERATOR_SCOPES
from ledger.ids import render
from tests.support.api import Customer, Site

OPERATES = tuple(sorted(OPERATOR_SCOPES - {"ledger:approve"}))


@dataclass
class Organisation:
    """One organisation's three keys: what it may do itself, an operator's, and the one of who approves."""

    site: Site
    service: Customer
    operator: Customer
    approver: Customer

    @property
    def account(self) -> str:
        """Its first account."""
        return render("acc", self.service.account_id)

    def balance(self, account: str | None = None) -> dict[str, Any]:
        """An account, as the API tells it."""
        answer = self.service.get(f"/ledger/accounts/{account or self.account}/balance")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def hold(self, amount: str = "5", **more: Any) -> str:
        """A hold; its id."""
        return done(self.service, "/ledger/holds", {"amount": amount, "lease_s": 60} | more)["subject_id"]

    def grant(self, amount: str = "10", **more: Any) -> str:
        """A grant; its id."""
        return done(self.operator, "/ledger/grants", {"amount": amount, "kind": "promo"} | more)["subject_id"]

    def debit(self, amount: str = "1", **more: Any) -> str:
        """A debit; its id."""
        return done(self.service, "/ledger/debits", {"amount": amount, "reason": "test"} | more)["subject_id"]

    def open(self, **more: Any) -> str:
        """Another account; its id."""
        return done(self.operator, "/ledger/accounts", more)["subject_id"]


def organisation(site: Site, amount: int = 100) -> Organisation:
    """A new organisation with credits and its keys."""
    service = site.customer(*CUSTOMER_SCOPES, amount=amount)
    return Organisation(site, service, another_key(site, service, *OPERATES), another_key(site, service, APPROVES))


APPROVES = "ledger:approve"


def another_key(site: Site, customer: Customer, *scopes: str) -> Customer:
    """The same organisation by another key."""
    made = site.runtime.keys.create(customer.organisation_id, "another", scopes)
    http = httpx.Client(
        base_url=site.url, headers={"Authorization": f"Bearer {made.secret}"}, timeout=20.0, trust_env=False
    )
    return Customer(customer.organisation_id, customer.account_id, made.key.key_id, made.secret, http)


def ask(who: Customer, path: str, body: Any, *, key: str | None = None, method: str = "POST") -> httpx.Response:
    """Ask the ledger; with a key of its own unless one is given."""
    return who.http.request(method, f"/api/v1{path}", json=body, headers={"Idempotency-Key": key or uuid4().hex})


def done(who: Customer, path: str, body: Any, *, key: str | None = None, method: str = "POST") -> dict[str, Any]:
    """What must be done."""
    answer = ask(who, path, body, key=key, method=method)
    assert answer.status_code in {200, 201, 202}, answer.text
    return answer.json()


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer that must be one."""
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()

"""Quotes and orders: bounds, price, inputs stored, then hold and acceptance in one append."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from ledger.domain.verdicts import Answer, Done, Refused
from ledger.ports import Balance, GrantView, Ids
from workers import statements
from workers.catalogue import Catalogue
from workers.driving import CoreDriver, Rows, Surroundings
from workers.errors import InvalidInputs, OrderRefused, Problem
from workers.generation.events import JobAccepted
from workers.generation.price import price_lines
from workers.generation.reserve import Held, at_accept, ensure_hold, hold_id_of
from workers.generation.tools import Inputs, JobParams, Tool, check
from workers.views import Burn, Quote

_SEED_BITS = 53
"""Seeds that we draw are safe as JSON numbers everywhere."""

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, kw_only=True)
class Order:
    """Who orders what, under which key."""

    organisation_id: UUID
    account_id: UUID
    key: str
    params: JobParams
    key_id: UUID | None = None


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """An order that was taken, now or before: the job, and the account right after."""

    job_id: UUID
    replayed: bool
    available_ucr: int
    held_ucr: int


class Ordering:
    """Takes orders."""

    def __init__(self, around: Surroundings, catalogue: Catalogue, ids: Ids) -> None:
        self._around = around
        self._catalogue = catalogue
        self._ids = ids

    def quote(self, account_id: UUID, params: JobParams) -> Quote:
        """Price a request; see ``workers.service.Jobs``."""
        tool, inputs = self._checked(params)
        lines = price_lines(tool, inputs)
        price_ucr = sum(line.amount_ucr for line in lines)
        balance = self._around.ledger.balance(account_id)
        available_ucr = balance.available_ucr if balance else 0
        return Quote(
            tool=tool.name,
            tool_version=tool.version,
            model=inputs.model,
            quality=inputs.quality,
            width=inputs.width,
            height=inputs.height,
            images=inputs.images,
            price_ucr=price_ucr,
            price_version=tool.price.version,
            lines=lines,
            burns=tuple(_burns(balance, price_ucr)),
            available_ucr=available_ucr,
            missing_ucr=max(0, price_ucr - available_ucr),
            cancel_rule=tool.price.cancel,
            expected_s=tool.expected_s(inputs),
            deadline_s=tool.times.queue_limit_s + tool.times.run_limit_s,
        )

    def order(self, order: Order) -> Accepted:
        """Take an order; see ``workers.service.Jobs``."""
        tool, inputs = self._checked(order.params)
        job_id, mac_key = self._ids.new(), self._ids.new().bytes + self._ids.new().bytes
        accepted = self._acceptance(order, job_id, tool, inputs, mac_key)
        self._store(accepted, inputs, mac_key)
        want = at_accept(accepted, key=order.key, body=body_of(order.params), now=self._around.clock.now())
        reserved = CoreDriver(self._around).drive(ensure_hold(want))
        answer = reserved.answer
        assert answer is not None, "an order is always asked of the ledger"
        if not isinstance(reserved, Held) or answer.verdict.subject_id != job_id:
            self._drop(accepted)
        return self._taken(order, answer)

    def _checked(self, params: JobParams) -> tuple[Tool, Inputs]:
        tool = self._catalogue.choose(params)
        if tool is None:
            raise InvalidInputs((Problem("/tool", "expected a tool on offer"),))
        inputs = check(tool, params)
        if not isinstance(inputs, Inputs):
            raise InvalidInputs(inputs)
        return tool, inputs

    def _acceptance(self, order: Order, job_id: UUID, tool: Tool, inputs: Inputs, mac_key: bytes) -> JobAccepted:
        price_ucr = sum(line.amount_ucr for line in price_lines(tool, inputs))
        drawn = self._ids.new().int & ((1 << _SEED_BITS) - 1)
        return JobAccepted(
            job_id=job_id,
            organisation_id=order.organisation_id,
            account_id=order.account_id,
            tool=tool.name,
            tool_version=tool.version,
            model=inputs.model,
            quality=inputs.quality,
            width=inputs.width,
            height=inputs.height,
            images=inputs.images,
            seed=drawn if inputs.seed is None else inputs.seed,
            seed_given=inputs.seed is not None,
            price_ucr=price_ucr,
            price_version=tool.price.version,
            gpu_class=tool.gpu_class,
            queue_limit_s=tool.times.queue_limit_s,
            run_limit_s=tool.times.run_limit_s,
            expected_ms=round(tool.expected_s(inputs) * 1000),
            inputs_mac=hmac.new(mac_key, _encode([inputs.prompt, inputs.negative_prompt]), sha256).hexdigest(),
            hold_id=hold_id_of(job_id, 1) if price_ucr > 0 else None,
            key_id=order.key_id,
        )

    def _store(self, accepted: JobAccepted, inputs: Inputs, mac_key: bytes) -> None:
        rows = Rows(self._around.pool)
        facts = {
            "job_id": accepted.job_id,
            "organisation_id": accepted.organisation_id,
            "prompt": inputs.prompt,
            "negative_prompt": inputs.negative_prompt,
            "mac_key": mac_key,
        }
        rows.run(statements.INSERT_INPUTS, facts)
        rows.commit()

    def _drop(self, accepted: JobAccepted) -> None:
        rows = Rows(self._around.pool)
        facts = {"job_id": accepted.job_id, "organisation_id": accepted.organisation_id}
        rows.run(statements.DROP_INPUTS, facts)
        rows.commit()

    def _taken(self, order: Order, answer: Answer) -> Accepted:
        verdict = answer.verdict
        if isinstance(verdict, Refused):
            raise OrderRefused(verdict.code, verdict.facts, try_again=verdict.transient, replayed=answer.replayed)
        assert verdict.subject_id is not None
        available_ucr, held_ucr = self._sums(order.account_id, verdict)
        return Accepted(
            job_id=verdict.subject_id, replayed=answer.replayed, available_ucr=available_ucr, held_ucr=held_ucr
        )

    def _sums(self, account_id: UUID, done: Done) -> tuple[int, int]:
        """The account right after the order; an order at price 0 moved nothing, so its sums are asked for."""
        if done.account_version > 0:
            return done.available_ucr, done.held_ucr
        balance = self._around.ledger.balance(account_id)
        return (balance.available_ucr, balance.held_ucr) if balance else (0, 0)


def body_of(params: JobParams) -> dict[str, Any]:
    """What a repeat of an order is compared by: every field that the caller may send."""
    return {name: getattr(params, name) for name in params.__struct_fields__}


def _burns(balance: Balance | None, price_ucr: int) -> Iterator[Burn]:
    """What a hold would take, in burn order; as much as is there."""
    for grant in _live(balance):
        part_ucr = min(price_ucr, grant.free_ucr)
        if part_ucr > 0:
            yield Burn(grant_id=grant.grant_id, kind=grant.kind, amount_ucr=part_ucr)
            price_ucr -= part_ucr


def _live(balance: Balance | None) -> tuple[GrantView, ...]:
    return balance.grants if balance else ()

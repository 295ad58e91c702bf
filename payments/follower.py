"""Follows the log into the tables ``topups``, ``charges`` and ``receipts``: lists, sweeps and operators read those."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec

from ledger.domain.codec import RecordedEvent
from ledger.follower import Fold, FoldError
from ledger.sansio import Row, Run, RunMany
from payments import statements
from payments.domain import events, topup
from payments.domain.topup import STATE_FORMAT, Charge, TopUp

_TOPUP_PREFIXES = ("payments.topup-", "payments.charge-")
_CLAIM = "payments.charge-claimed."
_RECEIPT_PREFIXES = ("payments.receipt-", "payments.suspense-")


class PaymentsFollower:
    """Rows of payments, seconds behind the log."""

    name = "payments"

    def fold(self, recorded: Sequence[RecordedEvent]) -> Fold:
        """See ``ledger.follower.Follower``."""
        stories = [event for event in recorded if _is_topup(event.tag)]
        if stories:
            yield from _fold_topups(stories)
        for event in recorded:
            if event.tag.startswith(_RECEIPT_PREFIXES):
                yield _receipt_row(event)


def _is_topup(tag: str) -> bool:
    return tag.startswith(_TOPUP_PREFIXES) and not tag.startswith(_CLAIM)


def _fold_topups(stories: list[RecordedEvent]) -> Generator[Run | RunMany, Any, None]:
    """Fold every top-up of the batch on from its row. A row of another format is folded afresh by a rebuild."""
    rows: list[Row] = yield Run(statements.READ_TOPUPS, {"topup_ids": list({event.stream_id for event in stories})})
    known: dict[UUID, TopUp] = {
        row["topup_id"]: topup.decode_topup(row["folded"]) for row in rows if row["state_format"] == STATE_FORMAT
    }
    stories.sort(key=lambda event: (event.stream_id, event.version))
    folded = [_fold_one(known.get(key), group) for key, group in groupby(stories, key=lambda event: event.stream_id)]
    yield RunMany(statements.UPSERT_TOPUP, [_topup_row(one) for one in folded])
    yield RunMany(statements.UPSERT_CHARGE, [_charge_row(one, charge) for one in folded for charge in one.charges])


def _fold_one(before: TopUp | None, story: Iterable[RecordedEvent]) -> TopUp:
    state = before
    for event in story:
        try:
            state = topup.evolve(state, events.topup_event(event.state), event)
        except (msgspec.ValidationError, AssertionError) as error:
            raise FoldError(event.position, f"{event.tag}: {error}") from error
    assert state is not None
    return state


def _topup_row(one: TopUp) -> Row:
    return {
        "topup_id": one.topup_id,
        "organisation_id": one.organisation_id,
        "account_id": one.account_id,
        "rail": one.rail,
        "state": one.state,
        "flags": list(one.flags),
        "credited_ucr": one.credited_ucr,
        "currency": one.quote.currency,
        "gross_minor": one.quote.gross_minor,
        "charges": len(one.charges),
        "opened_at": one.opened_at,
        "quote_expires_at": one.quote.expires_at,
        "position": one.position,
        "version": one.version,
        "state_format": STATE_FORMAT,
        "folded": topup.encode_topup(one),
    }


def _charge_row(one: TopUp, charge: Charge) -> Row:
    """A charge stays watched one by one until its top-up is paid; afterwards the list of movements is enough."""
    return {
        "rail": charge.rail,
        "ref": charge.ref,
        "topup_id": one.topup_id,
        "organisation_id": one.organisation_id,
        "attempt": charge.attempt,
        "state": charge.state,
        "asset": charge.instruction.asset,
        "amount_minor": charge.instruction.amount_minor,
        "expires_at": charge.instruction.expires_at,
        "watched": not one.satisfied or bool(one.pending),
        "opened_at": one.opened_at,
    }


def _receipt_row(event: RecordedEvent) -> Run:
    try:
        told = events.receipt_event(event.state)
    except msgspec.ValidationError as error:
        raise FoldError(event.position, f"{event.tag}: {error}") from error
    match told:
        case events.ReceiptFinal():
            return Run(statements.UPSERT_RECEIPT, _final_row(told, event))
        case events.ReceiptListed():
            return Run(statements.UPSERT_RECEIPT, _listed_row(told, event))
        case events.ReceiptUnapplied() | events.SuspenseReceived():
            return Run(statements.EXPLAIN_RECEIPT, {"receipt_id": told.receipt_id, "reason": told.reason})
        case events.ReceiptApplied():
            return Run(statements.APPLY_RECEIPT, _applied_row(told, event))
        case events.ReceiptReversed():
            return Run(statements.REVERSE_RECEIPT, {"receipt_id": told.receipt_id, "recorded_at": event.recorded_at})


def _final_row(told: events.ReceiptFinal, event: RecordedEvent) -> Row:
    return {
        "receipt_id": told.receipt_id,
        "rail": told.rail,
        "external_id": told.external_id,
        "ref": told.ref,
        "state": "final",
        "generation": told.generation,
        "policy_case": told.case,
        "asset": told.asset,
        "amount_minor": told.amount_minor,
        "currency": told.currency,
        "value_micro": told.value_micro,
        "unapplied_micro": told.unapplied_micro,
        "suspense_micro": told.suspense_micro,
        "topup_id": told.topup_id,
        "organisation_id": told.organisation_id,
        "first_seen": told.first_seen,
        "recorded_at": event.recorded_at,
    }


def _listed_row(told: events.ReceiptListed, event: RecordedEvent) -> Row:
    return {
        "receipt_id": told.receipt_id,
        "rail": told.rail,
        "external_id": told.external_id,
        "ref": told.ref,
        "state": "listed",
        "generation": 0,
        "policy_case": told.reason,
        "asset": told.asset,
        "amount_minor": told.amount_minor,
        "currency": "",
        "value_micro": 0,
        "unapplied_micro": 0,
        "suspense_micro": 0,
        "topup_id": None,
        "organisation_id": None,
        "first_seen": told.first_seen,
        "recorded_at": event.recorded_at,
    }


def _applied_row(told: events.ReceiptApplied, event: RecordedEvent) -> Row:
    gross_micro = told.net_micro + told.tax_micro
    return {
        "receipt_id": told.receipt_id,
        "unapplied_micro": gross_micro if told.source == "unapplied" else 0,
        "suspense_micro": gross_micro if told.source == "suspense" else 0,
        "recorded_at": event.recorded_at,
    }

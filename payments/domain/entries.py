"""What is written about one observation: the events of the receipt, of its top-up, and the grant."""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import Struct

from ledger.domain.codec import NewEvent, encode_event
from ledger.domain.commands import GrantCredits, RevokeCredits
from ledger.ports import Companion
from payments.domain import events
from payments.domain.keys import grant_of
from payments.domain.policy import Assessment, Credit, Ignored, Parked
from payments.domain.quote import list_value
from payments.domain.receipt import Granted, Receipt
from payments.domain.topup import Part, TopUp
from payments.rail import Observation

_CAUSES: dict[str, events.ReversalCause] = {"refund": "refund", "dispute": "dispute"}


class Situation(Struct, frozen=True, kw_only=True):
    """Everything that one decision is made from, as read from source and log."""

    seen: Observation
    receipt: Receipt
    topup: TopUp | None
    currency: str
    ended: frozenset[UUID] = frozenset()
    """Grants of it that the ledger says were taken back before."""

    @property
    def generation(self) -> int:
        """The final state that this observation would bring."""
        return self.receipt.generation + 1

    @property
    def grant_id(self) -> UUID:
        """The grant that would come of it."""
        return grant_of(self.receipt.receipt_id, self.generation, 0)

    @property
    def cause(self) -> events.ReversalCause:
        """Why the money went back."""
        return _CAUSES.get(self.seen.reason, "reorganisation")

    @property
    def revocable(self) -> tuple[Granted, ...]:
        """What it brought and is not taken back yet."""
        return tuple(one for one in self.receipt.grants if one.grant_id not in self.ended)


def grant(topup: TopUp, credit: Credit, *, grant_id: UUID, receipt_id: UUID, generation: int) -> GrantCredits:
    """The ledger's command for bought credits; the net price is their cost basis."""
    return GrantCredits(
        account_id=topup.account_id,
        grant_id=grant_id,
        amount_ucr=credit.credits_ucr,
        kind="paid",
        lifetime_s=topup.quote.lifetime_s,
        cost_micro=credit.net_micro,
        list_value_micro=credit.list_value_micro,
        book_currency=topup.quote.currency,
        receipt_id=receipt_id,
        generation=generation,
        reason="top-up",
    )


def revocations(now: Situation) -> tuple[RevokeCredits, ...]:
    """The ledger's commands for a receipt whose money went back: unspent credits go, what was spent is owed."""
    return tuple(
        RevokeCredits(account_id=one.account_id, grant_id=one.grant_id, cause=now.cause, reason="receipt-reversed")
        for one in now.revocable
    )


def grant_again(now: Situation) -> GrantCredits | None:
    """The credits of a receipt that came back, if all that it brought was revoked; its debt is repaid from them."""
    before, topup = now.receipt, now.topup
    if topup is None or not before.revoked_ucr or before.credits_ucr or not before.net_micro:
        return None
    credit = Credit(
        credits_ucr=before.revoked_ucr,
        gross_micro=before.net_micro + before.tax_micro,
        tax_micro=before.tax_micro,
        list_value_micro=list_value(before.revoked_ucr, topup.quote.list_price_micro),
        satisfies=False,
    )
    return grant(topup, credit, grant_id=now.grant_id, receipt_id=before.receipt_id, generation=now.generation)


def settled(now: Situation, verdict: Assessment) -> tuple[Companion, ...]:
    """Receipt and top-up, for a receipt that is final."""
    money: list[NewEvent] = [encode_event(receipt_final(now, verdict))]
    if verdict.parked is not None:
        money.append(encode_event(_unapplied(now, verdict.parked)))
    elif verdict.credit is None:
        money.append(encode_event(_suspense(now, verdict)))
    companions = [Companion(now.receipt.receipt_id, now.receipt.version, tuple(money))]
    if now.topup is not None:
        story = tuple(encode_event(event) for event in _story(now, now.topup, verdict))
        companions.append(Companion(now.topup.topup_id, now.topup.version, story))
    return tuple(companions)


def receipt_final(now: Situation, verdict: Assessment) -> events.ReceiptFinal:
    """The money, with where all of it goes."""
    credit, parked, topup = verdict.credit, verdict.parked, now.topup
    return events.ReceiptFinal(
        receipt_id=now.receipt.receipt_id,
        generation=now.generation,
        rail=now.seen.rail,
        external_id=now.seen.external_id,
        ref=now.seen.ref,
        asset=now.seen.asset,
        amount_minor=now.seen.amount_minor,
        case=verdict.case,
        currency=now.currency,
        value_micro=verdict.value_micro,
        first_seen=now.seen.first_seen,
        final_at=now.seen.at,
        fee_minor=now.seen.fee_minor,
        net_micro=credit.net_micro if credit else 0,
        tax_micro=credit.tax_micro if credit else 0,
        unapplied_micro=parked.gross_micro if parked else 0,
        suspense_micro=0 if credit or parked else verdict.value_micro,
        fx_micro=verdict.fx_micro,
        topup_id=topup.topup_id if topup else None,
        organisation_id=topup.organisation_id if topup else None,
        account_id=topup.account_id if topup else None,
        grant_id=now.grant_id if credit else None,
        credits_ucr=credit.credits_ucr if credit else 0,
    )


def waiting_again(now: Situation, value_micro: int) -> tuple[Companion, ...]:
    """A reversed receipt that came back with another value, or whose credits cannot be granted, waits in Suspense."""
    before, verdict = now.receipt, Assessment(case="restored", value_micro=value_micro)
    money = (encode_event(receipt_final(now, verdict)), encode_event(_suspense(now, verdict)))
    return (Companion(before.receipt_id, before.version, money),)


def restored(now: Situation, again: GrantCredits | None) -> tuple[Companion, ...]:
    """A reversed receipt that came back: booked as it was, with the grant for what had been revoked."""
    before, topup = now.receipt, now.topup
    final = receipt_final(now, Assessment(case="restored", value_micro=before.value_micro))
    final = msgspec.structs.replace(
        final,
        net_micro=before.net_micro,
        tax_micro=before.tax_micro,
        unapplied_micro=before.unapplied_micro,
        suspense_micro=before.suspense_micro,
        fx_micro=before.fx_micro,
        grant_id=again.grant_id if again else None,
        credits_ucr=again.amount_ucr if again else 0,
    )
    companions = [Companion(before.receipt_id, before.version, (encode_event(final),))]
    if topup is not None:
        event = events.TopUpRestored(topup_id=topup.topup_id, receipt_id=before.receipt_id, generation=now.generation)
        companions.append(Companion(topup.topup_id, topup.version, (encode_event(event),)))
    return tuple(companions)


def applied(topup: TopUp, part: Part, credit: Credit, grant_id: UUID) -> events.ReceiptApplied:
    """Money that waited for the rest of its quote, as the books see it."""
    return events.ReceiptApplied(
        receipt_id=part.receipt_id,
        generation=part.generation,
        part=1,
        rail=part.rail,
        source="unapplied",
        currency=topup.quote.currency,
        net_micro=credit.net_micro,
        tax_micro=credit.tax_micro,
        topup_id=topup.topup_id,
        organisation_id=topup.organisation_id,
        account_id=topup.account_id,
        grant_id=grant_id,
        credits_ucr=credit.credits_ucr,
    )


def part_credited(topup: TopUp, part: Part, grant_id: UUID) -> events.TopUpCredited:
    """The same, as the customer sees it."""
    return events.TopUpCredited(
        topup_id=topup.topup_id,
        receipt_id=part.receipt_id,
        generation=part.generation,
        part=1,
        rail=part.rail,
        ref=part.ref,
        case=part.case,
        grant_id=grant_id,
        credits_ucr=part.due_credits_ucr,
        gross_micro=part.gross_micro,
        satisfies=False,
    )


def taken_back(now: Situation, *, revoked: bool) -> tuple[Companion, ...]:
    """The source took a final receipt back; whether its credits are ``revoked`` in the same append, or stay."""
    receipt, credits_ucr = now.receipt, sum(one.credits_ucr for one in now.revocable)
    event = events.ReceiptReversed(
        receipt_id=receipt.receipt_id,
        generation=receipt.generation,
        rail=now.seen.rail,
        currency=now.currency,
        value_micro=receipt.value_micro,
        credits_kept_ucr=0 if revoked else credits_ucr,
        reversed_at=now.seen.at,
        credits_revoked_ucr=credits_ucr if revoked else 0,
        cause=now.cause,
    )
    companions = [Companion(receipt.receipt_id, receipt.version, (encode_event(event),))]
    if now.topup is not None:
        told = events.TopUpReversed(
            topup_id=now.topup.topup_id,
            receipt_id=receipt.receipt_id,
            generation=receipt.generation,
            cause=now.cause,
        )
        companions.append(Companion(now.topup.topup_id, now.topup.version, (encode_event(told),)))
    return tuple(companions)


def listed(now: Situation, ignored: Ignored) -> tuple[Companion, ...]:
    """A movement that is known and not booked."""
    event = events.ReceiptListed(
        receipt_id=now.receipt.receipt_id,
        rail=now.seen.rail,
        external_id=now.seen.external_id,
        ref=now.seen.ref,
        asset=now.seen.asset,
        amount_minor=now.seen.amount_minor,
        reason=ignored.reason,
        first_seen=now.seen.first_seen,
    )
    return (Companion(now.receipt.receipt_id, now.receipt.version, (encode_event(event),)),)


def _story(now: Situation, topup: TopUp, verdict: Assessment) -> list[events.TopUpEvent]:
    story: list[events.TopUpEvent] = []
    if verdict.credit is not None:
        story.append(_credited(now, topup, verdict, verdict.credit))
    if verdict.parked is not None:
        story.append(_parked(now, topup, verdict, verdict.parked))
    return story


def _credited(now: Situation, topup: TopUp, verdict: Assessment, credit: Credit) -> events.TopUpCredited:
    return events.TopUpCredited(
        topup_id=topup.topup_id,
        receipt_id=now.receipt.receipt_id,
        generation=now.generation,
        part=0,
        rail=now.seen.rail,
        ref=now.seen.ref,
        case=verdict.case,
        grant_id=now.grant_id,
        credits_ucr=credit.credits_ucr,
        gross_micro=credit.gross_micro,
        satisfies=credit.satisfies,
    )


def _parked(now: Situation, topup: TopUp, verdict: Assessment, parked: Parked) -> events.TopUpParked:
    return events.TopUpParked(
        topup_id=topup.topup_id,
        receipt_id=now.receipt.receipt_id,
        generation=now.generation,
        rail=now.seen.rail,
        ref=now.seen.ref,
        case=verdict.case,
        reason=parked.reason,
        gross_micro=parked.gross_micro,
        tax_micro=parked.tax_micro,
        due_credits_ucr=parked.due_credits_ucr,
        due_list_value_micro=parked.due_list_value_micro,
    )


def _unapplied(now: Situation, parked: Parked) -> events.ReceiptUnapplied:
    assert now.topup is not None, "money for nobody goes to Suspense"
    return events.ReceiptUnapplied(
        receipt_id=now.receipt.receipt_id,
        generation=now.generation,
        unapplied_micro=parked.gross_micro,
        reason=parked.reason,
        topup_id=now.topup.topup_id,
        organisation_id=now.topup.organisation_id,
        account_id=now.topup.account_id,
    )


def _suspense(now: Situation, verdict: Assessment) -> events.SuspenseReceived:
    return events.SuspenseReceived(
        receipt_id=now.receipt.receipt_id,
        generation=now.generation,
        rail=now.seen.rail,
        suspense_micro=verdict.value_micro,
        reason=verdict.case,
    )

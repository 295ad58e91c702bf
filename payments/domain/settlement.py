"""From what a source says, and what the log has, to the one request that books it; or to nothing to do.

Pure. A receipt is claimed at the version it was read at, so that whoever comes second is told so by a verdict.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from ledger.domain.codec import encode_event
from ledger.ports import Companion, Request
from payments.domain import entries, events
from payments.domain.entries import Situation
from payments.domain.keys import grant_of
from payments.domain.policy import Assessment, Credit, Ignored, Terms, assess, unapplied
from payments.domain.receipt import Receipt
from payments.domain.topup import Charge, Part, TopUp

Kind = Literal["appended", "nothing-to-do", "needs-human"]
_ON_ITS_WAY = ("open", "seen", "confirming")


class Outcome(Struct, frozen=True):
    """How a notification was handled; ``detail`` is a code."""

    kind: Kind
    detail: str = ""


NOTHING = Outcome("nothing-to-do")


class Plan(Struct, frozen=True):
    """A request, and the outcome once it is done."""

    request: Request
    outcome: Outcome


def plan(now: Situation, terms: Terms, refused: str = "") -> Plan | None:
    """What to do about an observation; None when nothing is. ``refused``: why the ledger refused the grant before."""
    if now.seen.direction != "in":
        return None
    match now.seen.state:
        case "final":
            return _final(now, terms, refused)
        case "reversed" | "failed":
            return _reversed(now, refused) if now.receipt.state == "final" else _charge_failed(now)
        case "seen" | "confirming":
            return _on_its_way(now) if now.receipt.state in ("unknown", "listed") else None


def apply_part(topup: TopUp, part: Part, receipt: Receipt) -> Request:
    """Turn a partial payment that waits into credits, at the quote's rate."""
    grant_id = grant_of(part.receipt_id, part.generation, 1)
    credit = Credit(
        credits_ucr=part.due_credits_ucr,
        gross_micro=part.gross_micro,
        tax_micro=part.tax_micro,
        list_value_micro=part.due_list_value_micro,
        satisfies=False,
    )
    applied = encode_event(entries.applied(topup, part, credit, grant_id))
    credited = encode_event(entries.part_credited(topup, part, grant_id))
    return Request(
        key=f"apply:{part.receipt_id.hex}:{part.generation}:1",
        operation="apply-receipt",
        command=entries.grant(topup, credit, grant_id=grant_id, receipt_id=part.receipt_id, generation=part.generation),
        body={"receipt": part.receipt_id.hex, "generation": part.generation},
        subject_id=topup.topup_id,
        on_accept=(
            Companion(part.receipt_id, receipt.version, (applied,)),
            Companion(topup.topup_id, topup.version, (credited,)),
        ),
    )


def expire_charge(topup: TopUp, charge: Charge) -> Request:
    """Say that the window of a charge has closed."""
    event = events.ChargeExpired(topup_id=topup.topup_id, rail=charge.rail, ref=charge.ref)
    return _told(topup, event, "expire-charge")


def _final(now: Situation, terms: Terms, refused: str) -> Plan | None:
    if now.receipt.state == "final":
        return None
    if now.receipt.state == "reversed":
        return _restored(now, terms, refused)
    verdict = assess(now.topup, now.seen, terms)
    if isinstance(verdict, Ignored):
        return None if now.receipt.state == "listed" else _listed(now, verdict)
    return Plan(_settling(now, verdict, refused), _outcome(verdict))


def _outcome(verdict: Assessment) -> Outcome:
    if verdict.parked is not None:
        waits = verdict.parked.due_credits_ucr > 0
        return Outcome("appended" if waits else "needs-human", verdict.parked.reason)
    if verdict.credit is None:
        return Outcome("needs-human", verdict.case)
    return Outcome("appended", verdict.case)


def _settling(now: Situation, verdict: Assessment, refused: str) -> Request:
    """One append: grant, receipt and top-up. ``refused`` names why all of it may have to wait in Unapplied."""
    request = _about(now, "settle-receipt", entries.settled(now, verdict))
    if now.topup is None or verdict.credit is None:
        return request
    command = entries.grant(
        now.topup,
        verdict.credit,
        grant_id=now.grant_id,
        receipt_id=now.receipt.receipt_id,
        generation=now.generation,
    )
    otherwise = entries.settled(now, unapplied(verdict, refused)) if refused else ()
    return msgspec.structs.replace(request, command=command, on_refuse=otherwise)


def _restored(now: Situation, terms: Terms, refused: str) -> Plan:
    """Money that had gone is back: so are the credits that were revoked, once, under a grant of its own."""
    value_micro = terms.value(now.seen)
    value_micro = now.receipt.value_micro if value_micro is None else value_micro
    again = None if refused else entries.grant_again(now)
    if value_micro != now.receipt.value_micro or (now.receipt.revoked_ucr and again is None):
        request = _about(now, "settle-receipt", entries.waiting_again(now, value_micro))
        return Plan(request, Outcome("needs-human", "restored"))
    request = _about(now, "settle-receipt", entries.restored(now, again))
    return Plan(msgspec.structs.replace(request, command=again), Outcome("appended", "restored"))


def _listed(now: Situation, ignored: Ignored) -> Plan:
    request = _about(now, "list-receipt", entries.listed(now, ignored))
    return Plan(request, Outcome("appended", ignored.reason))


def _reversed(now: Situation, refused: str) -> Plan:
    """The money went back, and in the same append its credits; where the ledger will not have that, somebody must look.

    ``refused``: why it would not.
    """
    request = _about(now, "reverse-receipt", entries.taken_back(now, revoked=not refused))
    if refused:
        return Plan(request, Outcome("needs-human", refused))
    if commands := entries.revocations(now):
        request = msgspec.structs.replace(request, command=commands[0], linked=commands[1:])
    return Plan(request, Outcome("appended", "reversed"))


def _about(now: Situation, operation: str, companions: tuple[Companion, ...]) -> Request:
    """A request about one generation of a receipt: done once for ever."""
    receipt_id, topup = now.receipt.receipt_id, now.topup
    return Request(
        key=f"receipt:{receipt_id.hex}:{now.generation}",
        operation=operation,
        scope_id=topup.account_id if topup else receipt_id,
        body={"receipt": receipt_id.hex, "generation": now.generation},
        subject_id=topup.topup_id if topup else receipt_id,
        on_accept=companions,
    )


def _charge_failed(now: Situation) -> Plan | None:
    charge = _charge(now)
    if now.topup is None or charge is None or charge.state not in _ON_ITS_WAY:
        return None
    event = events.ChargeFailed(
        topup_id=now.topup.topup_id,
        rail=now.seen.rail,
        ref=now.seen.ref,
        external_id=now.seen.external_id,
        reason=now.seen.reason or now.seen.state,
    )
    return Plan(_told(now.topup, event, "charge-failed"), Outcome("appended", "failed"))


def _on_its_way(now: Situation) -> Plan | None:
    charge = _charge(now)
    if now.topup is None or charge is None or charge.state == "final":
        return None
    if now.seen.state == "seen":
        return _seen(now, now.topup, charge)
    return _confirming(now, now.topup, charge)


def _seen(now: Situation, topup: TopUp, charge: Charge) -> Plan | None:
    if charge.state in ("seen", "confirming"):
        return None
    event = events.ChargeSeen(
        topup_id=topup.topup_id,
        rail=now.seen.rail,
        ref=now.seen.ref,
        external_id=now.seen.external_id,
        asset=now.seen.asset,
        amount_minor=now.seen.amount_minor,
        first_seen=now.seen.first_seen,
    )
    return Plan(_told(topup, event, "charge-seen"), Outcome("appended", "seen"))


def _confirming(now: Situation, topup: TopUp, charge: Charge) -> Plan | None:
    if charge.state == "confirming" and charge.confirmations >= now.seen.confirmations:
        return None
    event = events.ChargeConfirming(
        topup_id=topup.topup_id,
        rail=now.seen.rail,
        ref=now.seen.ref,
        external_id=now.seen.external_id,
        confirmations=now.seen.confirmations,
    )
    return Plan(_told(topup, event, "charge-confirming"), Outcome("appended", "confirming"))


def _told(topup: TopUp, event: events.TopUpEvent, operation: str) -> Request:
    """A request for one event of a top-up at the version it was read at."""
    return Request(
        key=f"{operation}:{topup.topup_id.hex}:{topup.version}",
        operation=operation,
        scope_id=topup.account_id,
        body={"topup": topup.topup_id.hex},
        subject_id=topup.topup_id,
        on_accept=(Companion(topup.topup_id, topup.version, (encode_event(event),)),),
    )


def _charge(now: Situation) -> Charge | None:
    return now.topup.charge(now.seen.rail, now.seen.ref) if now.topup else None

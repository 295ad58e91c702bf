"""The sweep, sans I/O: asks each source what moved and how charges stand; a lost notification costs seconds.

It moves no money. What it finds becomes a row of the inbox, and goes the same way as a notification.
"""

from __future__ import annotations

from ledger.sansio import Commit, Row, Run, RunMany, Wake
from payments import statements
from payments.effects import INBOX_TOPIC, ListChanges, LookUp, PaymentCore
from payments.errors import PaymentsError
from payments.limits import SWEEP_BATCH_MAX, SWEEP_INTERVAL_S
from payments.opening import open_charge
from payments.rail import Cursor, Observation

UNOPENED_AFTER_S = 10.0
"""Seconds after which a top-up without a charge is taken for abandoned by the request that began it."""


def sweep_changes(rail: str) -> PaymentCore[int]:
    """Read a rail's list of movements on from its cursor; how many came in.

    :raises RailUnavailable: the source cannot be asked; the cursor stays.
    """
    yield Run(statements.ADD_CURSOR, {"rail": rail})
    rows: list[Row] = yield Run(statements.READ_CURSOR, {"rail": rail})
    yield Commit()
    before: str = rows[0]["token"]
    told: tuple[list[Observation], Cursor] = yield ListChanges(rail, Cursor(before))
    seen, after = told
    found = [hint_of(observation) for observation in seen if observation.direction == "in"]
    yield RunMany(statements.STORE_SWEPT, found)
    yield Run(statements.MOVE_CURSOR, {"rail": rail, "before": before, "token": after.token})
    yield Commit()
    if found:
        yield Wake(INBOX_TOPIC)
    return len(found)


def sweep_charges(limit: int = SWEEP_BATCH_MAX) -> PaymentCore[int]:
    """Ask about charges that are due for a look, each again after a tenth of its age; how many."""
    params = {"interval_s": SWEEP_INTERVAL_S, "limit": limit}
    rows: list[Row] = yield Run(statements.DUE_CHARGES, params)
    yield Commit()
    for row in rows:
        yield from _look(row)
    return len(rows)


def sweep_unopened(limit: int = SWEEP_BATCH_MAX) -> PaymentCore[int]:
    """Open the charges of top-ups whose request died in between; how many were opened."""
    params = {"after_s": UNOPENED_AFTER_S, "limit": limit}
    rows: list[Row] = yield Run(statements.UNOPENED_TOPUPS, params)
    yield Commit()
    opened = 0
    for row in rows:
        try:
            yield from open_charge(row["topup_id"])
        except PaymentsError:
            continue  # looked at again by the next sweep, until its quote has ended
        opened += 1
    return opened


def hint_of(seen: Observation) -> Row:
    """A row of the inbox for what a source says, the same one for the same state."""
    state = f"{seen.external_id}:{seen.state}:{seen.confirmations}:{seen.at.isoformat()}"
    return _hint(seen.rail, f"sweep:{state}", seen.question)


def _look(row: Row) -> PaymentCore[None]:
    rail, ref = row["rail"], row["ref"]
    try:
        seen: list[Observation] = yield LookUp(rail, ref)
    except PaymentsError:
        return  # not known: the next look is due soon
    found = [hint_of(observation) for observation in seen if observation.direction == "in"]
    if row["window_closed"]:
        found.append(_hint(rail, f"sweep:{ref}:window-closed", ref))
    if found:
        yield RunMany(statements.STORE_SWEPT, found)
        yield Commit()
        yield Wake(INBOX_TOPIC)


def _hint(rail: str, external_id: str, ref: str) -> Row:
    return {"rail": rail, "external_id": external_id, "ref": ref}

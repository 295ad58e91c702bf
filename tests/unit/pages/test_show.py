"""What templates print of an account."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from api.pages.show import Bucket, balance_card
from ledger.ports import Balance, GrantView

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
CREDIT = 1_000_000


@dataclass(frozen=True)
class Parts:
    """Whole credits of a grant."""

    free: int = 0
    held: int = 0
    frozen: int = 0


def bucket(parts: Parts, expires_at: datetime | None = None) -> Bucket:
    """The line of an account's one grant."""
    grant = GrantView(
        grant_id=UUID(int=1),
        kind="paid",
        priority=0,
        expires_at=expires_at,
        granted_ucr=10 * CREDIT,
        free_ucr=parts.free * CREDIT,
        held_ucr=parts.held * CREDIT,
        frozen_ucr=parts.frozen * CREDIT,
    )
    balance = Balance(
        account_id=UUID(int=2),
        organisation_id=UUID(int=3),
        posted_ucr=10 * CREDIT,
        held_ucr=grant.held_ucr,
        frozen_ucr=grant.frozen_ucr,
        available_ucr=grant.free_ucr,
        open_holds=0,
        grants=(grant,),
        account_version=1,
        log_position=1,
        at=NOW,
    )
    (shown,) = balance_card(balance).buckets
    return shown


@pytest.mark.parametrize(
    ("parts", "pinned"),
    [
        (Parts(free=10), ""),
        (Parts(held=4), "4 set aside"),
        (Parts(frozen=6), "6 in dispute"),
        (Parts(1, 4, 5), "4 set aside, 5 in dispute"),
    ],
)
def test_a_bucket_says_what_of_it_cannot_be_spent(parts: Parts, pinned: str) -> None:
    shown = bucket(parts)
    assert (shown.free, shown.pinned, shown.granted) == (str(parts.free), pinned, "10")


@pytest.mark.parametrize(
    ("expires_at", "ends"),
    [
        (None, "no end date"),
        (NOW, "ended 2 Jan 2026, 03:04 UTC"),
        (NOW + timedelta(minutes=1), "until 2 Jan 2026, 03:05 UTC"),
    ],
)
def test_a_bucket_says_when_it_ends_or_did(expires_at: datetime | None, ends: str) -> None:
    assert bucket(Parts(frozen=1), expires_at).ends == ends

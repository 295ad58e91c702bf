"""The deferred formula: what of a grant's total waits for use, exact to the last micro.

Deferred of a grant = total - floor6(total * gone / granted). Entries book its change, so that the sum over all grants
equals the Deferred accounts at every sequence, and the last unit takes the remainder.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from msgspec import Struct

from projections.books.chart import DEFERRED


class Grant(Struct):
    """What the books know of a grant. ``gone_ucr`` is all that left it, whatever for, less what reversals brought back.

    ``cost_micro``, ``list_value_micro`` and ``tax_micro`` are 10⁻⁶ of the major unit of ``currency``; ``position`` is
    its entry, ``money_position`` the receipt event that was booked in it (0: none). ``revoked_ucr`` are units for which
    money went back, and with it their share of the tax.
    """

    grant_id: UUID
    account_id: UUID
    kind: Literal["paid", "subscription", "promo", "goodwill", "referral"]
    granted_ucr: int
    cost_micro: int
    list_value_micro: int
    currency: str
    position: int
    money_position: int = 0
    gone_ucr: int = 0
    receipt_id: UUID | None = None
    generation: int = 1
    tax_micro: int = 0
    revoked_ucr: int = 0

    @property
    def total_micro(self) -> int:
        """Its cost basis where it is deferred, else 0."""
        return self.cost_micro if self.kind in DEFERRED else 0

    @property
    def deferred_micro(self) -> int:
        """What of it is deferred now."""
        return self.total_micro - share(self.total_micro, self.gone_ucr, self.granted_ucr)


def share(total: int, part_ucr: int, whole_ucr: int) -> int:
    """``floor(total * part / whole)``, exactly."""
    assert 0 <= part_ucr <= whole_ucr and whole_ucr > 0 and total >= 0, f"{part_ucr} of {whole_ucr}"
    return total * part_ucr // whole_ucr


def leave(grant: Grant, units_ucr: int) -> tuple[int, int]:
    """Units leave a grant: the change of its formula, and of the same formula on its list value.

    A negative number comes back, and so do the changes.
    """
    before_ucr = grant.gone_ucr
    grant.gone_ucr += units_ucr
    changes = [
        share(total, grant.gone_ucr, grant.granted_ucr) - share(total, before_ucr, grant.granted_ucr)
        for total in (grant.total_micro, grant.list_value_micro)
    ]
    return changes[0], changes[1]


def tax_back(grant: Grant, units_ucr: int) -> int:
    """Units are revoked and their money goes back: their share of the tax, the last unit taking the remainder."""
    before_ucr = grant.revoked_ucr
    grant.revoked_ucr += units_ucr
    return share(grant.tax_micro, grant.revoked_ucr, grant.granted_ucr) - share(
        grant.tax_micro, before_ucr, grant.granted_ucr
    )

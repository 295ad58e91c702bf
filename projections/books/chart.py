"""The chart of accounts as data: fixed names, and those that take their name from a rail or a currency."""

from __future__ import annotations

from typing import NamedTuple

from projections.errors import Unbookable

DEFERRED_PACKS = "Liabilities:Deferred:CreditPacks"
DEFERRED_SUBSCRIPTIONS = "Liabilities:Deferred:Subscriptions"
CUSTOMER_BALANCE = "Liabilities:CustomerBalance"
ESCHEAT = "Liabilities:Escheat"
UNAPPLIED = "Liabilities:Unapplied:Receipts"
ACCRUED_GPU = "Liabilities:Accrued:GPU"
RECEIVABLE_CUSTOMERS = "Assets:Receivable:Customers"
RECEIVABLE_DISPUTES = "Assets:Receivable:Disputes"
TRANSFERS = "Assets:InTransit:Transfers"
"""Deferred between the two events of a transfer; empty after every append."""
USAGE_GROSS = "Income:Usage:Gross"
PROMO_CONTRA = "Income:Usage:PromoContra"
BREAKAGE = "Income:Breakage"
DISPUTES_RECOVERED = "Income:Disputes:Recovered"
FX_REALIZED = "Income:FX:Realized"
GOODWILL = "Expenses:Goodwill"
RAIL_LOSSES = "Expenses:Rail:Losses"
GPU = "Expenses:GPU"

AVAILABLE = "Equity:Credits:Customer:Available"
HELD = "Equity:Credits:Customer:Held"
FROZEN = "Equity:Credits:Customer:Frozen"
DEBT = "Equity:Credits:Customer:Debt"
MOVING = "Equity:Credits:InTransit"
"""Units between the two events of a transfer; empty after every append."""
CONSUMED = "Equity:Credits:Consumed"
EXPIRED = "Equity:Credits:Expired"
REVOKED = "Equity:Credits:Revoked"
ESCHEATED = "Equity:Credits:Escheated"
ISSUED = {
    "paid": "Equity:Credits:Issued:Paid",
    "subscription": "Equity:Credits:Issued:Subscription",
    "promo": "Equity:Credits:Issued:Promo",
    "goodwill": "Equity:Credits:Issued:Goodwill",
    "referral": "Equity:Credits:Issued:Referral",
}

DEFERRED = {"paid": DEFERRED_PACKS, "subscription": DEFERRED_SUBSCRIPTIONS}
"""Where the cost basis of a kind waits for its use; kinds that nobody paid for have none."""

AT_LIST = {"promo": PROMO_CONTRA, "referral": PROMO_CONTRA, "goodwill": GOODWILL}
"""What the use of a kind that nobody paid for is booked against, at list price."""


DISPUTES_LOSSES = "Expenses:Disputes:Losses"
RECOVERED = {"reorganisation": RAIL_LOSSES}
"""What the repayment of a debt makes good, by its cause; for every other cause it is DISPUTES_RECOVERED."""


class RailAccounts(NamedTuple):
    """Where a rail's money stands; crypto also moves its own units between ``wallet`` and ``world``."""

    assets: str
    commodity: str = ""
    wallet: str = ""
    world: str = ""


_NAMES = {"stripe": "Stripe", "lightning": "Lightning", "liquid": "Liquid", "sandbox": "Sandbox"}
_LIGHTNING = RailAccounts(
    "Assets:Rail:Lightning:Carrying", "SAT", "Equity:Units:Lightning:Node", "Equity:Units:Lightning:World"
)
_LIQUID_ASSETS = frozenset({"USDT", "LBTC"})


def rail_accounts(rail: str, asset: str) -> RailAccounts:
    """Where money of a rail stands. Stripe and the sandbox clear fiat and have no units of their own.

    :raises Unbookable: the chart has no such rail or asset.
    """
    if rail == "lightning":
        return _LIGHTNING
    if rail != "liquid":
        return RailAccounts(f"Assets:Clearing:{_name(rail)}")
    if asset not in _LIQUID_ASSETS:
        raise Unbookable(f"the chart has no account for {asset} on rail {rail}")
    return RailAccounts(f"Assets:Rail:Liquid:{asset}", asset, "Equity:Units:Liquid:Wallet", "Equity:Units:Liquid:World")


def suspense(rail: str) -> str:
    """Where a rail's money waits that nothing explains. Raises as ``rail_accounts``."""
    return f"Liabilities:Suspense:{_name(rail)}"


def processing(rail: str) -> str:
    """What a rail's fees are booked to. Raises as ``rail_accounts``."""
    return f"Expenses:Processing:{_name(rail)}"


def tax_sales(currency: str) -> str:
    """Tax that is owed on sales, by the currency of the sale."""
    return f"Liabilities:Tax:Sales:{currency}"


def refunds_payable(currency: str) -> str:
    """What is to be paid back, by the currency of the sale."""
    return f"Liabilities:Refunds:Payable:{currency}"


def taken_for(cause: str, currency: str) -> str:
    """Where the deferred rest of revoked credits goes, by cause: to whoever has the money, else breakage."""
    match cause:
        case "refund":
            return refunds_payable(currency)
        case "dispute":
            return RECEIVABLE_DISPUTES
        case "reorganisation":
            return RAIL_LOSSES
        case "downgrade":
            return CUSTOMER_BALANCE
        case _:
            return BREAKAGE


def lost_for(cause: str) -> str:
    """What bears the money that went back for credits that were used, by the cause."""
    return DISPUTES_LOSSES if cause in ("refund", "dispute") else RAIL_LOSSES


def _name(rail: str) -> str:
    if (name := _NAMES.get(rail)) is None:
        raise Unbookable(f"the chart has no account for rail {rail}")
    return name

"""What a job costs: a rule with a version, on ints; a job keeps the version it was quoted."""

from __future__ import annotations

from workers.generation.tools import Inputs, Tool
from workers.views import PriceLine

_AREA_PX = 1024 * 1024
_PERCENT = 100


def price_ucr(tool: Tool, inputs: Inputs) -> int:
    """Micro-credits for a request; 0 is a price (nothing is held)."""
    return sum(line.amount_ucr for line in price_lines(tool, inputs))


def price_lines(tool: Tool, inputs: Inputs) -> tuple[PriceLine, ...]:
    """The price in parts, which add up to it: what each picture costs, and what its size adds.

    The size's part scales with model and quality and is rounded up to the rule's step, once, over all pictures.
    """
    rule = tool.price
    percent = tool.models[inputs.model].price_percent * tool.qualities[inputs.quality].price_percent
    area_ucr = rule.area_ucr * inputs.width * inputs.height * inputs.images * percent
    steps = -(-area_ucr // (_AREA_PX * _PERCENT * _PERCENT * rule.step_ucr))
    return (
        PriceLine(label="pictures", amount_ucr=rule.base_ucr * inputs.images),
        PriceLine(label="size", amount_ucr=steps * rule.step_ucr),
    )


def cancel_charge_ucr(tool: Tool, price: int, *, ran_s: float, expected_s: float, preview_sent: bool) -> int:
    """What a cancel costs: nothing before the first preview, then the share of the expected time used.

    Rounded down to the rule's step; never more than the price, and nothing at all where the tool says ``free``.
    """
    if tool.price.cancel == "free" or not preview_sent or price == 0:
        return 0
    used_ms, expected_ms = max(0, round(ran_s * 1000)), max(1, round(expected_s * 1000))
    share_ucr = price * min(used_ms, expected_ms) // expected_ms
    return share_ucr - share_ucr % tool.price.step_ucr

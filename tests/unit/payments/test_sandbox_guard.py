"""The sandbox stays away from real money."""

from __future__ import annotations

from typing import Any

import pytest

from payments.errors import SandboxBesideLiveKeys
from payments.sandbox.guard import refuse_beside_live_keys
from tallystick.settings import Settings


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("TALLYSTICK_LIVE", {"live": True}),
        ("STRIPE_API_KEY", {"stripe_api_key": "sk_live_x"}),
        ("STRIPE_API_KEY", {"stripe_api_key": "rk_live_x"}),
        ("LNBITS_URL", {"lnbits_url": "https://node.example"}),
        ("LIQUID_DESCRIPTOR", {"liquid_descriptor": "ct(slip77(ab),elwpkh(xpub6/0/*))"}),
    ],
)
def test_the_sandbox_refuses_to_be_enabled_beside_live_keys(setting: str, values: dict[str, Any]) -> None:
    with pytest.raises(SandboxBesideLiveKeys) as refusal:
        refuse_beside_live_keys(Settings(sandbox=True, **values))
    assert refusal.value.facts == {"setting": setting}
    refuse_beside_live_keys(Settings(sandbox=False, **values))


def test_test_keys_are_no_live_keys() -> None:
    refuse_beside_live_keys(
        Settings(sandbox=True, stripe_api_key="sk_test_x", liquid_descriptor="ct(slip77(ab),elwpkh(tpubD/0/*))")
    )


def test_the_sandbox_is_off_unless_enabled() -> None:
    assert not Settings().sandbox

"""Keeps money for nothing away from real money."""

from __future__ import annotations

from typing import Protocol

from payments.errors import SandboxBesideLiveKeys

_TEST_KEYS = ("sk_test_", "rk_test_")


class RailSettings(Protocol):
    """The settings that decide; ``tallystick.settings.Settings`` has them."""

    @property
    def sandbox(self) -> bool:
        """Whether the sandbox is wanted."""
        ...

    @property
    def live(self) -> bool:
        """Whether customers' keys are live ones."""
        ...

    @property
    def stripe_api_key(self) -> str | None:
        """Key for card payments."""
        ...

    @property
    def lnbits_url(self) -> str | None:
        """Lightning node."""
        ...

    @property
    def liquid_descriptor(self) -> str | None:
        """Watch-only wallet."""
        ...


def refuse_beside_live_keys(settings: RailSettings) -> None:
    """Allow the sandbox only where no real money can move; what cannot be told to be a test counts as live.

    :raises SandboxBesideLiveKeys: names the setting.
    """
    if not settings.sandbox:
        return
    stripe = settings.stripe_api_key
    live = {
        "TALLYSTICK_LIVE": settings.live,
        "STRIPE_API_KEY": stripe is not None and not stripe.startswith(_TEST_KEYS),
        "LNBITS_URL": settings.lnbits_url is not None,
        "LIQUID_DESCRIPTOR": settings.liquid_descriptor is not None and "tpub" not in settings.liquid_descriptor,
    }
    for name, found in live.items():
        if found:
            raise SandboxBesideLiveKeys(setting=name)

"""Carries the sandbox's notifications: plainly, or losing, repeating and reordering them as networks do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from payments.errors import PaymentsError
from payments.sandbox.books import RAIL
from payments.sandbox.signing import Notification

_log = logging.getLogger(__name__)
Receive = Callable[[str, Mapping[str, str], bytes], object]
"""Takes a notification in: rail, headers, raw body; ``TopUpsService.receive`` is one."""


class Courier(Protocol):
    """Takes a notification to the merchant, or loses it."""

    def send(self, notification: Notification) -> None:
        """Must not raise: who was paid does not care whether the merchant heard of it."""
        ...


class DirectCourier:
    """Delivers at once, once. What the merchant refuses is lost: the sweep finds it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    def send(self, notification: Notification) -> None:
        """See ``Courier``."""
        try:
            self._receive(RAIL, notification.headers, notification.raw)
        except PaymentsError as error:
            _log.warning("a sandbox notification was refused: %s", error)


class FaultyCourier:
    """Keeps every notification until told what becomes of it."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self.kept: list[Notification] = []

    def send(self, notification: Notification) -> None:
        """See ``Courier``."""
        self.kept.append(notification)

    def drop(self) -> None:
        """Lose all that is kept."""
        self.kept.clear()

    def deliver(self, *, times: int = 1, backwards: bool = False) -> None:
        """Deliver all that is kept, each so many times, newest first if ``backwards``."""
        kept, self.kept = self.kept, []
        for notification in reversed(kept) if backwards else kept:
            for _ in range(times):
                self._courier.send(notification)

"""Times as options: with their offset, as in 2026-01-31T12:00:00Z."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import click
import msgspec

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class TimeType(click.ParamType[datetime]):
    """A moment (RFC 3339)."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it, in UTC; without its offset it would mean another moment elsewhere."""
        try:
            return msgspec.convert(value, _Time, strict=False).astimezone(UTC)
        except (msgspec.ValidationError, OverflowError):
            self.fail("expected a time such as 2026-01-31T12:00:00Z", param, ctx)


TIME = TimeType()

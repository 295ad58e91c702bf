"""Times in the model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from simulation.model.state import EPOCH


def after(at: datetime, seconds: int) -> datetime:
    """So many seconds later."""
    return at + timedelta(seconds=seconds)


def text(at: datetime | None) -> str | None:
    """A time as facts carry it."""
    return at.isoformat().replace("+00:00", "Z") if at else None


def window_of(kind: str, at: datetime) -> datetime:
    """Start of the budget window that a time lies in, UTC; weeks begin on Monday."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match kind:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case _:
            return EPOCH


def window_end(kind: str, start: datetime) -> datetime | None:
    """When the next window of a kind begins; None if there is only one."""
    match kind:
        case "day":
            return start + timedelta(days=1)
        case "week":
            return start + timedelta(days=7)
        case "month":
            return (start + timedelta(days=31)).replace(day=1)
        case _:
            return None

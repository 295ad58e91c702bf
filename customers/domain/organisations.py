"""Organisations: who owns accounts and keys. Names and addresses are personal data and stay out of events."""

from __future__ import annotations

import re
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from customers import limits
from customers.errors import InvalidField

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


class Organisation(Struct, frozen=True, kw_only=True):
    """A customer. ``account_opened_at`` is None while its sign-up is not finished."""

    organisation_id: UUID
    account_id: UUID
    name: str
    created_at: datetime
    account_opened_at: datetime | None = None


def read_name(text: str) -> str:
    """Check a name, and give it without the blanks around it.

    :raises InvalidField: empty, too long, or with control characters.
    """
    name = text.strip()
    if not 0 < len(name) <= limits.NAME_CHARS_MAX or not name.isprintable():
        raise InvalidField("name", f"1 to {limits.NAME_CHARS_MAX} printable characters")
    return name


def read_email(text: str) -> str:
    """Check an address as far as can be without sending to it.

    :raises InvalidField: not an address.
    """
    email = text.strip()
    if len(email) > limits.EMAIL_CHARS_MAX or not email.isprintable() or not _EMAIL.fullmatch(email):
        raise InvalidField("email", "an address like ada@example.com")
    return email

"""Scopes, lives of keys, names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers import limits
from customers.domain.keys import ApiKey, check_lifetime, check_overlap, end_of_overlap
from customers.domain.organisations import read_email, read_name
from customers.domain.scopes import CUSTOMER_SCOPES, MEANINGS, OPERATOR_SCOPES, SCOPES, read_scopes, require_within
from customers.errors import InvalidField, KeyEnded, KeyRotated, ScopeMissing

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOMENTS = st.none() | st.integers(-1_000, 1_000).map(lambda seconds: NOW + timedelta(seconds=seconds))


def a_key(**fields: object) -> ApiKey:
    known: dict[str, object] = {
        "key_id": uuid4(),
        "organisation_id": uuid4(),
        "name": "k",
        "mode": "test",
        "last_four": "abcd",
        "scopes": ("jobs:read",),
        "created_at": NOW - timedelta(days=1),
    }
    return ApiKey(**known | fields)  # type: ignore[arg-type]


@given(st.sets(st.sampled_from(sorted(SCOPES - {"ledger:approve"})), min_size=1))
def test_scopes_come_in_one_order_without_repeats(scopes: set[str]) -> None:
    assert list(read_scopes([*scopes, *scopes])) == [scope for scope in MEANINGS if scope in scopes]


@pytest.mark.parametrize("scopes", [[], ["jobs:all"], ["jobs:read", ""], ["JOBS:READ"]])
def test_no_scope_and_unknown_scopes_are_refused(scopes: list[str]) -> None:
    with pytest.raises(InvalidField):
        read_scopes(scopes)


def test_no_key_both_proposes_and_approves() -> None:
    read_scopes(["ledger:adjust", "ledger:grants"])
    with pytest.raises(InvalidField):
        read_scopes(["ledger:approve", "ledger:adjust"])


def test_what_makes_credits_is_not_given_to_customers_by_default() -> None:
    assert set(CUSTOMER_SCOPES) == SCOPES - OPERATOR_SCOPES
    assert {"ledger:grants", "ledger:adjust", "ledger:approve", "ledger:accounts", "ledger:freeze"} == OPERATOR_SCOPES
    assert tuple(read_scopes(CUSTOMER_SCOPES)) == CUSTOMER_SCOPES


def test_a_key_cannot_give_what_it_has_not() -> None:
    require_within(["jobs:read"], ["jobs:read", "keys:write"])
    with pytest.raises(ScopeMissing) as refused:
        require_within(["jobs:read", "keys:write"], ["jobs:read"])
    assert refused.value.facts == {"scope": "keys:write"}


@given(MOMENTS, MOMENTS)
def test_a_key_is_good_until_the_earlier_of_its_two_ends(
    expires_at: datetime | None, revoked_at: datetime | None
) -> None:
    standing = a_key(expires_at=expires_at, revoked_at=revoked_at).standing(NOW)
    assert (standing == "active") == all(end is None or end > NOW for end in (expires_at, revoked_at))


@given(MOMENTS, st.integers(0, limits.OVERLAP_MAX_S))
def test_an_overlap_never_lengthens_a_keys_life(expires_at: datetime | None, overlap_s: int) -> None:
    key = a_key(expires_at=expires_at)
    if key.standing(NOW) != "active":
        with pytest.raises(KeyEnded):
            end_of_overlap(key, NOW, overlap_s)
        return
    end = end_of_overlap(key, NOW, overlap_s)
    assert NOW <= end <= NOW + timedelta(seconds=overlap_s)
    assert expires_at is None or end <= expires_at


def test_a_key_is_rotated_once() -> None:
    with pytest.raises(KeyRotated):
        end_of_overlap(a_key(replaced_by=uuid4()), NOW, 0)


@pytest.mark.parametrize("name", ["", "  ", "a" * 101, "a\0b", "a\nb", "\ud800", "\u202e"])
def test_names_are_short_printable_text(name: str) -> None:
    with pytest.raises(InvalidField):
        read_name(name)


def test_a_name_loses_the_blanks_around_it() -> None:
    assert read_name("  Über Größe 株式会社 ") == "Über Größe 株式会社"


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@example.com", "ada@example", "a b@example.com", "a@b.c\0"])
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(InvalidField):
        read_email(email)
    assert read_email(" ada@example.com ") == "ada@example.com"


def test_lifetimes_and_overlaps_are_bounded() -> None:
    for lifetime_s in (0, -1, limits.KEY_LIFETIME_MAX_S + 1):
        with pytest.raises(InvalidField):
            check_lifetime(lifetime_s)
    for overlap_s in (-1, limits.OVERLAP_MAX_S + 1):
        with pytest.raises(InvalidField):
            check_overlap(overlap_s)
    check_lifetime(None)
    check_overlap(0)

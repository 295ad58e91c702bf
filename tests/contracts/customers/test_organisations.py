"""Signing up, on both stores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from customers import limits
from customers.errors import InvalidField, OrganisationUnknown, SignUpConflict
from ledger.errors import OutcomeUnknown
from tests.contracts.customers.conftest import World


class Failing:
    """A ledger that fails before or after it has done what it was asked."""

    def __init__(self, ledger: Any, *, after: bool) -> None:
        self._ledger = ledger
        self._after = after

    def submit(self, request: Any, **more: Any) -> Any:
        if self._after:
            self._ledger.submit(request, **more)
        raise OutcomeUnknown("lost")


def test_signing_up_makes_an_organisation_with_an_open_account(world: World) -> None:
    signed = world.organisations().sign_up("key", " Ada & Co ", owner_email="ada@example.com")
    organisation = signed.organisation
    assert (organisation.name, signed.replayed) == ("Ada & Co", False)
    assert organisation.account_opened_at is not None
    balance = world.ledger.balance(organisation.account_id)
    assert balance is not None and balance.organisation_id == organisation.organisation_id
    assert world.organisations().get(organisation.organisation_id) == organisation


def test_signing_up_again_with_the_same_key_gives_the_same_organisation(world: World) -> None:
    first = world.organisations().sign_up("key", "Ada", owner_email="ada@example.com")
    again = world.organisations().sign_up("key", "Ada", owner_email="ada@example.com")
    assert (again.organisation, again.replayed) == (first.organisation, True)
    assert world.organisations().sign_up("other", "Ada").organisation != first.organisation


@pytest.mark.parametrize(
    ("name", "email", "field"),
    [("Eve", "ada@example.com", "name"), ("Ada", None, "owner_email"), ("Ada", "eve@example.com", "owner_email")],
)
def test_the_same_key_with_another_body_is_refused_naming_the_field(
    world: World, name: str, email: str | None, field: str
) -> None:
    world.organisations().sign_up("key", "Ada", owner_email="ada@example.com")
    with pytest.raises(SignUpConflict) as refused:
        world.organisations().sign_up("key", name, owner_email=email)
    assert refused.value.facts == {"field": field}


def test_of_many_equal_sign_ups_at_once_one_organisation_comes(world: World) -> None:
    with ThreadPoolExecutor(6) as threads:
        signed = list(threads.map(lambda _: world.organisations().sign_up("key", "Ada"), range(6)))
    assert len({one.organisation.organisation_id for one in signed}) == 1
    assert sum(not one.replayed for one in signed) == 1
    assert world.ledger.head() == 1


@pytest.mark.parametrize("after", [False, True])
def test_a_sign_up_cut_short_is_finished_by_its_repeat(world: World, after: bool) -> None:
    with pytest.raises(OutcomeUnknown):
        world.organisations(Failing(world.ledger, after=after)).sign_up("key", "Ada")  # type: ignore[arg-type]
    signed = world.organisations().sign_up("key", "Ada")
    assert signed.replayed
    assert world.ledger.balance(signed.organisation.account_id) is not None
    assert world.ledger.head() == 1


def test_a_sign_up_cut_short_is_finished_by_whoever_comes_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutcomeUnknown):
        world.organisations(Failing(world.ledger, after=False)).sign_up("key", "Ada")  # type: ignore[arg-type]
    assert world.organisations().finish_all() == 0
    monkeypatch.setattr(limits, "UNFINISHED_AFTER_S", 0.1)
    world.pass_s(0.2)
    assert (world.organisations().finish_all(), world.organisations().finish_all()) == (1, 0)
    assert world.ledger.head() == 1


@pytest.mark.parametrize(("key", "name"), [("", "Ada"), ("k" * 256, "Ada"), ("k\0", "Ada"), ("key", "")])
def test_bad_keys_and_names_are_refused(world: World, key: str, name: str) -> None:
    with pytest.raises(InvalidField):
        world.organisations().sign_up(key, name)


def test_an_unknown_organisation_is_unknown(world: World) -> None:
    with pytest.raises(OrganisationUnknown):
        world.organisations().get(uuid4())

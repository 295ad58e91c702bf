"""Keys, on both stores."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest

from customers import limits
from customers.domain.keytext import make_secret
from customers.errors import (
    InvalidField,
    KeyEnded,
    KeyRejected,
    KeyRotated,
    KeyUnknown,
    OrganisationUnknown,
    ScopeMissing,
    TooManyKeys,
)
from tests.contracts.customers.conftest import World
from tests.support.ledger import ManualClock

SCOPES = ("jobs:read", "jobs:write")
OVERLAP_S = 5
"""Time to use the old key once more, on a machine that stands still for a while too."""


def reason(world: World, secret: str) -> str:
    with pytest.raises(KeyRejected) as rejected:
        world.keys().verify(secret)
    return str(rejected.value.facts["reason"])


def test_a_new_key_tells_who_holds_it(world: World) -> None:
    organisation_id = world.organisation_id()
    made = world.keys().create(organisation_id, " mine ", SCOPES)
    principal = world.keys().verify(made.secret)
    assert principal.organisation_id == organisation_id
    assert principal.account_id == world.organisations().get(organisation_id).account_id
    assert (principal.key_id, principal.scopes) == (made.key.key_id, frozenset(SCOPES))
    assert (made.key.name, made.key.mode, made.key.last_four) == ("mine", "test", made.secret[-4:])


def test_the_secret_is_stored_nowhere(world: World) -> None:
    made = world.keys().create(world.organisation_id(), "mine", SCOPES)
    assert made.secret not in repr(world.keys().list(made.key.organisation_id))
    assert made.secret not in repr(vars(world.store))


def test_who_has_another_pepper_or_mode_does_not_know_the_key(world: World) -> None:
    secret = world.keys().create(world.organisation_id(), "mine", SCOPES).secret
    with pytest.raises(KeyRejected):
        world.keys(pepper=b"q" * 32).verify(secret)
    with pytest.raises(KeyRejected):
        world.keys(mode="live").verify(secret)


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "malformed"),
        ("tally_test_0", "malformed"),
        (make_secret("live", bytes(32)), "other-mode"),
        (make_secret("test", bytes(32)), "unknown"),
    ],
)
def test_what_is_no_key_here_is_rejected(world: World, secret: str, why: str) -> None:
    assert reason(world, secret) == why


def test_a_revoked_key_ends_here_at_once_and_elsewhere_within_two_seconds(world: World) -> None:
    made = world.keys().create(world.organisation_id(), "mine", SCOPES)
    here, elsewhere = world.keys(), world.keys()
    assert here.verify(made.secret) == elsewhere.verify(made.secret)
    first = here.revoke(made.key.organisation_id, made.key.key_id)
    with pytest.raises(KeyRejected):
        here.verify(made.secret)
    world.pass_s(limits.VERIFIED_FOR_S)
    with pytest.raises(KeyRejected):
        elsewhere.verify(made.secret)
    assert here.revoke(made.key.organisation_id, made.key.key_id) == first


def test_between_two_looks_the_store_is_not_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "VERIFIED_FOR_S", 60.0)
    made = world.keys().create(world.organisation_id(), "mine", SCOPES)
    keys = world.keys()
    assert keys.recall(made.secret) is None
    principal = keys.verify(made.secret)
    world.store.revoke_key(made.key.organisation_id, made.key.key_id)
    assert keys.recall(made.secret) == keys.verify(made.secret) == principal


def test_a_key_expires(world: World) -> None:
    made = world.keys().create(world.organisation_id(), "mine", SCOPES, lifetime_s=60)
    assert made.key.expires_at is not None
    assert abs(made.key.expires_at - made.key.created_at - timedelta(seconds=60)) < timedelta(seconds=1)
    world.keys().verify(made.secret)
    if isinstance(world.clock, ManualClock):
        world.pass_s(60)
        assert reason(world, made.secret) == "expired"


def test_a_rotated_key_stays_good_for_the_overlap_and_no_longer(world: World) -> None:
    made = world.keys().create(world.organisation_id(), "mine", SCOPES)
    rotated = world.keys().rotate(made.key.organisation_id, made.key.key_id, overlap_s=OVERLAP_S)
    assert rotated.old.replaced_by == rotated.key.key_id
    assert (rotated.key.name, rotated.key.scopes) == (made.key.name, made.key.scopes)
    world.keys().verify(made.secret)
    world.pass_s(OVERLAP_S + 0.2)
    assert reason(world, made.secret) == "expired"
    assert world.keys().verify(rotated.secret).key_id == rotated.key.key_id


def test_a_key_that_is_believed_ends_with_its_overlap(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "VERIFIED_FOR_S", 60.0)
    made = world.keys().create(world.organisation_id(), "mine", SCOPES)
    elsewhere = world.keys()
    world.keys().rotate(made.key.organisation_id, made.key.key_id, overlap_s=OVERLAP_S)
    world.pass_s(0.5)
    elsewhere.verify(made.secret)
    world.pass_s(OVERLAP_S - 0.3)
    with pytest.raises(KeyRejected):
        elsewhere.verify(made.secret)


def test_a_successor_ends_when_the_old_key_would_have(world: World) -> None:
    made = world.keys().create(world.organisation_id(), "mine", SCOPES, lifetime_s=3600)
    rotated = world.keys().rotate(made.key.organisation_id, made.key.key_id)
    assert rotated.key.expires_at == made.key.expires_at == rotated.old.expires_at


def test_a_key_is_rotated_once_and_not_after_its_end(world: World) -> None:
    keys, made = world.keys(), world.keys().create(world.organisation_id(), "mine", SCOPES)
    rotated = keys.rotate(made.key.organisation_id, made.key.key_id)
    with pytest.raises(KeyRotated) as refused:
        keys.rotate(made.key.organisation_id, made.key.key_id)
    assert refused.value.facts == {"replaced_by": str(rotated.key.key_id)}
    keys.revoke(made.key.organisation_id, made.key.key_id)
    with pytest.raises(KeyEnded):
        keys.rotate(made.key.organisation_id, made.key.key_id)
    assert len(keys.list(made.key.organisation_id)) == 2


def test_of_many_rotations_at_once_one_wins(world: World) -> None:
    made = world.keys().create(world.organisation_id(), "mine", SCOPES)

    def rotate(_: int) -> bool:
        try:
            world.keys().rotate(made.key.organisation_id, made.key.key_id)
        except KeyRotated:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(rotate, range(6))) == 1


def test_nothing_of_another_organisations_key_can_be_seen_or_done(world: World) -> None:
    made = world.keys().create(world.organisation_id(), "mine", SCOPES)
    stranger = world.organisation_id("Eve")
    for act in (world.keys().rotate, world.keys().revoke):
        with pytest.raises(KeyUnknown):
            act(stranger, made.key.key_id)
        with pytest.raises(KeyUnknown):
            act(stranger, uuid4())
    assert world.keys().list(stranger) == []
    world.keys().verify(made.secret)


def test_a_key_makes_no_stronger_key(world: World) -> None:
    keys, organisation_id = world.keys(), world.organisation_id()
    with pytest.raises(ScopeMissing):
        keys.create(organisation_id, "more", ["keys:write", "jobs:read"], within=["keys:write"])
    strong = keys.create(organisation_id, "strong", SCOPES)
    with pytest.raises(ScopeMissing):
        keys.rotate(organisation_id, strong.key.key_id, within=["keys:write"])


def test_good_keys_are_counted_and_ended_ones_are_not(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEYS_MAX", 3)
    keys, organisation_id = world.keys(), world.organisation_id()
    first = keys.create(organisation_id, "key 0", SCOPES)
    for n in (1, 2):
        world.pass_s(0.001)
        keys.create(organisation_id, f"key {n}", SCOPES)
    with pytest.raises(TooManyKeys):
        keys.create(organisation_id, "one more", SCOPES)
    keys.revoke(organisation_id, first.key.key_id)
    world.pass_s(0.001)
    keys.create(organisation_id, "one more", SCOPES)
    listed = [key.name for key in keys.list(organisation_id)]
    assert listed == ["one more", "key 2", "key 1", "key 0"]


def test_unknown_organisations_get_no_key(world: World) -> None:
    with pytest.raises(OrganisationUnknown):
        world.keys().create(uuid4(), "mine", SCOPES)
    with pytest.raises(InvalidField):
        world.keys().create(world.organisation_id(), "", SCOPES)


def test_the_last_use_is_noted(world: World) -> None:
    made = world.keys().create(world.organisation_id(), "mine", SCOPES)
    assert world.keys().list(made.key.organisation_id)[0].last_used_at is None
    world.keys().verify(made.secret)
    noted = world.keys().list(made.key.organisation_id)[0].last_used_at
    assert noted is not None
    world.keys().verify(made.secret)
    assert world.keys().list(made.key.organisation_id)[0].last_used_at == noted


def test_a_session_knows_its_key_by_id_until_the_key_ends(world: World) -> None:
    made = world.keys().create(world.organisation_id(), "mine", SCOPES)
    organisation_id, key_id = made.key.organisation_id, made.key.key_id
    here, elsewhere = world.keys(), world.keys()
    assert here.recognise(organisation_id, key_id) == elsewhere.recognise(organisation_id, key_id)
    assert here.recognise(organisation_id, key_id) == here.verify(made.secret)
    here.revoke(organisation_id, key_id)
    with pytest.raises(KeyRejected):
        here.recognise(organisation_id, key_id)
    world.pass_s(limits.VERIFIED_FOR_S)
    with pytest.raises(KeyRejected):
        elsewhere.recognise(organisation_id, key_id)


def test_an_id_alone_opens_nothing_of_another_organisation_or_mode(world: World) -> None:
    keys, made = world.keys(), world.keys().create(world.organisation_id(), "mine", SCOPES)
    keys.recognise(made.key.organisation_id, made.key.key_id)
    for organisation_id, key_id in ((world.organisation_id("Eve"), made.key.key_id), (uuid4(), uuid4())):
        with pytest.raises(KeyRejected):
            keys.recognise(organisation_id, key_id)
    with pytest.raises(KeyRejected):
        world.keys(mode="live").recognise(made.key.organisation_id, made.key.key_id)

"""Sessions: what a cookie is worth, and how long."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import uuid4

import pytest

from api.pages.limits import SESSION_S
from api.pages.sessions import Sessions, cookie_name, set_cookie
from tests.support.ledger import ManualClock

SECRET = b"s" * 32


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sessions(clock: ManualClock) -> Sessions:
    return Sessions(SECRET, clock, os.urandom)


def test_a_cookie_reads_back_as_the_session_it_is_of(sessions: Sessions) -> None:
    begun = sessions.member(uuid4(), uuid4())
    assert sessions.read(begun.cookie) == begun
    visitor = sessions.visitor()
    assert sessions.read(visitor.cookie) == visitor and visitor.key_id is None


def test_no_changed_byte_is_believed(sessions: Sessions) -> None:
    raw = urlsafe_b64decode(sessions.member(uuid4(), uuid4()).cookie)
    for place in range(len(raw)):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert sessions.read(urlsafe_b64encode(changed).decode()) is None
    assert sessions.read(urlsafe_b64encode(raw[:-1]).decode()) is None
    assert sessions.read(urlsafe_b64encode(raw + b"\0").decode()) is None


@pytest.mark.parametrize("cookie", [None, "", "nonsense", "\N{SNOWMAN}", "a" * 5_000])
def test_what_is_no_cookie_of_ours_is_nobody(sessions: Sessions, cookie: str | None) -> None:
    assert sessions.read(cookie) is None


def test_another_secret_knows_nothing_of_it(sessions: Sessions, clock: ManualClock) -> None:
    cookie = sessions.member(uuid4(), uuid4()).cookie
    assert Sessions(b"t" * 32, clock, os.urandom).read(cookie) is None


def test_a_session_ends_after_its_time(sessions: Sessions, clock: ManualClock) -> None:
    cookie = sessions.visitor().cookie
    clock.pass_s(SESSION_S - 1)
    assert sessions.read(cookie) is not None
    clock.pass_s(1)
    assert sessions.read(cookie) is None


def test_every_session_has_forms_of_its_own_and_no_secret_in_the_cookie(sessions: Sessions) -> None:
    organisation_id, key_id = uuid4(), uuid4()
    one, two = sessions.member(organisation_id, key_id), sessions.member(organisation_id, key_id)
    assert one.token != two.token and one.cookie != two.cookie
    assert one.token not in one.cookie and SECRET not in urlsafe_b64decode(one.cookie)


def test_the_cookie_stays_with_this_site_and_out_of_scripts(sessions: Sessions) -> None:
    header = set_cookie(sessions.visitor(), secure=False)
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(header.split("; "))
    secure = set_cookie(sessions.visitor(), secure=True)
    assert secure.startswith("__Host-") and "Secure" in secure.split("; ")
    assert cookie_name(secure=True) != cookie_name(secure=False)

"""Events of payments as they are stored: one frozen sample of every tag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args
from uuid import UUID

import msgspec
import pytest

from ledger.domain.codec import NewEvent, encode_event, tag_of
from payments.domain import events
from payments.domain.keys import charge_stream, grant_of, receipt_stream, stable_id

LINES = Path(__file__).parents[2].joinpath("data/payments/events.jsonl").read_bytes().splitlines()
SAMPLES = {json.loads(line)["type"]: line for line in LINES}


def test_every_tag_has_a_frozen_sample() -> None:
    assert {tag_of(kind) for kind in get_args(events.PaymentEvent)} == set(SAMPLES)


@pytest.mark.parametrize("tag", SAMPLES)
def test_a_frozen_sample_is_read_and_written_as_it_was(tag: str) -> None:
    assert encode_event(events.payment_event(SAMPLES[tag])) == NewEvent(tag, SAMPLES[tag])


def test_an_unknown_tag_or_field_is_refused() -> None:
    for raw in (b'{"type":"payments.topup-gifted.v1"}', SAMPLES["payments.topup-reversed.v1"][:-1] + b',"who":"me"}'):
        with pytest.raises(msgspec.ValidationError):
            events.payment_event(raw)


def test_the_ids_that_follow_from_names_never_change() -> None:
    assert receipt_stream("sandbox", "sbx_1") == UUID("2eb3cd2a-218e-8ec9-b363-cafff2dd289f")
    assert charge_stream("sandbox", "sbc_1") == UUID("65017427-0951-8fdd-882f-40854373bba4")
    assert grant_of(UUID(int=4), 1, 0) == UUID("ef49a2f5-fb15-8e2f-b6f5-da9f41bbd44f")


def test_no_two_names_share_an_id() -> None:
    names = [("a", "b", "c"), ("a", "bc"), ("ab", "c"), ("a", "", "bc"), ("b", "a", "c"), ("a", "b", "c", "")]
    assert len({stable_id(*name) for name in names}) == len(names)
    assert stable_id("a").version == 8

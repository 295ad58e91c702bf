"""The text of API keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.domain.keytext import ALPHABET, ENTROPY_BYTES, Mode, make_secret, read_secret

ENTROPY = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)


@given(ENTROPY, st.sampled_from(["live", "test"]))
def test_a_key_has_its_prefix_thirty_characters_and_six_of_checksum_and_reads_back(entropy: bytes, mode: Mode) -> None:
    secret = make_secret(mode, entropy)
    assert secret.startswith(f"tally_{mode}_")
    assert len(secret) == len("tally_live_") + 36
    assert set(secret.removeprefix(f"tally_{mode}_")) <= set(ALPHABET)
    assert read_secret(secret) == (mode, secret[-4:])


@given(ENTROPY, st.integers(0, 46), st.sampled_from(ALPHABET))
def test_one_wrong_character_is_noticed(entropy: bytes, at: int, letter: str) -> None:
    secret = make_secret("test", entropy)
    changed = secret[:at] + letter + secret[at + 1 :]
    assert (read_secret(changed) is not None) == (changed == secret)


def test_the_checksum_covers_the_mode() -> None:
    secret = make_secret("test", bytes(32))
    assert read_secret(secret.replace("tally_test_", "tally_live_")) is None


@pytest.mark.parametrize(
    "change", [str.lower, lambda text: text[:-1], lambda text: text + "0", lambda text: f" {text}"]
)
def test_a_cut_padded_or_retyped_key_is_no_key(change: Callable[[str], str]) -> None:
    assert read_secret(change(make_secret("live", bytes(range(32))))) is None


@pytest.mark.parametrize(
    "text", ["", "tally_test_", "tally_test_" + "\uff10" * 36, "tally_test_" + "é" * 36, "\0" * 47]
)
def test_other_text_is_no_key(text: str) -> None:
    assert read_secret(text) is None


def test_the_format_is_frozen() -> None:
    assert make_secret("live", bytes(range(32))) == "tally_live_CTQj2uNU3MFagCXG9LRKRcwGkBIDlf0dXurV"

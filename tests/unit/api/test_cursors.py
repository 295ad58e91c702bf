"""Opaque cursors."""

from __future__ import annotations

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from api.cursors import Cursors

CURSORS = Cursors(b"s" * 32)
ADA, EVE = uuid4(), uuid4()
POSITIONS = st.integers(0, 2**63 - 1)


@given(POSITIONS, st.sampled_from(["jobs", "topups"]))
def test_a_cursor_reads_back_for_its_list_and_organisation_alone(position: int, listing: str) -> None:
    text = CURSORS.write(listing, ADA, position)
    assert CURSORS.read(listing, ADA, text) == position
    assert CURSORS.read(listing, EVE, text) is None
    assert CURSORS.read("statement", ADA, text) is None
    assert Cursors(b"t" * 32).read(listing, ADA, text) is None


@given(POSITIONS, st.integers(0, 26), st.sampled_from("ABab01-_"))
def test_a_changed_cursor_is_none(position: int, at: int, letter: str) -> None:
    text = CURSORS.write("jobs", ADA, position)
    changed = text[:at] + letter + text[at + 1 :]
    assert CURSORS.read("jobs", ADA, changed) in {None, position}
    if at < 26:
        assert (CURSORS.read("jobs", ADA, changed) == position) == (changed == text)


@given(st.text(max_size=40))
def test_other_text_is_none(text: str) -> None:
    assert CURSORS.read("jobs", UUID(int=0), text) is None

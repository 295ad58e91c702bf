"""The Merkle tree against the definitions of RFC 9162, written down as they stand there."""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.proof import merkle, verify_proof
from ledger.proof.merkle import EMPTY_ROOT, Frontier, Place

SIZE_MAX = 70
# sha256 of 1 byte "leaf n", as an event's hash would be
ENTRIES = [sha256(f"event {number}".encode()).digest() for number in range(3_000)]


def mth(entries: list[bytes]) -> bytes:
    """MTH of section 2.1.1."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = split(len(entries))
    return sha256(b"\x01" + mth(entries[:k]) + mth(entries[k:])).digest()


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def proof(m: int, entries: list[bytes]) -> list[bytes]:
    """PROOF of section 2.1.4.1."""
    return subproof(m, entries, whole=True)


def subproof(m: int, entries: list[bytes], *, whole: bool) -> list[bytes]:
    if m == len(entries):
        return [] if whole else [mth(entries)]
    k = split(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], whole=whole), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], whole=False), mth(entries[:k])]


def tree(size: int) -> dict[Place, bytes]:
    """Every complete subtree of the first entries."""
    frontier, nodes = Frontier(), {Place(0, i): merkle.leaf_hash(entry) for i, entry in enumerate(ENTRIES[:size])}
    for entry in ENTRIES[:size]:
        nodes |= frontier.add(entry)
    return nodes


def roots_of(nodes: dict[Place, bytes], ranges: list[merkle.Range]) -> list[bytes]:
    return [merkle.range_hash(nodes, *one) for one in ranges]


@pytest.mark.parametrize(
    ("size", "root"),
    [
        # Leaves and roots of the test suite of Certificate Transparency
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
        (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
        (6, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
        (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_known_trees_have_their_known_roots(size: int, root: str) -> None:
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    frontier = Frontier()
    for leaf in leaves[:size]:
        frontier.add(bytes.fromhex(leaf))
    assert frontier.root().hex() == root


def test_roots_are_those_of_the_definition_at_every_size() -> None:
    frontier, nodes = Frontier(), tree(SIZE_MAX)
    for size in range(SIZE_MAX + 1):
        assert frontier.root() == merkle.root(nodes, size) == mth(ENTRIES[:size])
        frontier.add(ENTRIES[size])


def test_a_tree_can_be_gone_on_with_at_every_size() -> None:
    nodes = tree(SIZE_MAX)
    for size in range(SIZE_MAX):
        went_on = Frontier(size, nodes)
        went_on.add(ENTRIES[size])
        assert went_on.root() == mth(ENTRIES[: size + 1])


def test_invariant_36_every_leaf_of_every_tree_is_proven_and_no_other_place_is() -> None:
    nodes = tree(SIZE_MAX)
    for size in range(1, SIZE_MAX + 1):
        root = mth(ENTRIES[:size])
        for index in range(size):
            found = roots_of(nodes, merkle.inclusion_ranges(index, size))
            leaf = merkle.leaf_hash(ENTRIES[index])
            assert found == path(index, ENTRIES[:size])
            assert merkle.includes(leaf, index, size, found, root)
            assert not merkle.includes(leaf, index ^ 1, size, found, root)
            assert not merkle.includes(merkle.leaf_hash(ENTRIES[index + 1]), index, size, found, root)
            assert not merkle.includes(leaf, index, size, [*found, root], root)
            assert not found or not merkle.includes(leaf, index, size, found[:-1], root)


def test_invariant_36_every_tree_is_proven_to_begin_every_later_one() -> None:
    nodes = tree(SIZE_MAX)
    for second in range(1, SIZE_MAX + 1):
        roots = [mth(ENTRIES[:size]) for size in range(second + 1)]
        for first in range(1, second + 1):
            found = roots_of(nodes, merkle.consistency_ranges(first, second))
            assert found == proof(first, ENTRIES[:second])
            assert merkle.consistent(first, second, found, roots[first], roots[second])
            assert not merkle.consistent(first, second, found, roots[first - 1], roots[second])
            assert not merkle.consistent(first, second, [*found, roots[first]], roots[first], roots[second])
            assert not found or not merkle.consistent(first, second, found[1:], roots[first], roots[second])


def test_invariant_36_the_program_that_customers_get_climbs_every_tree() -> None:
    nodes = tree(SIZE_MAX)
    for size in range(1, SIZE_MAX + 1):
        for index in range(size):
            found = [step.hex() for step in path(index, ENTRIES[:size])]
            leaf = merkle.leaf_hash(ENTRIES[index])
            assert verify_proof.climb(index, size - 1, leaf, found)[1] == merkle.root(nodes, size).hex()
            for other in (found[:-1], [*found, leaf.hex()]) if found else ():
                with pytest.raises(ValueError, match="a path is too"):
                    verify_proof.climb(index, size - 1, leaf, other)


@given(st.data())
def test_invariant_36_large_trees_prove_as_small_ones_do(data: st.DataObject) -> None:
    size = data.draw(st.integers(SIZE_MAX, len(ENTRIES)))
    index, first = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root, entries = merkle.root(NODES, size), ENTRIES[:size]
    assert root == mth(entries)
    found = roots_of(NODES, merkle.inclusion_ranges(index, size))
    assert merkle.includes(merkle.leaf_hash(entries[index]), index, size, found, root)
    assert found == path(index, entries)
    steps = roots_of(NODES, merkle.consistency_ranges(first, size))
    assert merkle.consistent(first, size, steps, merkle.root(NODES, first), root)
    assert steps == proof(first, entries)
    wrong = data.draw(st.integers(0, len(found) - 1))
    flipped = [*found[:wrong], bytes(32), *found[wrong + 1 :]]
    assert not merkle.includes(merkle.leaf_hash(entries[index]), index, size, flipped, root)


@given(st.integers(0, 2**60), st.integers(0, 2**60))
def test_proofs_need_few_subtrees_whatever_the_history(one: int, other: int) -> None:
    first, second = sorted((one + 1, other + 1))
    ranges = [*merkle.inclusion_ranges(first - 1, second), *merkle.consistency_ranges(first, second), (0, second)]
    assert len(merkle.needed(ranges)) <= 4 * second.bit_length()
    levels = [place.level for place in merkle.subtrees(0, second)]
    assert all(before > after for before, after in pairwise(levels))
    assert sum(1 << level for level in levels) == second


def test_nonsense_proves_nothing() -> None:
    root = mth(ENTRIES[:4])
    assert not merkle.includes(merkle.leaf_hash(ENTRIES[0]), 4, 4, [], root)
    assert not merkle.includes(EMPTY_ROOT, 0, 0, [], EMPTY_ROOT)
    assert not merkle.consistent(0, 4, [], EMPTY_ROOT, root)
    assert not merkle.consistent(3, 4, [], mth(ENTRIES[:3]), root)
    assert not merkle.consistent(5, 4, [], root, root)


NODES = tree(len(ENTRIES))

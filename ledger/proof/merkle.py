"""The tree of RFC 9162 over the log: leaf ``i`` is the hash of event ``i + 1``. Pure.

A complete subtree is named by its place: it covers the leaves from ``nth << level`` up to the next one's. Whatever
is asked of a tree of any size is a few complete subtrees, so that nothing but those is ever kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple, TypeAlias

EMPTY_ROOT: bytes = sha256().digest()
"""Root of a tree without a leaf."""

Range: TypeAlias = tuple[int, int]
"""Leaves from the first up to, not including, the second."""


class Place(NamedTuple):
    """A complete subtree of ``2 ** level`` leaves, the ``nth`` of its size, from 0."""

    level: int
    nth: int

    @property
    def leaves(self) -> range:
        """The leaves under it."""
        return range(self.nth << self.level, (self.nth + 1) << self.level)


Nodes: TypeAlias = Mapping[Place, bytes]


def leaf_hash(event_hash: bytes) -> bytes:
    """Hash of a leaf."""
    return sha256(b"\0" + event_hash).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node."""
    return sha256(b"\1" + left + right).digest()


def subtrees(start: int, end: int) -> Iterator[Place]:
    """Complete subtrees of a range that a split of the tree yields, from left to right, each smaller than the last."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield Place(level, start >> level)
        start += 1 << level


def combined(hashes: Sequence[bytes]) -> bytes:
    """Root over complete subtrees from left to right, each smaller than the last."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def range_hash(nodes: Nodes, start: int, end: int) -> bytes:
    """Root over a range, out of its complete subtrees."""
    return combined([nodes[place] for place in subtrees(start, end)])


def root(nodes: Nodes, size: int) -> bytes:
    """Root of the tree of a size, out of ``needed([(0, size)])``."""
    return range_hash(nodes, 0, size)


def needed(ranges: Iterable[Range]) -> set[Place]:
    """Complete subtrees out of which ``range_hash`` makes these ranges."""
    return {place for start, end in ranges for place in subtrees(start, end)}


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Ranges whose roots prove that a leaf is in the tree of a size, from the leaf upwards (RFC 9162, 2.1.3.1)."""
    assert 0 <= index < size
    start, end = 0, size
    path: list[Range] = []
    while end - start > 1:
        middle = start + _half(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency_ranges(first: int, second: int) -> list[Range]:
    """Ranges whose roots prove that the tree of the first size is how the second began (RFC 9162, 2.1.4.1)."""
    assert 0 < first <= second
    start, end = 0, second
    path: list[Range] = []
    while end > first:
        middle = start + _half(end - start)
        if first <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    if start > 0:
        path.append((start, end))
    return path[::-1]


def _half(size: int) -> int:
    """The largest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1


def includes(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected_root: bytes) -> bool:
    """Whether a path proves a leaf's place in the tree of a size (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and found == expected_root


def consistent(first: int, second: int, path: Sequence[bytes], first_root: bytes, second_root: bytes) -> bool:
    """Whether a path proves that the tree of the first size is how the second began (RFC 9162, 2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not path and first_root == second_root
    steps = [first_root, *path] if first & (first - 1) == 0 else list(path)
    if not steps:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    return _climbs(place, last, steps, (first_root, second_root))


def _climbs(place: int, last: int, steps: Sequence[bytes], roots: tuple[bytes, bytes]) -> bool:
    older = newer = steps[0]
    for sibling in steps[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            older, newer = node_hash(sibling, older), node_hash(sibling, newer)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and (older, newer) == roots


class Frontier:
    """The right edge of a growing tree: the complete subtrees of its size, out of which the next ones are made."""

    __slots__ = ("_edge", "size")

    def __init__(self, size: int = 0, nodes: Nodes | None = None) -> None:
        """Go on at a size, given its complete subtrees."""
        self.size = size
        self._edge = [(place.level, (nodes or {})[place]) for place in subtrees(0, size)]

    def add(self, event_hash: bytes) -> list[tuple[Place, bytes]]:
        """Add a leaf; the inner subtrees that it completes, from the smallest."""
        level, found = 0, leaf_hash(event_hash)
        self.size += 1
        completed: list[tuple[Place, bytes]] = []
        while self._edge and self._edge[-1][0] == level:
            found = node_hash(self._edge.pop()[1], found)
            level += 1
            completed.append((Place(level, (self.size >> level) - 1), found))
        self._edge.append((level, found))
        return completed

    def root(self) -> bytes:
        """Root of the tree so far."""
        return combined([found for _, found in self._edge])

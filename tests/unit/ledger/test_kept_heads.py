"""Files with signed heads as people hand them over: copied, mailed, cut, joined, or not what they were taken for."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from ledger.proof.errors import BadFile, VaultUnavailable
from ledger.proof.heads import Head, SignedHead, decode_line, encode_line
from tallystick.vaults import FolderHeads, FolderVault, VaultHeads, heads_in_file, heads_in_folder


def head(size: int) -> SignedHead:
    at_us = 1_700_000_000_000_000 + size * 3_600_000_000
    plain = Head(size=size, root=bytes(32), log_hash=bytes(32), verdicts_hash=bytes(32), signed_at_us=at_us)
    return SignedHead(head=plain, key_id="k", signature=bytes(64))


HEADS = [head(size) for size in (9, 10, 60)]
LINES = [encode_line(one) for one in HEADS]


def read(folder: Path, content: bytes) -> list[SignedHead]:
    path = folder / "kept.jsonl"
    path.write_bytes(content)
    return list(heads_in_file(path))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n", b"\n\n"])
def test_heads_are_read_whatever_ends_their_lines(tmp_path: Path, end: bytes) -> None:
    assert read(tmp_path, end.join(LINES) + end) == HEADS
    assert read(tmp_path, end.join(LINES)) == HEADS


@pytest.mark.parametrize("cut", [LINES[1][:1], LINES[1][:5], LINES[1][:40], LINES[1][:-1], LINES[1][:9] + bytes(80)])
def test_a_line_that_was_cut_counts_for_nothing_and_hides_no_other(tmp_path: Path, cut: bytes) -> None:
    assert read(tmp_path, LINES[0] + b"\n" + cut) == HEADS[:1]
    assert read(tmp_path, LINES[0] + b"\n" + cut + b"\n" + LINES[2] + b"\n") == [HEADS[0], HEADS[2]]


@pytest.mark.parametrize(
    "other",
    [b"size,root", b"> " + LINES[1], b"[" + LINES[1] + b"]", b"x", LINES[1].decode().encode("utf-16")],
)
def test_any_other_line_is_named(tmp_path: Path, other: bytes) -> None:
    with pytest.raises(BadFile, match=r"kept\.jsonl, line 2: no line of a signed head"):
        read(tmp_path, b"\n".join([LINES[0], other, LINES[2]]))


def test_a_head_over_several_lines_is_read_where_it_is_alone(tmp_path: Path) -> None:
    assert read(tmp_path, msgspec.json.format(LINES[0], indent=1) + b"\n") == HEADS[:1]
    with pytest.raises(BadFile):
        read(tmp_path, msgspec.json.format(LINES[0], indent=1) + b"\n" + LINES[1])


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(VaultUnavailable, match="nowhere"):
        list(heads_in_file(tmp_path / "nowhere"))


def test_heads_of_a_bucket_are_read_where_it_was_copied_to(tmp_path: Path) -> None:
    bucket = VaultHeads(FolderVault(tmp_path / "copy" / "ledger"))
    for one in HEADS:
        bucket.append(one)
    (tmp_path / "copy" / "notes.json").write_text("{}")
    for folder in ("copy", "copy/ledger", "copy/ledger/heads"):
        assert list(heads_in_folder(tmp_path / folder)) == HEADS
    assert len(list((tmp_path / "copy/ledger/heads").iterdir())) == 2, "a folder a day"
    assert list(heads_in_folder(tmp_path / "copy/ledger/heads" / "2023-11-15")) == HEADS[:2]


def test_heads_of_a_folder_are_read_from_it_and_from_above(tmp_path: Path) -> None:
    kept = FolderHeads(tmp_path / "heads")
    for one in HEADS:
        kept.append(one)
    assert list(heads_in_folder(tmp_path)) == list(heads_in_folder(tmp_path / "heads")) == list(kept.heads()) == HEADS


def test_the_head_kept_last_is_found_behind_a_line_that_nobody_can_read(tmp_path: Path) -> None:
    kept = FolderHeads(tmp_path)
    kept.append(HEADS[0])
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"what is this\n" + path.read_bytes())
    assert kept.last() == HEADS[0]
    with pytest.raises(BadFile):
        list(kept.heads())


@pytest.mark.parametrize("name", [b"size", b"signed_at_us"])
def test_a_number_that_no_head_can_have_is_refused(name: bytes) -> None:
    for number in (b"-1", b"9223372036854775808"):
        with pytest.raises(BadFile):
            decode_line(b'{"' + name + b'":' + number + LINES[0].split(b'"' + name + b'":')[1].lstrip(b"0123456789"))

"""Cut metadata (text, EXIF, XMP, profiles, thumbnails, trailing bytes) out of PNG, JPEG and WebP files.

The coded picture is copied byte for byte; only the parts that a decoder needs are kept. Anything that does not parse is
refused rather than passed on.
"""

import struct
import zlib
from collections.abc import Iterator

PARTS_MAX = 100_000
"""Most chunks or segments in one file."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"cICP", b"IDAT", b"IEND"})
_JPEG_SOI, _JPEG_EOI, _JPEG_SOS, _JPEG_TEM = 0xD8, 0xD9, 0xDA, 0x01
_JPEG_LEAD, _JPEG_STUFFED = 0xFF, 0x00
_JPEG_RESTARTS = range(0xD0, 0xD8)
_JPEG_DROPPED = frozenset({*range(0xE1, 0xEE), 0xEF, 0xFE})
"""APP1-APP13, APP15 and comments. APP0 (JFIF) and APP14 (Adobe) say how the colours are coded, and stay."""
_WEBP_KEPT = frozenset({b"VP8X", b"VP8 ", b"VP8L", b"ALPH"})
_WEBP_FLAG_ALPHA = 0x10


class ContainerError(ValueError):
    """The file is not one of the three containers, is cut, or lies about its parts."""


def strip_metadata(content: bytes) -> bytes:
    """Give the same picture without anything that is not needed to decode it."""
    if content.startswith(_PNG):
        return _PNG + b"".join(_png_parts(content))
    if content.startswith(b"\xff\xd8\xff"):
        return b"".join(_jpeg_parts(content))
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        body = b"WEBP" + b"".join(_webp_parts(content))
        return b"RIFF" + struct.pack("<I", len(body)) + body
    raise ContainerError("unknown container")


def _take(content: bytes, start: int, length: int) -> bytes:
    part = content[start : start + length]
    if len(part) != length:
        raise ContainerError("cut short")
    return part


def _png_parts(content: bytes) -> Iterator[bytes]:
    at = len(_PNG)
    for _ in range(PARTS_MAX):
        length, kind = struct.unpack(">I4s", _take(content, at, 8))
        chunk = _take(content, at, 12 + length)
        if zlib.crc32(chunk[4:-4]) != struct.unpack(">I", chunk[-4:])[0]:
            raise ContainerError("wrong checksum")
        if kind in _PNG_KEPT:
            yield chunk
        elif not kind[0] & 0x20:
            raise ContainerError("unknown critical chunk")
        if kind == b"IEND":
            return
        at += 12 + length
    raise ContainerError("too many chunks")


def _jpeg_parts(content: bytes) -> Iterator[bytes]:
    yield content[:2]
    at = 2
    for _ in range(PARTS_MAX):
        lead, marker = _take(content, at, 2)
        if lead != _JPEG_LEAD or marker in {_JPEG_SOI, _JPEG_TEM, _JPEG_STUFFED} or marker in _JPEG_RESTARTS:
            raise ContainerError("no marker where one should be")
        if marker == _JPEG_LEAD:
            at += 1
            continue
        if marker == _JPEG_EOI:
            yield b"\xff\xd9"
            return
        (length,) = struct.unpack(">H", _take(content, at + 2, 2))
        end = at + 2 + length
        segment = _take(content, at, 2 + length)
        if marker == _JPEG_SOS:
            end = _scan_end(content, end)
            segment = content[at:end]
        if marker not in _JPEG_DROPPED:
            yield segment
        at = end
    raise ContainerError("too many segments")


def _scan_end(content: bytes, start: int) -> int:
    """Find the first marker after a scan's coded data: 0xFF followed by neither a stuffed 0 nor a restart."""
    at = start
    while True:
        at = content.find(b"\xff", at)
        if at < 0 or at + 1 >= len(content):
            raise ContainerError("scan without an end")
        following = content[at + 1]
        if following not in {_JPEG_STUFFED, _JPEG_LEAD} and following not in _JPEG_RESTARTS:
            return at
        at += 1 if following == _JPEG_LEAD else 2


def _webp_parts(content: bytes) -> Iterator[bytes]:
    (size,) = struct.unpack("<I", _take(content, 4, 4))
    end = 8 + size
    _take(content, 8, size)
    at = 12
    for _ in range(PARTS_MAX):
        if at >= end:
            return
        kind, length = struct.unpack("<4sI", _take(content, at, 8))
        chunk = _take(content, at, 8 + length)
        if kind in {b"ANIM", b"ANMF"}:
            raise ContainerError("animated")
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & _WEBP_FLAG_ALPHA]) + chunk[9:]
        if kind in _WEBP_KEPT:
            yield chunk + b"\0" * (length % 2)
        at += 8 + length + length % 2
    raise ContainerError("too many chunks")

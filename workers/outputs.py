"""Verify what a node returns before money moves: it decodes, shows something, and carries no text of ours or others.

Pure, given the bytes, and bounded in bytes, pixels and chunks. Metadata is cut out of the file without re-encoding, and
what is decoded and hashed is what will be stored.
"""

import hashlib
import io
import struct
import zlib
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import cast

import msgspec
from PIL import Image

from workers.containers import ContainerError, strip_metadata


class OutputFault(StrEnum):
    """Why outputs are not worth a charge."""

    TOO_FEW = "too_few"
    TOO_MANY = "too_many"
    MISSING = "missing"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    BLACK = "black"
    CONSTANT = "constant"


class OutputRefused(msgspec.Struct, frozen=True, kw_only=True):
    """The first thing wrong with the outputs; `index` is the file's place, -1 where it is about their number."""

    fault: OutputFault
    index: int
    detail: str


class OutputRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool's outputs must be. A tool whose result may be one flat colour says so."""

    count: int
    bytes_max: int = 64 * 1024 * 1024
    pixels_max: int = 64 * 1024 * 1024
    constant_allowed: bool = False


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A verified picture: its bytes without metadata, their SHA-256 (hex), type and size."""

    content: bytes
    sha256: str
    mime: str
    width_px: int
    height_px: int


_FORMATS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    OverflowError,
    EOFError,
    IndexError,
    Image.DecompressionBombError,
    struct.error,
    zlib.error,
)
"""What Pillow raises for files that are broken, cut or hostile."""


def verify(contents: Sequence[bytes], rules: OutputRules) -> tuple[Picture, ...] | OutputRefused:
    """Check all files of one attempt, in the order given; all of them are good, or the first fault is told."""
    assert rules.count > 0
    if len(contents) != rules.count:
        fault = OutputFault.TOO_FEW if len(contents) < rules.count else OutputFault.TOO_MANY
        return OutputRefused(fault=fault, index=-1, detail=f"{len(contents)} of {rules.count}")
    return _verify_each(contents, rules)


def _verify_each(contents: Iterable[bytes], rules: OutputRules) -> tuple[Picture, ...] | OutputRefused:
    pictures: list[Picture] = []
    for index, content in enumerate(contents):
        result = verify_picture(content, rules, index=index)
        if isinstance(result, OutputRefused):
            return result
        pictures.append(result)
    return tuple(pictures)


def verify_picture(content: bytes, rules: OutputRules, *, index: int = 0) -> Picture | OutputRefused:
    """Check one file and cut its metadata out; `index` is only for the refusal."""
    if not content:
        return OutputRefused(fault=OutputFault.EMPTY, index=index, detail="0 bytes")
    if len(content) > rules.bytes_max:
        return OutputRefused(fault=OutputFault.TOO_LARGE, index=index, detail=f"{len(content)} bytes")
    try:
        return _decode(strip_metadata(content), rules, index)
    except ContainerError as error:
        return OutputRefused(fault=OutputFault.UNREADABLE, index=index, detail=str(error))
    except _DECODE_ERRORS as error:
        return OutputRefused(fault=OutputFault.UNREADABLE, index=index, detail=type(error).__name__)


def _decode(bare: bytes, rules: OutputRules, index: int) -> Picture | OutputRefused:
    with Image.open(io.BytesIO(bare), formats=tuple(_FORMATS)) as image:
        width_px, height_px = image.size
        if width_px * height_px > rules.pixels_max:
            return OutputRefused(fault=OutputFault.TOO_LARGE, index=index, detail=f"{width_px}x{height_px}")
        image.load()
        if (fault := _flatness(image)) and not rules.constant_allowed:
            return OutputRefused(fault=fault, index=index, detail=f"{width_px}x{height_px}")
        mime = _FORMATS[str(image.format)]
    digest = hashlib.sha256(bare).hexdigest()
    return Picture(content=bare, sha256=digest, mime=mime, width_px=width_px, height_px=height_px)


def _flatness(image: Image.Image) -> OutputFault | None:
    """Tell black (or wholly transparent) and one-coloured pictures from those that show something."""
    mode = "RGBA" if image.has_transparency_data else "RGB"
    shown = image if image.mode == mode else image.convert(mode)
    extrema = cast("tuple[tuple[int, int], ...]", shown.getextrema())
    colours, alphas = extrema[:3], extrema[3:]
    if any(high == 0 for _, high in alphas):
        return OutputFault.BLACK
    if any(low != high for low, high in alphas):
        return None  # a shape cut out is a picture, whatever its colour
    if all(high == 0 for _, high in colours):
        return OutputFault.BLACK
    return OutputFault.CONSTANT if all(low == high for low, high in colours) else None

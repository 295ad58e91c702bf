"""What a node returns is verified, bounded and bared of metadata before it may cost anybody anything."""

import io
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, PngImagePlugin

from workers.containers import ContainerError, strip_metadata
from workers.outputs import OutputFault, OutputRefused, OutputRules, Picture, verify, verify_picture

ONE = OutputRules(count=1)
SECRET = "a prompt that nobody else may read"


def drawn(mode: str = "RGB", size: tuple[int, int] = (32, 24)) -> Image.Image:
    image = Image.new(mode, size, 0)
    ImageDraw.Draw(image).ellipse((4, 4, 20, 20), fill="white" if mode != "RGBA" else (255, 0, 0, 255))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_metadata(kind: str) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = SECRET
    options: dict[str, object] = {"exif": exif.tobytes(), "icc_profile": SECRET.encode()}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("prompt", SECRET)
        text.add_text("workflow", SECRET, zip=True)
        text.add_itxt("note", SECRET)
        options["pnginfo"] = text
    elif kind == "JPEG":
        options |= {"comment": SECRET, "progressive": True}
    else:
        options["xmp"] = SECRET.encode()
    return encoded(drawn(), kind, **options) + SECRET.encode()


def faulty(content: bytes, rules: OutputRules = ONE) -> OutputFault:
    result = verify([content], rules)
    assert isinstance(result, OutputRefused), result
    return result.fault


@pytest.mark.parametrize(("kind", "mime"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp")])
def test_feature_M3_12_metadata_is_cut_out_without_re_encoding(kind: str, mime: str) -> None:
    loaded = with_metadata(kind)
    assert SECRET.encode() in loaded

    [picture] = verify([loaded], ONE)  # type: ignore[misc]  # a refusal fails to unpack

    assert isinstance(picture, Picture)
    assert picture.mime == mime
    assert (picture.width_px, picture.height_px) == (32, 24)
    assert SECRET.encode() not in picture.content
    bare = Image.open(io.BytesIO(picture.content))
    assert bare.tobytes() == Image.open(io.BytesIO(loaded)).tobytes()
    assert not bare.getexif()
    assert not {"prompt", "workflow", "note", "icc_profile", "comment", "xmp"} & bare.info.keys()
    if kind == "PNG":
        assert b"IDAT" in picture.content
        assert idat(picture.content) == idat(loaded)


def idat(png: bytes) -> bytes:
    at, data = 8, b""
    while at + 8 <= len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += 12 + length
    return data


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_stripping_twice_changes_nothing_more(kind: str) -> None:
    once = strip_metadata(with_metadata(kind))
    assert strip_metadata(once) == once


def test_fewer_and_more_files_than_declared_are_told_apart() -> None:
    good = encoded(drawn())
    assert faulty(good, OutputRules(count=2)) is OutputFault.TOO_FEW
    result = verify([good, good], ONE)
    assert isinstance(result, OutputRefused)
    assert result.fault is OutputFault.TOO_MANY


def test_the_first_bad_file_is_named_by_its_place() -> None:
    result = verify([encoded(drawn()), b""], OutputRules(count=2))
    assert result == OutputRefused(fault=OutputFault.EMPTY, index=1, detail="0 bytes")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_a_black_picture_is_suspect(mode: str) -> None:
    assert faulty(encoded(Image.new(mode, (16, 16), 0))) is OutputFault.BLACK


def test_a_picture_of_one_colour_is_suspect_unless_the_tool_says_it_may_be() -> None:
    flat = encoded(Image.new("RGB", (16, 16), (10, 20, 30)))
    assert faulty(flat) is OutputFault.CONSTANT
    assert isinstance(verify([flat], OutputRules(count=1, constant_allowed=True)), tuple)


def test_a_wholly_transparent_picture_is_black_and_a_black_shape_cut_out_is_a_picture() -> None:
    assert faulty(encoded(Image.new("RGBA", (16, 16), (200, 10, 10, 0)))) is OutputFault.BLACK
    shape = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    ImageDraw.Draw(shape).rectangle((2, 2, 9, 9), fill=(0, 0, 0, 255))
    assert isinstance(verify([encoded(shape)], ONE), tuple)


def test_too_many_bytes_and_too_many_pixels_are_refused_before_decoding() -> None:
    good = encoded(drawn())
    assert faulty(good, OutputRules(count=1, bytes_max=len(good) - 1)) is OutputFault.TOO_LARGE
    assert faulty(good, OutputRules(count=1, pixels_max=32 * 24 - 1)) is OutputFault.TOO_LARGE


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_small_file_that_claims_a_gigantic_picture_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    assert faulty(bomb + png_chunk(b"IEND", b"")) in {OutputFault.TOO_LARGE, OutputFault.UNREADABLE}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_file_cut_short_is_unreadable(kind: str, share: float) -> None:
    whole = encoded(drawn(size=(200, 200)), kind)
    assert faulty(whole[: int(len(whole) * share)]) is OutputFault.UNREADABLE


def test_other_formats_and_animations_are_refused() -> None:
    assert faulty(encoded(drawn(), "BMP")) is OutputFault.UNREADABLE
    assert faulty(encoded(drawn(), "GIF")) is OutputFault.UNREADABLE
    assert faulty(b"<svg xmlns='http://www.w3.org/2000/svg'/>") is OutputFault.UNREADABLE
    moving = encoded(drawn(), "WEBP", save_all=True, append_images=[drawn("RGBA").convert("RGB").rotate(90)])
    assert faulty(moving) is OutputFault.UNREADABLE


def test_a_wrong_checksum_is_not_passed_on() -> None:
    good = bytearray(encoded(drawn()))
    good[20] ^= 1
    with pytest.raises(ContainerError):
        strip_metadata(bytes(good))


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP"]),
    at=st.floats(0, 1, exclude_max=True),
    patch=st.binary(min_size=1, max_size=8),
)
def test_no_damage_to_a_file_escapes_as_anything_but_a_refusal(kind: str, at: float, patch: bytes) -> None:
    content = bytearray(with_metadata(kind))
    start = int(at * len(content))
    content[start : start + len(patch)] = patch
    result = verify_picture(bytes(content), ONE)
    assert isinstance(result, Picture | OutputRefused)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\x20\0\0\0WEBP"]), st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_and_nothing_raises(head: bytes, tail: bytes) -> None:
    assert isinstance(verify_picture(head + tail, ONE), OutputRefused)

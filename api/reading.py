"""Reading a request: its JSON body into a struct, its query into numbers, each mistake with the place where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, TypeVar, cast
from uuid import UUID

import msgspec

from api.cursors import Cursors
from api.errors import Fault, Invalid, MalformedBody, NotFound, WrongMediaType
from api.limits import PAGE_DEFAULT, PAGE_MAX
from ledger import ids

T = TypeVar("T")

_JSON = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_MESSAGE = re.compile(r"(?P<detail>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?:contains unknown|missing required) field `(?P<name>.*)`", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>[0-9]+)\]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBER = re.compile(r"[0-9]{1,9}")
_POSITION = re.compile(r"[0-9]{1,18}")
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_SHOWN_CHARS = 200
_END = r"\\Z'"
"""How a pattern of ours ends in msgspec's words; callers know it as the document writes it."""

_ESCAPE = rb"\u"
"""Only so can a text hold what cannot be stored: bare control characters and surrogates are not JSON."""


def read_body(content_type: str | None, raw: bytes, kind: type[T]) -> T:
    """Read a JSON body strictly: no unknown field, no text for a number, nothing that cannot be stored.

    :raises WrongMediaType, MalformedBody: it is not JSON.
    :raises Invalid: it is JSON of another shape; ``pointer`` says where.
    """
    if _JSON.fullmatch(content_type or "") is None:
        raise WrongMediaType("expected Content-Type: application/json")
    try:
        value: T = decoder(kind).decode(raw)
    except msgspec.ValidationError as error:
        raise Invalid([_fault(str(error))]) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody("expected one JSON value in UTF-8") from error
    if _ESCAPE in raw and (faults := list(text_faults(msgspec.to_builtins(value), ""))):
        raise Invalid(faults)
    return value


@cache
def decoder(kind: type[Any]) -> msgspec.json.Decoder[Any]:
    """The decoder of a body."""
    return msgspec.json.Decoder(kind)


def text_faults(value: Any, pointer: str) -> Iterator[Fault]:
    """Texts that cannot be stored, wherever they are."""
    if isinstance(value, str):
        if "\0" in value or _SURROGATE.search(value):
            yield Fault(detail="NUL and lone surrogates are not text", pointer=pointer)
    elif isinstance(value, dict):
        for name, entry in cast("dict[str, Any]", value).items():
            yield from text_faults(entry, f"{pointer}/{escaped(name)}")
    elif isinstance(value, list):
        for index, entry in enumerate(cast("list[Any]", value)):
            yield from text_faults(entry, f"{pointer}/{index}")


def _fault(message: str) -> Fault:
    """Where and what, out of msgspec's words."""
    match = _MESSAGE.fullmatch(message)
    assert match is not None
    steps = [step["name"] or step["index"] for step in _STEP.finditer(match["path"] or "")]
    if field := _FIELD.fullmatch(match["detail"]):
        steps.append(field["name"])
    pointer = "".join(f"/{escaped(step)}" for step in steps)
    detail = match["detail"].replace(_END, "$'")
    return Fault(detail=detail[:_SHOWN_CHARS], pointer=pointer[:_SHOWN_CHARS])


def escaped(name: str) -> str:
    """A name as part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def read_id(kind: str, text: str) -> UUID:
    """An id out of a path.

    :raises NotFound: not one, which is no different from unknown.
    """
    try:
        return ids.parse(kind, text)
    except ValueError:
        raise NotFound from None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is asked for: at most ``limit`` entries after ``position`` (None: from its beginning)."""

    limit: int
    position: int | None


def read_page(query: Mapping[str, str], cursors: Cursors, listing: str, organisation_id: UUID) -> Page:
    """Read ``limit`` and ``after``.

    :raises Invalid: out of range, or a cursor of another list.
    """
    limit = read_number(query, "limit", PAGE_DEFAULT, PAGE_MAX)
    after = query.get("after")
    if after is None:
        return Page(limit=limit, position=None)
    position = cursors.read(listing, organisation_id, after)
    if position is None:
        raise Invalid([Fault(detail="expected a next_cursor of this list", parameter="after")])
    return Page(limit=limit, position=position)


def read_number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """Read a number from 1 to ``most``.

    :raises Invalid: not one.
    """
    text = query.get(name)
    if text is None:
        return default
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= most:
        raise Invalid([Fault(detail=f"expected a whole number from 1 to {most}", parameter=name)])
    return int(text)


def read_choice(query: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    """Read one word of several, None where it is not given.

    :raises Invalid: another word.
    """
    text = query.get(name)
    if text is not None and text not in choices:
        raise Invalid([Fault(detail=f"expected one of {', '.join(choices)}", parameter=name)])
    return text


def read_position(query: Mapping[str, str], name: str) -> int | None:
    """Read a position of the log, None where it is not given.

    :raises Invalid: not one.
    """
    text = query.get(name)
    if text is not None and _POSITION.fullmatch(text) is None:
        raise Invalid([Fault(detail="expected a position of the log", parameter=name)])
    return None if text is None else int(text)


def read_time(query: Mapping[str, str], name: str) -> datetime | None:
    """Read a time with its offset (RFC 3339), as UTC; None where it is not given.

    :raises Invalid: not one, or none of the years 1 to 9999 in UTC.
    """
    text = query.get(name)
    if text is None:
        return None
    try:
        return msgspec.convert(text, _Time, strict=False).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise Invalid([Fault(detail="expected a time such as 2026-01-31T12:00:00Z", parameter=name)]) from None

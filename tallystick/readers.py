"""How the text of one setting becomes its value. A reader raises ``ValueError`` saying what is expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

T = TypeVar("T")

SECRET_BYTES_MIN = 32
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def text(value: str) -> str:
    """Any text that is not empty."""
    if not value.strip():
        raise ValueError("expected some text")
    return value


def flag(value: str) -> bool:
    """True or false."""
    if (found := _WORDS.get(value.strip().lower())) is None:
        raise ValueError("expected true or false")
    return found


def integer(low: int, high: int) -> Callable[[str], int]:
    """Reader of a whole number within bounds, both included."""

    def read(value: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", value.strip()) or not low <= int(value) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return int(value)

    return read


def one_of(*choices: str) -> Callable[[str], str]:
    """Reader of one word of several."""

    def read(value: str) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return value

    return read


def path(value: str) -> Path:
    """A folder or file, made absolute."""
    if not value or "\0" in value:
        raise ValueError("expected a path")
    return Path(value).expanduser().absolute()


def secret(value: str) -> str:
    """A random secret of at least 32 bytes."""
    if len(value.encode()) < SECRET_BYTES_MIN:
        raise ValueError(f"expected at least {SECRET_BYTES_MIN} random bytes")
    return value


def url(*schemes: str, expected: str) -> Callable[[str], str]:
    """Reader of an address with one of the schemes; ``expected`` is an example."""

    def read(value: str) -> str:
        parts = _split(value)
        if parts is None or parts.scheme not in schemes or not (parts.netloc or parts.query or parts.path):
            raise ValueError(f"expected an address like {expected}")
        return value

    return read


def _split(value: str) -> SplitResult | None:
    try:
        parts = urlsplit(value)
        assert parts.port is None or parts.port >= 0  # reading the port checks it
    except ValueError:
        return None
    return parts


def web_address(value: str) -> str:
    """An http(s) address without a trailing slash."""
    parts = _split(value)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected an address like https://credits.example.com")
    return value.rstrip("/")


def many(read: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Reader of a list, separated by commas or blanks, each entry by ``read``."""

    def read_all(value: str) -> tuple[T, ...]:
        return tuple(read(entry) for entry in re.split(r"[,\s]+", value) if entry)

    return read_all

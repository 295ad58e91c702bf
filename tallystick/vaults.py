"""Places for copies outside the database: a folder, or a bucket (``s3://bucket/prefix``). Nothing is written over."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import boto3  # pyright: ignore[reportMissingTypeStubs]  it has none; nor have the next two
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import BotoCoreError, ClientError  # pyright: ignore[reportMissingTypeStubs]

from ledger.proof.errors import BadFile, VaultUnavailable
from ledger.proof.heads import SignedHead, decode_line, encode_line
from ledger.proof.ports import HeadTarget, Vault
from ledger.proof.taking import at
from tallystick.settings import Settings

_CONNECT_LIMIT_S, _ANSWER_LIMIT_S = 5, 60
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_HEADS_NAME = re.compile(r"heads-\d{4}-\d\d-\d\d\.jsonl|\d{20}-\d+\.json")
"""Files with heads: a day's in a folder, one head's in a bucket."""
_BEGINNING = b'{"size":'
"""Of every line that ``encode_line`` writes."""


class FolderVault:
    """``ledger.proof.ports.Vault`` in a folder; a file appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        """See ``Vault``."""
        path = self._folder / name
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(beside, os.O_TRUNC, content)
            with suppress(FileExistsError):
                os.link(beside, path)
            beside.unlink()
            _sync_folder(path.parent)
            kept = path.read_bytes()
        except OSError as error:
            raise VaultUnavailable(f"{path} cannot be written: {error.strerror}") from error
        if kept != content:
            raise BadFile(f"{path} is there already, with another content")

    def get(self, name: str) -> bytes | None:
        """See ``Vault``."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise VaultUnavailable(f"{self._folder / name} cannot be read: {error.strerror}") from error

    def names(self, prefix: str) -> list[str]:
        """See ``Vault``."""
        found = (path for path in self._folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        names = (path.relative_to(self._folder).as_posix() for path in found)
        return sorted(name for name in names if name.startswith(prefix))


class S3Vault:
    """``ledger.proof.ports.Vault`` in a bucket; writes are conditional, so that nothing is written over."""

    def __init__(self, settings: Settings, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        config = Config(
            signature_version="s3v4",
            connect_timeout=_CONNECT_LIMIT_S,
            read_timeout=_ANSWER_LIMIT_S,
            retries={"max_attempts": 3, "mode": "standard"},
        )
        self._client: Any = boto3.client(  # pyright: ignore[reportUnknownMemberType]  made at run time from a model
            "s3",
            region_name=settings.s3_region,
            endpoint_url=settings.s3_endpoint_url,
            aws_access_key_id=settings.s3_access_key_id,
            aws_secret_access_key=settings.s3_secret_access_key,
            config=config,
        )

    def put(self, name: str, content: bytes) -> None:
        """See ``Vault``."""
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._prefix + name, Body=content, IfNoneMatch="*")
        except ClientError as error:
            if _code(error) not in _TAKEN:
                raise VaultUnavailable(f"the bucket refuses: {_code(error)}") from error
            if self.get(name) != content:
                raise BadFile(f"{name} is there already, with another content") from error
        except BotoCoreError as error:
            raise VaultUnavailable(f"the bucket does not answer: {type(error).__name__}") from error

    def get(self, name: str) -> bytes | None:
        """See ``Vault``."""
        try:
            found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
            return cast("bytes", found["Body"].read())
        except ClientError as error:
            if _code(error) in _MISSING:
                return None
            raise VaultUnavailable(f"the bucket refuses: {_code(error)}") from error
        except BotoCoreError as error:
            raise VaultUnavailable(f"the bucket does not answer: {type(error).__name__}") from error

    def names(self, prefix: str) -> list[str]:
        """See ``Vault``."""
        pages: Any = self._client.get_paginator("list_objects_v2")
        try:
            return sorted(
                cast("str", entry["Key"]).removeprefix(self._prefix)
                for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix)
                for entry in page.get("Contents", ())
            )
        except (ClientError, BotoCoreError) as error:
            raise VaultUnavailable(f"the bucket cannot be listed: {type(error).__name__}") from error


def _code(error: ClientError) -> str:
    answer = cast("dict[str, Any]", error.response)  # pyright: ignore[reportUnknownMemberType]  untyped
    return str(answer.get("Error", {}).get("Code", ""))


class FolderHeads:
    """``ledger.proof.ports.HeadTarget``: one line a head, in a file a day, only ever appended to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def append(self, head: SignedHead) -> None:
        """See ``HeadTarget``."""
        day = at(head.head.signed_at_us)
        path = self._folder / f"heads-{day:%Y-%m-%d}.jsonl"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(path, os.O_APPEND, _end_of_cut_line(path) + encode_line(head) + b"\n")
            _sync_folder(self._folder)
        except OSError as error:
            raise VaultUnavailable(f"{path} cannot be written: {error.strerror}") from error

    def heads(self) -> Iterator[SignedHead]:
        """See ``HeadTarget``."""
        for path in self._files():
            yield from heads_in_file(path)

    def last(self) -> SignedHead | None:
        """See ``HeadTarget``."""
        for path in reversed(self._files()):
            if lines := list(_lines(_read(path))):
                return _decoded(path, *lines[-1])
        return None

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("heads-*.jsonl"))


def heads_in_folder(folder: Path) -> Iterator[SignedHead]:
    """Heads of a folder and of all below it, as ``FolderHeads`` writes them or as a bucket was copied.

    :raises BadFile, VaultUnavailable: a file that cannot be read.
    """
    for path in sorted(folder.rglob("*.json*")):
        if _HEADS_NAME.fullmatch(path.name):
            yield from heads_in_file(path)


def heads_in_file(path: Path) -> Iterator[SignedHead]:
    """Heads of a file: one a line, or one alone over several lines.

    A line that breaks off was cut while it was written, and counts for nothing, wherever the next one was begun.

    :raises BadFile: a line that is neither a head nor the beginning of one.
    :raises VaultUnavailable: the file cannot be read.
    """
    content = _read(path)
    if (alone := _alone(content)) is not None:
        yield alone
        return
    for number, line in _lines(content):
        yield _decoded(path, number, line)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise VaultUnavailable(f"{path} cannot be read: {error.strerror}") from error


def _alone(content: bytes) -> SignedHead | None:
    """The head that is all of a file, if it is one; what else it is, its lines tell."""
    try:
        return decode_line(content)
    except BadFile:
        return None


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, whatever ends them, without those that were cut."""
    for number, ended in enumerate(content.split(b"\n"), 1):
        line = ended.strip()
        if line and not _is_cut(line):
            yield number, line


def _is_cut(line: bytes) -> bool:
    begun = line.rstrip(b"\0")  # where the power fails, zeros may stand for what did not reach the disk
    return not line.endswith(b"}") and (begun.startswith(_BEGINNING) or _BEGINNING.startswith(begun))


def _decoded(path: Path | str, number: int, line: bytes) -> SignedHead:
    try:
        return decode_line(line)
    except BadFile as error:
        raise BadFile(f"{path}, line {number}: {error}") from error


def _end_of_cut_line(path: Path) -> bytes:
    try:
        cut = not path.read_bytes().endswith(b"\n")
    except FileNotFoundError:
        return b""
    return b"\n" if cut else b""


class VaultHeads:
    """``ledger.proof.ports.HeadTarget`` in a vault without appending: a file a head, named by day and time."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def append(self, head: SignedHead) -> None:
        """See ``HeadTarget``."""
        day = at(head.head.signed_at_us)
        self._vault.put(f"heads/{day:%Y-%m-%d}/{head.head.signed_at_us:020d}-{head.head.size}.json", encode_line(head))

    def heads(self) -> Iterator[SignedHead]:
        """See ``HeadTarget``."""
        for name in self._vault.names("heads/"):
            yield self._read(name)

    def last(self) -> SignedHead | None:
        """See ``HeadTarget``; years of heads are listed a day at a time where today has one."""
        today = f"heads/{datetime.now(UTC):%Y-%m-%d}/"
        names = self._vault.names(today) or self._vault.names("heads/")
        return self._read(names[-1]) if names else None

    def _read(self, name: str) -> SignedHead:
        content = self._vault.get(name)
        if content is None:
            raise VaultUnavailable(f"{name} is listed and not there")
        return _decoded(name, 1, content)


def open_vault(place: str, settings: Settings) -> Vault:
    """The vault at a place: a folder, or ``s3://bucket/prefix``."""
    parts = urlsplit(place)
    if parts.scheme == "s3":
        return S3Vault(settings, parts.netloc, parts.path)
    return FolderVault(Path(place))


def open_heads(place: str, settings: Settings) -> HeadTarget:
    """Where heads are kept, at such a place."""
    return VaultHeads(open_vault(place, settings)) if place.startswith("s3://") else FolderHeads(Path(place))


def _write(path: Path, how: int, content: bytes) -> None:
    """Write in one call and force it to the disk."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o644)
    try:
        written = os.write(file, content)
        while written < len(content):
            written += os.write(file, content[written:])
        os.fsync(file)
    finally:
        os.close(file)


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)

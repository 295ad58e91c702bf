"""Progress and previews of running jobs: heard from nodes, passed on at once, kept by nobody. May be lost."""

from __future__ import annotations

import logging
from base64 import b64encode
from typing import Any, Literal, Protocol
from uuid import UUID

import msgspec
import redis
from msgspec import Struct

from workers.limits import PREVIEW_BYTES_MAX
from workers.views import ProgressView

_log = logging.getLogger(__name__)
_KEPT_S = 120


class ProgressMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is published on a job's channel: how far it is (0 to 1), a preview, or that it is being cancelled."""

    kind: Literal["progress", "preview", "cancelling"]
    fraction: float = 0.0
    mime: str | None = None
    base64: str | None = None


class Progress(Protocol):
    """Publishes and remembers the latest; never raises, never waits long."""

    def publish(self, job_id: UUID, message: ProgressMessage) -> None:
        """Tell whoever listens."""
        ...

    def latest(self, job_id: UUID) -> ProgressView | None:
        """What was last said of a job, if that is known."""
        ...


def channel(job_id: UUID) -> str:
    """Redis channel of a job; its messages are ``ProgressMessage`` as JSON."""
    return f"job:{job_id}"


def encode_message(message: ProgressMessage) -> bytes:
    """A message as it travels."""
    return msgspec.json.encode(message)


def decode_message(raw: bytes) -> ProgressMessage:
    """Read a message.

    :raises msgspec.ValidationError: not one of ours.
    """
    return msgspec.json.decode(raw, type=ProgressMessage)


def preview_message(mime: str, content: bytes, *, fraction: float) -> ProgressMessage | None:
    """A preview to publish; None where it is too large."""
    if len(content) > PREVIEW_BYTES_MAX:
        return None
    return ProgressMessage(kind="preview", fraction=fraction, mime=mime, base64=b64encode(content).decode())


class RedisProgress:
    """Through Redis pub/sub, the latest kept for two minutes. A Redis that is away loses messages, nothing else."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client  # its own annotations are unknown in part

    def publish(self, job_id: UUID, message: ProgressMessage) -> None:
        """See ``Progress``."""
        name, raw = channel(job_id), encode_message(message)
        try:
            pipe = self._client.pipeline(transaction=False)
            pipe.publish(name, raw)
            if message.kind != "cancelling":
                pipe.set(f"latest:{name}", raw, ex=_KEPT_S)
            pipe.execute()
        except redis.RedisError as error:
            _log.debug("progress of %s was lost: %s", job_id, error)

    def latest(self, job_id: UUID) -> ProgressView | None:
        """See ``Progress``."""
        try:
            raw = self._client.get(f"latest:{channel(job_id)}")
        except redis.RedisError:
            return None
        return view_of(decode_message(raw)) if isinstance(raw, bytes) else None


class MemoryProgress:
    """In memory, for tests and small tools: everything that was said, in order."""

    def __init__(self) -> None:
        self.said: list[tuple[UUID, ProgressMessage]] = []

    def publish(self, job_id: UUID, message: ProgressMessage) -> None:
        """See ``Progress``."""
        self.said.append((job_id, message))

    def latest(self, job_id: UUID) -> ProgressView | None:
        """See ``Progress``."""
        told = [message for about, message in self.said if about == job_id and message.kind != "cancelling"]
        return view_of(told[-1]) if told else None


def view_of(message: ProgressMessage) -> ProgressView:
    """A message as part of a job's view."""
    return ProgressView(fraction=message.fraction, preview_mime=message.mime, preview_base64=message.base64)

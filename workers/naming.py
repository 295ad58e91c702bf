"""Names of what an attempt stores: derived from its id, so that doing it twice is doing it once."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

from ledger.ids import render, uuid7

_EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


def output_id_of(attempt_id: UUID, ordinal: int) -> UUID:
    """Id of an attempt's picture."""
    digest = sha256(b"output" + attempt_id.bytes + ordinal.to_bytes(4, "big")).digest()
    return uuid7(attempt_id.int >> 80, digest[:10])


def object_key_of(job_id: UUID, attempt_id: UUID, ordinal: int, mime: str) -> str:
    """Where a picture lies in the object store."""
    return f"jobs/{job_id}/{attempt_id}/{ordinal}.{_EXTENSIONS[mime]}"


def file_name_of(job_id: UUID, ordinal: int, mime: str) -> str:
    """What a picture is called once it is saved."""
    return f"{render('job', job_id)}-{ordinal + 1}.{_EXTENSIONS[mime]}"

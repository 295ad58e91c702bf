"""Events as Parquet files, by Apache Arrow: types that any tool reads, times in microseconds UTC."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]  it has none; nor has the next
import pyarrow.parquet as pq  # pyright: ignore[reportMissingTypeStubs]

from ledger.domain.codec import RecordedEvent
from ledger.proof.errors import BadFile

arrow, files = cast("Any", pa), cast("Any", pq)

SCHEMA = arrow.schema(
    [
        arrow.field("position", arrow.int64(), nullable=False),
        arrow.field("stream_id", arrow.binary(16), nullable=False),
        arrow.field("version", arrow.int64(), nullable=False),
        arrow.field("tag", arrow.string(), nullable=False),
        arrow.field("state", arrow.binary(), nullable=False),
        arrow.field("recorded_at", arrow.timestamp("us", "UTC"), nullable=False),
        arrow.field("effective_at", arrow.timestamp("us", "UTC"), nullable=False),
        arrow.field("key_hash", arrow.binary(16), nullable=True),
        arrow.field("hash", arrow.binary(32), nullable=False),
    ],
    metadata={"format": "tallystick-events-v1"},
)


class Parquet:
    """``ledger.proof.archive.Format``."""

    suffix = ".parquet"

    def encode(self, events: Sequence[RecordedEvent]) -> bytes:
        """See ``Format``."""
        columns = [list(column) for column in zip(*events, strict=True)]
        columns[1] = [stream_id.bytes for stream_id in columns[1]]
        arrays = [arrow.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        sink = io.BytesIO()
        files.write_table(arrow.Table.from_arrays(arrays, schema=SCHEMA), sink, compression="zstd")
        return sink.getvalue()

    def decode(self, content: bytes) -> list[RecordedEvent]:
        """See ``Format``."""
        try:
            table = files.read_table(io.BytesIO(content), schema=SCHEMA)
        except (arrow.ArrowException, OSError, ValueError) as error:
            raise BadFile(f"no Parquet file of events: {error}") from error
        columns: list[list[Any]] = [column.to_pylist() for column in table.columns]
        columns[1] = [UUID(bytes=stream_id) for stream_id in columns[1]]
        return [RecordedEvent(*row) for row in zip(*columns, strict=True)]

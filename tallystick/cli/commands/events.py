"""``tallystick events``."""

from __future__ import annotations

import click
import msgspec

from ledger.domain.codec import RecordedEvent, as_json
from ledger.ids import parse_any
from ledger.store.reads import PostgresReader
from tallystick.cli.database import with_database

_PAGE = 1_000


@click.command("events")
@click.option("--stream", help="Only one stream: the id of an account, job, top-up, … (acc_…, job_…).")
@click.option("--after", type=click.IntRange(0), default=0, show_default=True, help="Position, or version in a stream.")
@click.option("--limit", type=click.IntRange(1, _PAGE), default=50, show_default=True, help="Most events shown.")
def command(*, stream: str | None, after: int, limit: int) -> None:
    """Events as they are recorded, a line of JSON each, the fields of each named."""
    try:
        stream_id = None if stream is None else parse_any(stream)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--stream") from error
    with with_database() as (_, pool):
        reader = PostgresReader(pool)
        found = (
            reader.log(after=after, limit=limit)
            if stream_id is None
            else reader.stream(stream_id, after_version=after, limit=limit)
        )
    for event in found:
        click.echo(msgspec.json.encode(_shown(event)))


def _shown(event: RecordedEvent) -> dict[str, object]:
    return {
        "position": event.position,
        "stream": event.stream_id,
        "version": event.version,
        "tag": event.tag,
        "recorded_at": event.recorded_at,
        "effective_at": event.effective_at,
        "hash": event.hash.hex(),
        "says": msgspec.Raw(as_json(event)),
    }

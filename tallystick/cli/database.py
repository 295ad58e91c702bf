"""For commands that ask the database themselves: a connection, once the schema is seen to be this program's."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from psycopg_pool import ConnectionPool

from tallystick.cli.common import running
from tallystick.read_models import own_pool
from tallystick.schema import require_migrated
from tallystick.settings import Settings


@contextlib.contextmanager
def with_database() -> Generator[tuple[Settings, ConnectionPool]]:
    """The settings with every address known, and a pool of one connection, open while the block runs.

    :raises NotReady: the schema is not this program's.
    :raises psycopg.OperationalError: the database does not answer; at once, where a pool would try for half a minute.
    """
    with running() as settings:
        require_migrated(settings)
        with own_pool(settings) as pool:
            yield settings, pool

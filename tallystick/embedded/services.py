"""The servers this installation needs: those configured, else our own, started once a data folder and shared."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
import uuid
from collections.abc import Generator
from pathlib import Path

from tallystick.embedded import folders, process
from tallystick.embedded.postgres import EmbeddedPostgres
from tallystick.embedded.redis import EmbeddedRedis
from tallystick.errors import DataFolderBusy
from tallystick.settings import Settings

_PUBLISHED = "services.json"
_PUBLISH_TIMEOUT_S = 60.0
_POLL_S = 0.1
_SECRET_BYTES = 32


@contextlib.contextmanager
def services(settings: Settings, *, share: bool = True) -> Generator[Settings]:
    """Yield the settings with every address and the root secret filled in; what was started ends with the block.

    Where another process of ours already runs servers in the same data folder, theirs are used (``share``), or the
    folder is refused. Call it from the main thread.

    :raises DataFolderBusy: the folder is in use and ``share`` is false.
    :raises ServiceError: a server cannot start; the message says why.
    """
    folders.make_data_folder(settings.data_dir)
    if not settings.embeds_postgres and not settings.embeds_redis:
        yield with_secret(settings)
        return
    settings = with_secret(settings)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(folders.locked(settings.data_dir))
        except DataFolderBusy:
            if not share:
                raise
            found = _published(settings)
        else:
            found = stack.enter_context(_started(settings))
        yield found


def with_secret(settings: Settings) -> Settings:
    """The settings with the root secret: the one given, else the data folder's own, made once."""
    if settings.secret is not None:
        return settings
    return settings.with_values(
        secret=folders.keep_once(settings.data_dir / "secret", secrets.token_urlsafe(_SECRET_BYTES))
    )


@contextlib.contextmanager
def _started(settings: Settings) -> Generator[Settings]:
    with folders.naming("data folder", settings.data_dir):
        (settings.data_dir / _PUBLISHED).unlink(missing_ok=True)  # a killed run's: this one may have its process id
    user = folders.service_user(settings.service_user)
    instance = folders.keep_once(settings.data_dir / "instance", uuid.uuid4().hex)
    home = folders.servers_folder(settings.data_dir, instance, user)
    addresses: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        if settings.embeds_postgres:
            postgres = EmbeddedPostgres(home, user)
            stack.callback(postgres.stop)
            postgres.start()
            addresses |= {
                "database_url": postgres.serving_url,
                "database_owner_url": postgres.owner_url,
                "database_writer_url": postgres.writer_url,
            }
        if settings.embeds_redis:
            redis = EmbeddedRedis(home, user)
            stack.callback(redis.stop)
            redis.start()
            addresses["redis_url"] = redis.url
        _publish(settings.data_dir, addresses)
        stack.callback((settings.data_dir / _PUBLISHED).unlink, missing_ok=True)
        yield settings.with_values(**addresses)


def _publish(data_dir: Path, addresses: dict[str, str]) -> None:
    """Tell other processes of ours on this data folder where the servers are."""
    making = data_dir / f".{_PUBLISHED}"
    with folders.naming("data folder", data_dir):
        making.write_text(json.dumps({"pid": os.getpid(), "addresses": addresses}), encoding="utf-8")
        making.replace(data_dir / _PUBLISHED)


def _published(settings: Settings) -> Settings:
    """The settings with the addresses of servers that another process of ours runs, waiting while it starts them.

    Until that has said who it is, lock and addresses are those of the run before, which no longer lives.

    :raises DataFolderBusy: it says nothing.
    """
    deadline = time.monotonic() + _PUBLISH_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            found = json.loads((settings.data_dir / _PUBLISHED).read_text(encoding="utf-8"))
            if found["pid"] == folders.holder(settings.data_dir) and process.is_alive(found["pid"]):
                return settings.with_values(**found["addresses"])
        time.sleep(_POLL_S)
    raise DataFolderBusy(settings.data_dir, folders.holder(settings.data_dir))

"""The program's settings: one validated structure from the environment and an optional TOML file.

To add one, add a field to ``Settings`` with ``setting(NAME, reader, default, what it is)``. The environment wins over
the file, whose keys are the names in lower case; an empty variable counts as absent.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import hmac
import os
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tallystick import readers
from tallystick.errors import SettingsError

CONFIG_VARIABLE = "TALLYSTICK_CONFIG"
DATA_DIR = Path(".tallystick")
"""Where things are kept if nothing else is said: in the folder where the program is started."""

OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "TALLYSTICK_REQUIRE_ALL"})
"""Names beginning with TALLYSTICK_ that are no settings."""

_SOCKET_PATH_MAX = 100
"""Longest path of a socket: its whole address has 104 to 108 bytes."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One setting: its name in the environment, how its text is read, its default, and what it is."""

    name: str
    read: Callable[[str], Any]
    default: Any
    meaning: str
    hidden: bool


def setting(name: str, read: Callable[[str], Any], default: Any, meaning: str, *, hidden: bool = False) -> Any:
    """Declare a field of ``Settings``; ``hidden`` keeps its value out of every output."""
    variable = Variable(name, read, default, meaning, hidden)
    return dataclasses.field(default=default, repr=not hidden, metadata={"variable": variable})


_postgres = readers.url("postgresql", "postgres", expected="postgresql://user:password@host:5432/tallystick")
_redis = readers.url("redis", "rediss", "unix", expected="redis://host:6379/0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything that differs from one installation to the next. Unset addresses mean: use what is embedded."""

    data_dir: Path = setting("TALLYSTICK_DATA_DIR", readers.path, DATA_DIR, "folder of everything kept on this machine")
    secret: str | None = setting(
        "TALLYSTICK_SECRET",
        readers.secret,
        None,
        "root of all secrets; made and kept in the data folder if unset",
        hidden=True,
    )
    service_user: str = setting(
        "TALLYSTICK_SERVICE_USER",
        readers.text,
        "nobody",
        "ordinary user whom embedded services run as when root starts us",
    )

    database_url: str | None = setting(
        "DATABASE_URL", _postgres, None, "PostgreSQL, as the role that serves and may not change events", hidden=True
    )
    database_owner_url: str | None = setting(
        "DATABASE_OWNER_URL", _postgres, None, "the same database, as the role that migrates", hidden=True
    )
    database_writer_url: str | None = setting(
        "DATABASE_WRITER_URL",
        _postgres,
        None,
        "the same database, as the role that appends to the log; unset: DATABASE_URL's",
        hidden=True,
    )
    writer_socket: Path | None = setting(
        "TALLYSTICK_WRITER_SOCKET",
        readers.path,
        None,
        "socket of the writer's process; its folder is private; unset: in the data folder",
    )
    database_pool_max: int = setting(
        "TALLYSTICK_DATABASE_POOL_MAX", readers.integer(1, 200), 10, "most connections of one process"
    )
    redis_url: str | None = setting("REDIS_URL", _redis, None, "Redis: wake-ups, limits, progress", hidden=True)

    host: str = setting("TALLYSTICK_HOST", readers.text, "127.0.0.1", "interface that serves HTTP")
    port: int = setting("TALLYSTICK_PORT", readers.integer(0, 65535), 8000, "port that serves HTTP; 0 takes a free one")
    public_url: str | None = setting(
        "TALLYSTICK_PUBLIC_URL", readers.web_address, None, "address under which customers reach us"
    )
    metrics_port: int | None = setting(
        "TALLYSTICK_METRICS_PORT",
        readers.integer(0, 65535),
        None,
        "port of the Prometheus endpoint, one a process; 0 takes a free one; unset: none",
    )
    live: bool = setting(
        "TALLYSTICK_LIVE", readers.flag, default=False, meaning="keys are tally_live_, not tally_test_"
    )

    sandbox: bool = setting(
        "TALLYSTICK_SANDBOX", readers.flag, default=False, meaning="a rail on which anybody pays with nothing"
    )
    stripe_api_key: str | None = setting("STRIPE_API_KEY", readers.text, None, "card payments", hidden=True)
    stripe_webhook_secret: str | None = setting(
        "STRIPE_WEBHOOK_SECRET", readers.text, None, "authenticates Stripe's notifications", hidden=True
    )
    lnbits_url: str | None = setting("LNBITS_URL", readers.web_address, None, "Lightning payments")
    lnbits_invoice_key: str | None = setting(
        "LNBITS_INVOICE_KEY", readers.text, None, "key that may create and read invoices", hidden=True
    )
    liquid_descriptor: str | None = setting(
        "LIQUID_DESCRIPTOR", readers.text, None, "watch-only wallet for Liquid payments", hidden=True
    )
    book_currency: str = setting(
        "TALLYSTICK_BOOK_CURRENCY", readers.one_of("USD", "EUR", "GBP", "CHF"), "USD", "currency of the books"
    )

    bean_check: Path | None = setting(
        "TALLYSTICK_BEAN_CHECK", readers.path, None, "program that checks exported books; beancount lives apart"
    )

    comfyui_nodes: tuple[str, ...] = setting(
        "COMFYUI_NODES", readers.many(readers.web_address), (), "addresses of ComfyUI nodes, separated by commas"
    )
    worker_threads: int = setting(
        "TALLYSTICK_WORKER_THREADS", readers.integer(1, 64), 4, "jobs that one worker process follows at once"
    )

    s3_bucket: str | None = setting(
        "S3_BUCKET", readers.text, None, "bucket for images; unset: a folder in the data folder"
    )
    s3_endpoint_url: str | None = setting(
        "S3_ENDPOINT_URL", readers.web_address, None, "S3-compatible store, if not Amazon's"
    )
    s3_region: str = setting("S3_REGION", readers.text, "us-east-1", "its region")
    s3_access_key_id: str | None = setting("S3_ACCESS_KEY_ID", readers.text, None, "key of the store", hidden=True)
    s3_secret_access_key: str | None = setting("S3_SECRET_ACCESS_KEY", readers.text, None, "its secret", hidden=True)
    heads_to: str | None = setting(
        "TALLYSTICK_HEADS_TO",
        readers.text,
        None,
        "where signed heads go: a folder, s3://bucket/prefix; unset: data folder",
    )
    head_keys: Path | None = setting(
        "TALLYSTICK_SIGNING_DIR", readers.path, None, "folder of the keys that sign heads; unset: in the data folder"
    )
    image_retention_days: int = setting(
        "TALLYSTICK_IMAGE_RETENTION_DAYS", readers.integer(1, 3650), 30, "days that an image is kept"
    )

    otlp_endpoint: str | None = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT", readers.web_address, None, "collector of traces and metrics"
    )
    trace_percent: int = setting(
        "TALLYSTICK_TRACE_PERCENT", readers.integer(0, 100), 100, "share of the requests that a collector gets to see"
    )
    log_level: str = setting(
        "TALLYSTICK_LOG_LEVEL",
        readers.one_of("debug", "info", "warning", "error"),
        "info",
        "least severe line that is logged",
    )

    @property
    def embeds_postgres(self) -> bool:
        """Whether we start a PostgreSQL of our own."""
        return self.database_url is None

    @property
    def embeds_redis(self) -> bool:
        """Whether we start a Redis of our own."""
        return self.redis_url is None

    @property
    def writer_url(self) -> str:
        """Address of the database for whoever appends to the log; addresses must be known."""
        found = self.database_writer_url or self.database_url
        assert found is not None, "embedded servers are started first"
        return found

    @property
    def writer_path(self) -> Path:
        """Where the writer's socket is; a data folder whose path is too long for sockets has a short one elsewhere."""
        path = self.writer_socket or self.data_dir / "writer" / "writer.sock"
        if self.writer_socket is not None or len(os.fsencode(path)) <= _SOCKET_PATH_MAX:
            return path
        name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"tallystick-{os.geteuid()}-{name}" / "writer.sock"

    def key_for(self, purpose: str) -> bytes:
        """32 bytes for one purpose (``api-keys``, ``links``, …), derived from the root secret, which must be known."""
        assert self.secret is not None, "the root secret is known once services are there"
        return hmac.new(self.secret.encode(), b"tallystick/" + purpose.encode(), hashlib.sha256).digest()

    def with_values(self, **values: Any) -> Settings:
        """The same settings with some values replaced, by field name."""
        return dataclasses.replace(self, **values)


def variables() -> dict[str, Variable]:
    """Every setting by field name, in the order of ``Settings``."""
    return {field.name: cast("Variable", field.metadata["variable"]) for field in dataclasses.fields(Settings)}


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings.

    :param environment: by default this process's.
    :raises SettingsError: naming every mistake at once.
    """
    environment = os.environ if environment is None else environment
    mistakes: list[str] = []
    given = _from_file(environment, mistakes) | _from_environment(environment, mistakes)
    values: dict[str, Any] = {}
    for field, variable in variables().items():
        if variable.name in given:
            _read(field, variable, given[variable.name], values, mistakes)
    mistakes += _contradictions(values, given)
    if mistakes:
        raise SettingsError(mistakes)
    values["data_dir"] = values.get("data_dir", DATA_DIR).absolute()
    return Settings(**values)


def _read(field: str, variable: Variable, value: str, values: dict[str, Any], mistakes: list[str]) -> None:
    try:
        values[field] = variable.read(value)
    except ValueError as error:
        got = "" if variable.hidden else f", got {value[:80]!r}"
        mistakes.append(f"{variable.name}: {error}{got}")


def _from_environment(environment: Mapping[str, str], mistakes: list[str]) -> dict[str, str]:
    names = {variable.name for variable in variables().values()}
    ours = {name for name in environment if name.startswith("TALLYSTICK_")}
    mistakes += [_unknown(name, names) for name in sorted(ours - names - OTHER_VARIABLES)]
    return {name: environment[name] for name in names if environment.get(name)}


def _from_file(environment: Mapping[str, str], mistakes: list[str]) -> dict[str, str]:
    if not (named := environment.get(CONFIG_VARIABLE)):
        return {}
    try:
        content = tomllib.loads(Path(named).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        mistakes.append(f"{CONFIG_VARIABLE}: expected a readable TOML file at {named}: {error}")
        return {}
    names = {variable.name.lower() for variable in variables().values()}
    mistakes += [f"{named}: {_unknown(key, names)}" for key in sorted(content.keys() - names)]
    return {key.upper(): _as_text(value) for key, value in content.items() if key in names}


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(str(entry) for entry in cast("list[Any]", value))
    return str(value)


def _unknown(name: str, names: set[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"{name}: no such setting" + (f"; expected {close[0]}?" if close else "")


def _contradictions(values: Mapping[str, Any], given: Mapping[str, str]) -> list[str]:
    """Settings that are right alone and wrong together."""
    found: list[str] = []
    if "DATABASE_URL" in given and "TALLYSTICK_SECRET" not in given:
        found.append("TALLYSTICK_SECRET: expected because DATABASE_URL is set: every process must share it")
    found += [
        f"DATABASE_URL: expected because {name} is set"
        for name in ("DATABASE_OWNER_URL", "DATABASE_WRITER_URL")
        if name in given and "DATABASE_URL" not in given
    ]
    if values.get("sandbox") and (values.get("live") or _is_live(values.get("stripe_api_key"))):
        found.append("TALLYSTICK_SANDBOX: expected false beside live keys")
    pairs = [("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"), ("LNBITS_URL", "LNBITS_INVOICE_KEY")]
    for one, other in [*pairs, *(pair[::-1] for pair in pairs)]:
        if one in given and other not in given:
            found.append(f"{other}: expected because {one} is set")
    return found


def _is_live(stripe_key: str | None) -> bool:
    return stripe_key is not None and not stripe_key.startswith(("sk_test_", "rk_test_"))

"""Logs as one JSON object a line, with the ids at hand. Nothing secret and nothing that a customer wrote gets into one.

Two nets: only known fields beside the message are written, and every text is scrubbed of what looks like a secret, a
prompt, or a row that PostgreSQL quotes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import traceback
from collections.abc import Generator, Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, TextIO

import msgspec
from opentelemetry.trace import get_current_span

from tallystick.settings import Settings, variables

FIELDS = frozenset(
    {
        "account_id", "attempt_id", "code", "component", "events", "follower", "grant_id", "hold_id", "job_id",
        "key_id", "method", "ms", "node", "organisation_id", "outcome", "pid", "position", "request_id",
        "route", "signal", "status", "topup_id",
    }
)  # fmt: skip
"""What may stand beside the message: ids, codes and figures. A new field is added here or is not written."""

_HIDDEN = "[hidden]"
_TEXT_CHARS_MAX = 4_000
_SHORT_CHARS, _SHORT_KEPT = 80, 1_024
"""Short texts are mostly the same ones, methods and routes: what became of them is remembered."""

_ID = re.compile(r"[0-9a-f]{32}")
_bound: ContextVar[Mapping[str, str]] = ContextVar("tallystick_log_fields", default={})  # noqa: B039  never changed
_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'?|"(?:[^"\\]|\\.)*"?)"""
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"tally_(live|test)_\w+"), rf"tally_\1_{_HIDDEN}"),
    (re.compile(r"\b(sk|rk|pk|whsec|lnbits)_\w{8,}"), rf"\1_{_HIDDEN}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {_HIDDEN}"),
    (re.compile(r"(\b\w{1,20}://[^\s/:@]{0,200}):[^\s@/]{1,200}@"), rf"\1:{_HIDDEN}@"),
    (
        re.compile(r"(?i)([?&][\w-]{0,40}(?:sig|signature|token|key|secret|mac|ticket)[\w-]{0,40}=)[^&\s'\"]+"),
        rf"\1{_HIDDEN}",
    ),
    (
        re.compile(
            r"""(?i)(['"]?\b[\w-]{0,40}(?:prompt|password|secret|token|mac_key|authorization|cookie)['"]?\s*[=:]\s*b?)"""
            + _QUOTED
        ),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"(?ms)^(DETAIL|CONTEXT|HINT):.*"), rf"\1: {_HIDDEN}"),
)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without what looks secret, without ``secrets`` themselves, and bounded."""
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text if len(text) <= _TEXT_CHARS_MAX else f"{text[:_TEXT_CHARS_MAX]}…"


@contextlib.contextmanager
def bound(**fields: str) -> Generator[None]:
    """Add ids to every line that is logged within the block, on this thread or task."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonLines(logging.Formatter):
    """One line of JSON a record: time, level, logger, message, known fields, trace, exception."""

    def __init__(self, component: str, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._component = component
        self._secrets = tuple(secret for secret in secrets if secret)
        self._short = lru_cache(_SHORT_KEPT)(partial(scrub, secrets=self._secrets))

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter``."""
        line: dict[str, Any] = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03d}+00:00",
            "level": record.levelname.lower(),
            "logger": record.name,
            "component": self._component,
            "message": self._scrub(_message(record)),
        }
        line |= {name: self._plain(value) for name, value in _bound.get().items() if name in FIELDS}
        line |= {name: self._plain(value) for name, value in vars(record).items() if name in FIELDS}
        span = get_current_span().get_span_context()
        if span.is_valid:
            line |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
        if record.exc_info and record.exc_info[1] is not None:
            line["exception"] = self._exception(record.exc_info[1])
        try:
            return msgspec.json.encode(line).decode()
        except UnicodeEncodeError:  # half a surrogate pair in what somebody sent: written all the same, escaped
            return json.dumps(line)

    def _plain(self, value: Any) -> Any:
        if value is None or isinstance(value, int | float):
            return value
        if isinstance(value, str) and _ID.fullmatch(value) and value not in self._secrets:
            return value
        return self._scrub(str(value))

    def _scrub(self, text: str) -> str:
        return self._short(text) if len(text) <= _SHORT_CHARS else scrub(text, self._secrets)

    def _exception(self, error: BaseException) -> dict[str, Any]:
        """Kind, scrubbed message, and where; no values of variables."""
        frames = traceback.extract_tb(error.__traceback__)[-12:]
        found: dict[str, Any] = {
            "type": f"{type(error).__module__}.{type(error).__qualname__}",
            "message": self._scrub(str(error)),
            "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
        }
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return found | ({"cause": self._exception(cause)} if cause is not None else {})


@lru_cache(1)
def _second(unix_s: int) -> str:
    """A second as text, without its zone: most lines come within the second of the line before."""
    return datetime.fromtimestamp(unix_s, UTC).replace(tzinfo=None).isoformat()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):
        return str(record.msg)


def hidden_values(settings: Settings) -> list[str]:
    """Values of this installation that no line may hold, whatever they look like; addresses are scrubbed by form."""
    values = (getattr(settings, field) for field, variable in variables().items() if variable.hidden)
    return [value for value in values if isinstance(value, str) and "://" not in value]


def log_to(stream: TextIO | None, settings: Settings, component: str) -> None:
    """Make this process log JSON lines, to standard error by default. Libraries are heard from ``warning`` on."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(component, hidden_values(settings)))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for package in ("ledger", "customers", "payments", "workers", "projections", "api", "tallystick"):
        logging.getLogger(package).setLevel(settings.log_level.upper())
    logging.captureWarnings(capture=True)

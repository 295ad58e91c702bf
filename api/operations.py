"""What each route is: its scope, body, answers and problems. Access and the OpenAPI document are made of this alone."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from api.auth import PUBLIC, QUOTA, SCOPE, UNLIMITED

OPERATION = "operation"
DIRECT = "direct"
"""Options of a route: this; and True: it takes the request alone and returns an ASGI application. See ``direct``."""


class Parameter(Struct, frozen=True, kw_only=True):
    """A parameter of the path, the query or a header, with its JSON schema."""

    name: str
    where: Literal["path", "query", "header"]
    description: str
    schema: dict[str, Any]
    required: bool = False


class Answer(Struct, frozen=True, kw_only=True):
    """An answer that is no problem. ``headers`` are name and meaning; ``kind`` None has no body.

    ``also`` are further media types that it may come in, ``or_kind`` another shape that it may have.
    """

    status: int
    description: str
    kind: Any = None
    or_kind: Any = None
    media_type: str = "application/json"
    also: tuple[str, ...] = ()
    headers: dict[str, str] = {}


class Operation(Struct, frozen=True, kw_only=True):
    """One route. ``scope`` None is public. ``problems`` are codes beside those that every route may answer with.

    ``quota`` is the policy that its requests are counted by; ``direct``: see ``DIRECT``.
    """

    operation_id: str
    summary: str
    tag: str
    scope: str | None
    answers: tuple[Answer, ...]
    description: str = ""
    body: Any = None
    body_required: bool = True
    body_media_type: str = "application/json"
    example: dict[str, Any] | None = None
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[str, ...] = ()
    unlimited: bool = False
    quota: str = "known"
    direct: bool = False

    def options(self) -> dict[str, Any]:
        """The route's options."""
        if self.scope is None:
            return {OPERATION: self, PUBLIC: True, UNLIMITED: self.unlimited}
        return {OPERATION: self, SCOPE: self.scope, QUOTA: self.quota, DIRECT: self.direct}


def path_id(name: str, kind: str, what: str) -> Parameter:
    """An id in the path."""
    return Parameter(
        name=name,
        where="path",
        description=what,
        schema={"type": "string", "pattern": f"^{kind}_[0-9a-f]{{32}}$"},
        required=True,
    )


def paging(most: int, default: int) -> tuple[Parameter, ...]:
    """``limit`` and ``after``."""
    return (
        Parameter(
            name="limit",
            where="query",
            description="Most entries of the answer.",
            schema={"type": "integer", "minimum": 1, "maximum": most, "default": default},
        ),
        Parameter(
            name="after",
            where="query",
            description="`next_cursor` of the page before.",
            schema={"type": "string", "pattern": "^[A-Za-z0-9_-]{27}$"},
        ),
    )


IDEMPOTENCY_KEY = Parameter(
    name="Idempotency-Key",
    where="header",
    description="A string of your own, the same for every repeat of this request; kept for ever.",
    schema={"type": "string", "minLength": 1, "maxLength": 255, "examples": ["8f14e45f-ceea-467f-9575-2c5d2b1a7c9e"]},
    required=True,
)
PREFER = Parameter(
    name="Prefer",
    where="header",
    description="`wait=N`: answer when the job has ended, after at most N seconds (60 at most).",
    schema={"type": "string", "examples": ["wait=30"]},
)
LAST_EVENT_ID = Parameter(
    name="Last-Event-ID",
    where="header",
    description="Id of the last event that was seen; the stream goes on behind it.",
    schema={"type": "string", "pattern": "^[0-9]{1,18}$"},
)
REPLAYED = {"Idempotency-Replayed": "`true` where this answer had been given before."}
CREDITS = {
    "Credits-Charged": "Credits debited for the job so far.",
    "Credits-Held": "Credits pinned for the job.",
    "Credits-Remaining": "Credits of the account that can be spent.",
}

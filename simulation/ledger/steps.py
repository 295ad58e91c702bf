"""A history: what happens in a world, step by step, as plain data, so that steps can be dropped and it still runs."""

from __future__ import annotations

from typing import Literal, TypeAlias
from uuid import UUID

from msgspec import Struct

from ledger.ports import Request

Fate = Literal["well", "cut", "lost", "refused"]
"""``cut``: the connection breaks before the question arrives; ``lost``: after it took effect.

``refused``: the database refuses what is appended for its content.
"""


class Give(Struct, frozen=True):
    """A batch of requests is handed to a writer, which works it when it is done with those before."""

    writer: int
    requests: tuple[Request, ...]


class Turn(Struct, frozen=True):
    """A writer is told the answer it waits for, and its next question reaches the database."""

    writer: int
    fate: Fate = "well"


class Fly(Struct, frozen=True):
    """The batch that a writer has decided ahead reaches the database, or the writer is told what came of it."""

    writer: int
    fate: Fate = "well"


class Crash(Struct, frozen=True):
    """A writer's process ends; another takes its place, remembering nothing."""

    writer: int


class Restart(Struct, frozen=True):
    """The database restarts: every connection breaks, what was not committed is gone."""


class Pass(Struct, frozen=True):
    """Time passes everywhere."""

    seconds: float


class Jump(Struct, frozen=True):
    """A clock is set: the database's (None) or a writer's."""

    writer: int | None
    seconds: float


class Look(Struct, frozen=True):
    """Somebody reads an account, its holds, or one hold: now, or as of ``back`` ends of requests ago.

    ``back_s``: as of a recorded time so long ago; for ``effective``, as of an effective time.
    """

    what: Literal["balance", "holds", "hold", "effective"]
    about: UUID
    back: int | None = None
    back_s: float | None = None


class Foreign(Struct, frozen=True):
    """Another release has written an account's state in its own format."""

    account_id: UUID


class Crowd(Struct, frozen=True):
    """So many refusals were kept for an account today that there is room for few more."""

    account_id: UUID


class Follow(Struct, frozen=True):
    """A process that runs followers goes on by one statement; an idle one takes a batch of some events."""

    process: int
    follower: int
    limit: int


class Die(Struct, frozen=True):
    """A process that runs followers ends; another takes its place."""

    process: int


Step: TypeAlias = Fly | Follow | Die | Crowd | Give | Turn | Crash | Restart | Pass | Jump | Look | Foreign

"""Tools: what may be asked of one, and the bounds that are checked before anything is held."""

from __future__ import annotations

from msgspec import Struct


class JobParams(Struct, frozen=True, kw_only=True):
    """What a customer asks for. Either ``width`` and ``height`` or ``aspect_ratio``; None takes the tool's default."""

    prompt: str
    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    aspect_ratio: str | None = None
    seed: int | None = None
    model: str | None = None
    quality: str | None = None
    images: int = 1
    tool: str = "txt2img"

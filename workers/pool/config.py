"""A node as it is configured."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec import Struct


class NodeConfig(Struct, frozen=True, kw_only=True):
    """One node. ``rate_micro_hour`` is what an hour of it costs us, in 10⁻⁶ of the book currency."""

    name: str
    url: str
    gpu_class: str = "standard"
    rate_micro_hour: int = 0


def configured(urls: tuple[str, ...], *, gpu_class: str = "standard") -> tuple[NodeConfig, ...]:
    """Nodes from the setting ``COMFYUI_NODES``; a URL's fragment names another class: ``http://gpu7:8188#large``."""
    return tuple(_node(url, gpu_class) for url in dict.fromkeys(urls))


def _node(url: str, gpu_class: str) -> NodeConfig:
    parts = urlsplit(url)
    bare = parts._replace(fragment="").geturl().rstrip("/")
    name = parts.hostname or "node"
    if parts.port:
        name = f"{name}:{parts.port}"
    return NodeConfig(name=name + parts.path.rstrip("/"), url=bare, gpu_class=parts.fragment or gpu_class)

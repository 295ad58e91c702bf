"""The three folders of a node (input, output, temp): names in, names out, and nobody leaves them."""

import io
import json
import mimetypes
import re
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

KINDS = ("input", "output", "temp")
_ANNOTATED = re.compile(r"^(.*) \[(input|output|temp)\]$")
_ACTIVE = frozenset({"text/html", "application/xhtml+xml", "text/javascript", "text/css", "image/svg+xml"})


class ForbiddenError(Exception):
    """A path that leaves its folder; `status` is how HTTP says so."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class Folders:
    """Files of one node under one data folder."""

    def __init__(self, root: Path) -> None:
        self._roots = {kind: (root / kind).resolve() for kind in KINDS}
        for folder in self._roots.values():
            folder.mkdir(parents=True, exist_ok=True)

    def inputs(self) -> list[str]:
        """List what LoadImage offers."""
        return sorted(path.name for path in self._roots["input"].iterdir() if path.is_file())

    def find_input(self, name: str) -> Path | None:
        """Find what LoadImage names: `a.png`, `folder/a.png`, `a.png [output]`; None if absent or outside."""
        plain, kind = self._annotated(name, "input")
        path = (self._roots[kind] / plain).resolve()
        return path if path.is_relative_to(self._roots[kind]) and path.is_file() else None

    @staticmethod
    def _annotated(name: str, kind: str) -> tuple[str, str]:
        match = _ANNOTATED.match(name)
        return (match[1], match[2]) if match else (name, kind)

    def view(self, filename: str, subfolder: str, kind: str) -> Path | None:
        """Find what GET /view names; None if absent."""
        filename, kind = self._annotated(filename, kind)
        if filename.startswith("/") or ".." in filename or kind not in KINDS:
            raise ForbiddenError(400)
        folder = (self._roots[kind] / subfolder).resolve()
        if not folder.is_relative_to(self._roots[kind]):
            raise ForbiddenError(403)
        path = folder / Path(filename).name
        return path if path.is_file() else None

    def upload(self, filename: str, content: bytes, subfolder: str, kind: str, *, overwrite: bool) -> dict[str, str]:
        """Store an upload; the same bytes keep the name, other bytes get a new one."""
        root = self._roots.get(kind, self._roots["input"])
        path = (root / subfolder / filename).resolve()
        if not filename or not path.is_relative_to(root):
            raise ForbiddenError(400)
        path.parent.mkdir(parents=True, exist_ok=True)
        first, tries = path, 0
        while not overwrite and path.exists() and path.read_bytes() != content:
            tries += 1
            path = first.with_name(f"{first.stem} ({tries}){first.suffix}")
        path.write_bytes(content)
        return {"name": path.name, "subfolder": subfolder, "type": kind}

    def save(self, prefix: str, suffix: str, content: bytes) -> tuple[Path, dict[str, str]]:
        """Store an output under the next free number of its prefix."""
        root = self._roots["output"]
        target = (root / prefix).resolve()
        if not target.is_relative_to(root) or target == root:
            text = "**** ERROR: Saving image outside the output folder is not allowed."
            raise ValueError(f"{text}\n full_output_folder: {target.parent}\n         output_dir: {root}")
        target.parent.mkdir(parents=True, exist_ok=True)
        taken = [re.match(re.escape(target.name) + r"_(\d{5})", path.name) for path in target.parent.iterdir()]
        number = 1 + max((int(match[1]) for match in taken if match), default=0)
        path = target.with_name(f"{target.name}_{number:05}{suffix}")
        path.write_bytes(content)
        folder = path.parent.relative_to(root).as_posix()
        return path, {"filename": path.name, "subfolder": "" if folder == "." else folder, "type": "output"}


def encode_png(image: Image.Image, texts: dict[str, Any]) -> bytes:
    """Encode as SaveImage does: the whole prompt goes into the file."""
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, json.dumps(value))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", pnginfo=info, compress_level=4)
    return buffer.getvalue()


def whole(path: Path) -> tuple[str, bytes]:
    """Give a file's type and bytes; what a browser might execute is only bytes."""
    kind = mimetypes.guess_type(path.name)[0]
    return "application/octet-stream" if kind is None or kind in _ACTIVE else kind, path.read_bytes()


def preview(path: Path, wanted: str) -> tuple[str, bytes]:
    """Re-encode for `preview=webp;80`."""
    (kind, _, quality), buffer = wanted.partition(";"), io.BytesIO()
    kind = "jpeg" if kind == "jpeg" else "webp"
    with Image.open(path) as image:
        image.convert("RGB").save(buffer, kind, quality=int(quality or 90))
    return f"image/{kind}", buffer.getvalue()

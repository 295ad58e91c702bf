"""What the stand-in says it has: the classes of `painting.NODES`, described by a cut of ComfyUI 0.33.0's own list."""

import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from workers.nodes.graphs import PARTS, NodeInfo, inputs_of
from workers.standin.painting import NODES


class Catalogue:
    """Classes and model files of this node; `lacks` names those that it shall not have."""

    def __init__(self, *, lacks: frozenset[str], inputs: Callable[[], list[str]]) -> None:
        everything = json.loads(files("workers.standin").joinpath("object_info.json").read_text("utf-8"))
        self._classes: dict[str, NodeInfo] = {name: everything[name] for name in NODES if name not in lacks}
        self._inputs = inputs
        parts = [inputs_of(info, part) for info in self._classes.values() for part in PARTS]
        for spec in (spec for part in parts for spec in part.values()):
            choices: Any = spec[1]["options"] if spec[0] == "COMBO" else spec[0]
            if not isinstance(choices, str):
                choices[:] = [choice for choice in choices if choice not in lacks]

    @property
    def classes(self) -> dict[str, NodeInfo]:
        """Describe all classes; LoadImage's choices are the files that are there now."""
        for name in {"LoadImage", "LoadImageMask"} & self._classes.keys():
            self._classes[name]["input"]["required"]["image"][0] = self._inputs()
        return self._classes

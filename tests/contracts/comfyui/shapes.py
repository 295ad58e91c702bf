"""Shapes of recorded answers, and the comparison of an answer with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / "data" / "comfyui"


def load(name: str) -> dict[str, Any]:
    return json.loads((DATA / name).read_text("utf-8"))


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "null" if value is None else "string"


def differences(shape: Any, value: Any, path: str = "$") -> list[str]:
    """Say where a value is not of the recorded shape: a key more or less, another type. Empty lists say nothing."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{path}: {type(value).__name__}, not an object"]
        if "*" in shape:
            return [text for key, item in value.items() for text in differences(shape["*"], item, f"{path}.{key}")]
        wrong = [f"{path}: without {key}" for key in shape.keys() - value.keys()]
        wrong += [f"{path}: {key} too much" for key in (value.keys() - shape.keys() if shape else ())]
        both = shape.keys() & value.keys()
        return wrong + [text for key in both for text in differences(shape[key], value[key], f"{path}.{key}")]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{path}: {type(value).__name__}, not a list"]
        return differences(shape[0], value[0], f"{path}[0]") if shape and value else []
    found = kind(value) if not isinstance(value, dict | list) else type(value).__name__
    return [] if found == shape else [f"{path}: {found}, not {shape}"]

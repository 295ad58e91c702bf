"""Refusals and failures of the jobs' side.

::

    WorkersError
    ├── InvalidInputs       invalid-inputs     what was asked is outside a tool's bounds; lists every problem
    ├── OrderRefused        the ledger's code  no hold: insufficient-credits, too-many-holds, … with its facts
    ├── JobUnknown          job-unknown        no such job in this organisation
    ├── OutputUnknown       output-unknown     no such output, or its file is gone
    ├── LinkInvalid         link-invalid       a signed link that is wrong or has ended
    ├── CatalogueInvalid    catalogue-invalid  a shipped tool is wrong: found at start, never at run time
    └── StoreUnavailable    store-unavailable  the object store does not answer (transient)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple


class Problem(NamedTuple):
    """One thing wrong with a request: a JSON pointer into it, and what is expected. Never echoes the input."""

    pointer: str
    detail: str


class WorkersError(Exception):
    """Anything that jobs refuse or fail at. ``transient``: the same may succeed later."""

    code: str = "workers-error"
    transient: ClassVar[bool] = False


class InvalidInputs(WorkersError):
    """Outside a tool's bounds. Nothing was held."""

    code = "invalid-inputs"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{pointer}: {detail}" for pointer, detail in problems))
        self.problems = problems


class OrderRefused(WorkersError):
    """The ledger refused the order. ``facts`` are its figures, e.g. ``required_ucr``, ``available_ucr``, ``held_ucr``.

    ``try_again`` says whether the same may succeed later; ``replayed`` whether this answer had been given before.
    """

    def __init__(self, code: str, facts: Mapping[str, Any], *, try_again: bool, replayed: bool) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts
        self.try_again = try_again
        self.replayed = replayed


class JobUnknown(WorkersError):
    """No such job in this organisation."""

    code = "job-unknown"


class OutputUnknown(WorkersError):
    """No such output, or its file is gone."""

    code = "output-unknown"


class LinkInvalid(WorkersError):
    """A signed link that was altered or has ended."""

    code = "link-invalid"


class CatalogueInvalid(WorkersError):
    """A tool of the catalogue does not hold together."""

    code = "catalogue-invalid"


class StoreUnavailable(WorkersError):
    """The object store does not answer; nothing is known about what was asked."""

    code = "store-unavailable"
    transient = True

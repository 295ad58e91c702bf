"""Fetch the declared outputs of a completed attempt and verify them."""

from collections.abc import Mapping

import msgspec

from workers.nodes.port import Completed, Executor, Fetched, FileMissing, OutputFile, TooLarge, Unreachable
from workers.outputs import OutputFault, OutputRefused, OutputRules, Picture, verify


def delivered(completed: Completed, node_ids: frozenset[str]) -> tuple[OutputFile, ...]:
    """List the files that the graph's declared output nodes kept; temporary and input files are none of ours."""
    return tuple(file for file in completed.outputs if file.node_id in node_ids and file.type == "output")


def collect(
    executor: Executor, completed: Completed, declared: Mapping[str, int], rules: OutputRules
) -> tuple[Picture, ...] | OutputRefused | Unreachable:
    """Fetch and verify; `declared` says how many files each output node must have, and replaces `rules.count`.

    `Unreachable` means that the node went away in between: look the attempt up again, its outcome is not known.
    """
    files = delivered(completed, frozenset(declared))
    wanted = sum(declared.values())
    for node_id, count in declared.items():
        have = sum(file.node_id == node_id for file in files)
        if have != count:
            fault = OutputFault.TOO_FEW if have < count else OutputFault.TOO_MANY
            return OutputRefused(fault=fault, index=-1, detail=f"{have} of {count} from {node_id}")
    contents: list[bytes] = []
    for index, file in enumerate(files):
        answer = executor.fetch(file, bytes_max=rules.bytes_max)
        match answer:
            case Fetched(content=content):
                contents.append(content)
            case FileMissing(reason=reason):
                return OutputRefused(fault=OutputFault.MISSING, index=index, detail=reason)
            case TooLarge(bytes_max=bytes_max):
                return OutputRefused(fault=OutputFault.TOO_LARGE, index=index, detail=f"over {bytes_max} bytes")
            case Unreachable():
                return answer
    return verify(contents, msgspec.structs.replace(rules, count=wanted))

"""Errors in the words of the command line: fields of the API become the options that set them.

A field whose option is called otherwise is added to `OPTIONS`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from thumbwheel.errors import InvalidInput, ThumbwheelError

OPTIONS: Final = MappingProxyType(
    {
        "edit.label": "--correct",
        "edit.text": "--correct",
        "comment": "--comment",
        "reasons": "--reason",
        "sampling.temperature": "--temperature",
        "sampling.max_new_tokens": "--max-new-tokens",
        "user.id": "--user",
    }
)
_ELSEWHERE: Final = MappingProxyType({"which DescribePolicy lists": "which `thumbwheel ask TEXT --json` lists"})


def worded(error: ThumbwheelError) -> str:
    """Return what to show of an error. `reasons[1]` is a field of the list `reasons`."""
    if type(error) is not InvalidInput:  # a line of a file, or a setting, is called what its owner called it
        return str(error)
    problem = error.problem
    for theirs, ours in _ELSEWHERE.items():
        problem = problem.replace(theirs, ours)
    return str(InvalidInput(OPTIONS.get(error.field.partition("[")[0], error.field), problem))

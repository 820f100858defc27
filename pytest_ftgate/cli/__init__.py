"""The command `pytest-ftgate`."""

from __future__ import annotations

from typing import NamedTuple


class VerbOutput(NamedTuple):
    """The lines that a verb prints, and its exit code."""

    lines: tuple[str, ...]
    exit_code: int = 0

"""What the content of one reply is worth, and what marks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pytest_ftgate.suite.rules import Rule

__all__ = ["NOTHING", "RIGHT", "WRONG", "Mark", "Scorer", "judged"]


class Mark(NamedTuple):
    """How far a reply says what is expected.

    Attributes:
        value: 0 to 1, or None where nothing is expected.
        why: what is wrong with it, where its text and the expected one do not show it.
    """

    value: float | None
    why: str = ""


RIGHT = Mark(1.0)
WRONG = Mark(0.0)
NOTHING = Mark(None)

#: Marks the text of a reply by the accepted answers and the options of its rule.
Scorer = Callable[[str, list[Any], Rule], Mark]


def judged(right: bool) -> Mark:  # noqa: FBT001 - the one thing it reads
    """Return the mark of a reply that is right, or of one that is not."""
    return RIGHT if right else WRONG

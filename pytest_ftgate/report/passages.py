"""What was retrieved for a case, as a reader of its failure sees it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pytest_ftgate.gate.verdict import Flip
from pytest_ftgate.report.quote import quoted, visible

__all__ = ["passage_lines"]

#: Columns for one passage: 80 less indent, bar and label.
_ROOM = 62
#: How many passages are shown by default; -vv shows all.
_FEW = 2


def passage_lines(flip: Flip, verbosity: int = 0) -> Iterator[str]:
    """Yield a line for each passage shown with the case, and whether one holds the answer."""
    if not flip.passages and flip.answered_in is None:
        return
    every = [textwrap.shorten(visible(one), _ROOM, placeholder=" …") for one in flip.passages]
    shown = every if verbosity > 1 else every[:_FEW]
    text = "\n".join(shown) or "none was found"
    yield from quoted("passages", text, indent=6, lines=max(1, len(shown)))
    if every and flip.answered_in is not None:
        yield from quoted("", _answer(flip), indent=6)


def _answer(flip: Flip) -> str:
    count = len(flip.passages)
    if flip.answered_in:
        return f"the answer is in passage {flip.answered_in} of {count}"
    return (
        f"the answer is in none of the {count} passages" if count > 1 else "the answer is not in it"
    )

"""What a model did with its tools, one line a use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_ftgate.report.quote import quoted, visible

__all__ = ["calls"]

#: From this verbosity on every use is shown, and whole.
_ALL = 2
_MOST = 3
#: Characters of a line, and lines of a use that is shown whole.
_ROOM, _LINES = 62, 6


def calls(uses: Sequence[str], verbosity: int) -> Iterator[str]:
    """Yield the lines that show *uses*, each the call and what came of it.

    Args:
        uses: in their order, each in one line.
        verbosity: 2 shows all of them; below that it is the first three, cut to a line.
    """
    if verbosity >= _ALL:
        for index, use in enumerate(uses):
            yield from quoted(_label(index), use, indent=6, lines=_LINES)
        return
    shown = [_cut(use) for use in uses[:_MOST]]
    left = len(uses) - len(shown)
    more = [f"({left} more call{'s' * (left > 1)}: -vv)"] if left else []
    for index, line in enumerate([*shown, *more]):
        yield from quoted(_label(index), line, indent=6, lines=1)


def _label(index: int) -> str:
    return "" if index else "called"


def _cut(use: str) -> str:
    line = visible(use).replace("\n", " ")
    return line if len(line) <= _ROOM else f"{line[: _ROOM - 1]}…"

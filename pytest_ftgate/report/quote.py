"""Foreign text at the border: a reply is hostile wherever it is printed."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Iterator

__all__ = ["guarded", "quoted", "visible"]


def visible(text: str) -> str:
    r"""Return *text* with control and direction characters written out, as in ``\x1b``."""
    return "".join(c if c == "\n" or not _acts(c) else _written(c) for c in text)


def _acts(character: str) -> bool:
    # Cc: terminal control; Cf: among others the marks that turn the direction of text.
    return unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Cs")


def _written(character: str) -> str:
    return " " if character == "\t" else character.encode("unicode_escape", "replace").decode()


def guarded(text: str) -> str:
    """Return *text* visible, each line after the first behind a bar, so that none can act."""
    first, *others = visible(text).split("\n")
    return "\n".join([first, *(f"│ {line}" for line in others)])


def quoted(label: str, text: str, *, indent: int, width: int = 80, lines: int = 4) -> Iterator[str]:
    """Yield *text* in lines that all begin with a bar, so that no line of it can act.

    Args:
        label: what the text is, in the first line.
        text: foreign text.
        indent: blanks before the bar.
        width: columns to keep within.
        lines: how many lines at the most.
    """
    head = f"{' ' * indent}│ "
    room = width - len(head) - 10
    parts = [
        piece for line in visible(text).split("\n") for piece in (textwrap.wrap(line, room) or [""])
    ]
    while parts and not parts[-1]:
        parts.pop()
    if len(parts) > lines:
        parts = [*parts[: lines - 1], f"… {len(parts) - lines + 1} more lines"]
    for index, part in enumerate(parts or ["(empty)"]):
        yield f"{head}{label if index == 0 else '':<10}{part}".rstrip()

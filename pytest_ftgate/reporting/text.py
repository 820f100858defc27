"""Hostile text made safe to print, and word-by-word differences."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

__all__ = ["guarded", "quoted", "visible", "word_diff"]


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


#: With fewer words in common than this share of the expected ones, a reader sees more without.
_ALIKE = 1 / 3
_FEWEST, _MOST = 3, 400
#: Equal words in a row beyond which only the first and the last are shown.
_RUN = 8


def word_diff(expected: str, said: str) -> str:
    """Return both texts as one: ``[-left out-]`` and ``{+put in+}``; "" where it would not help.

    Where several answers are right, the one that is most like what was said counts.
    """
    words = said.split()
    made = [_Match.of(one.split(), words) for one in expected.split(" | ")]
    found = [one for one in made if one is not None]
    return " ".join(max(found, key=lambda one: one.alike).marked()) if found else ""


class _Match(NamedTuple):
    """Two texts as words, how alike they are, and how one becomes the other."""

    expected: list[str]
    said: list[str]
    alike: float
    steps: Sequence[tuple[str, int, int, int, int]]

    @classmethod
    def of(cls, expected: list[str], said: list[str]) -> _Match | None:
        if not _FEWEST <= len(expected) <= _MOST or len(said) > _MOST or expected == said:
            return None
        matcher = SequenceMatcher(None, expected, said, autojunk=False)
        same = sum(block.size for block in matcher.get_matching_blocks())
        if same < _ALIKE * len(expected):
            return None
        return cls(expected, said, matcher.ratio(), matcher.get_opcodes())

    def marked(self) -> Iterator[str]:
        expected, said = ([_plain(word) for word in one] for one in (self.expected, self.said))
        for kind, start, end, first, last in self.steps:
            if kind == "equal":
                same = expected[start:end]
                yield from [*same[:3], "…", *same[-3:]] if len(same) > _RUN else same
                continue
            if end > start:
                yield f"[-{' '.join(expected[start:end])}-]"
            if last > first:
                yield f"{{+{' '.join(said[first:last])}+}}"


def _plain(word: str) -> str:
    """Return *word* with marks of its own broken up, so that none passes for ours."""
    return re.sub(r"(?<=[\[{])(?=[-+])|(?<=[-+])(?=[\]}])", "\\\\", word)

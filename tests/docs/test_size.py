"""The documentation stays short: its pages, its words, and the lines of the README."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
#: Made from the code, or read by contributors alone.
NOT_COUNTED = ("reference/", "contributing/", "weight.md")
MOST_PAGES = 35
MOST_WORDS = 40_000
MOST_LINES_OF_THE_README = 120


def words(text: str) -> int:
    """Return how many words a text has: what stands between spaces and holds a letter."""
    return sum(bool(re.search(r"[^\W\d_]", part)) for part in text.split())


def counted() -> dict[str, int]:
    """Return the words of each page that users read."""
    pages = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
    return {
        name: words(path.read_text("utf-8"))
        for name, path in pages.items()
        if not name.startswith(NOT_COUNTED)
    }


def test_a_word_holds_a_letter():
    assert words("a `b` | 12 | -- 3x\nç _") == 4


def test_the_pages_are_few():
    assert len(counted()) <= MOST_PAGES, sorted(counted())


def test_the_words_are_few():
    assert sum(counted().values()) <= MOST_WORDS, counted()


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= MOST_LINES_OF_THE_README

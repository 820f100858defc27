"""Pages of the documentation, beside what is typed and printed."""

from __future__ import annotations

from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    """Return the text of a page, such as ``how-to/accept``."""
    return (DOCS / f"{name}.md").read_text("utf-8")


def assert_shows(result: pytest.RunResult, screen: str, *, consecutive: bool = False) -> None:
    """Assert that a run printed the lines of *screen*, in which a star is the only wildcard."""
    lines = [line.replace("[", "[[]") for line in screen.splitlines() if line or consecutive]
    result.stdout.fnmatch_lines(lines, consecutive=consecutive)

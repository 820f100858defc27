"""Patterns of an author: whether they are any, and looked for without hanging on a reply."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_ftgate.errors import ScorerError

if TYPE_CHECKING:
    from regex import Match, Pattern

__all__ = ["pattern_fault", "search"]

#: Seconds that a pattern may take on one text; a usual one takes microseconds.
_LIMIT = 1.0


def search(pattern: str, text: str) -> Match[str] | None:
    """Return where *pattern* is found first in *text*, or None where it is not.

    Raises:
        ScorerError: it took longer than a second, as a pattern that repeats a repetition may.
    """
    try:
        return _compiled(pattern).search(text, timeout=_LIMIT)
    except TimeoutError as error:
        told = f"{pattern!r} took longer than {_LIMIT:g} s on a reply"
        raise ScorerError(f"{told}; write it without a repetition inside another") from error


def pattern_fault(pattern: str) -> str | None:
    """Say why *pattern* is no regular expression, or return None."""
    import regex

    try:
        _compiled(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        return f"{pattern!r} is not a pattern: {error}"
    return None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> Pattern[str]:
    # The standard library's engine has no limit of time.
    import regex

    return regex.compile(pattern)

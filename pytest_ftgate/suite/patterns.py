"""Regular expressions of an author's own: compiled once, and never left to run for long."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

__all__ = ["LONGEST", "compiled", "found", "pattern_fault"]

#: Seconds after which a search is given up. An honest pattern reads a megabyte in a tenth of it.
LONGEST = 1.0


@lru_cache(maxsize=4096)
def compiled(pattern: str) -> Any:
    """Return *pattern* compiled.

    Raises:
        regex.error: it is none.
    """
    # Not re: a search of its cannot be given up, and some patterns take longer than a life.
    import regex

    return regex.compile(pattern)


def found(pattern: str, text: str) -> bool:
    """Tell whether *pattern* is found anywhere in *text*.

    Raises:
        TimeoutError: the search took longer than *LONGEST*.
    """
    return compiled(pattern).search(text, timeout=LONGEST) is not None


def pattern_fault(pattern: str) -> str | None:
    """Say why *pattern* is no regular expression, or return None."""
    import regex

    try:
        compiled(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        return f"{pattern!r} is not a pattern: {error}"
    return None

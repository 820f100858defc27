"""Code fences in a reply, of which the last holds what it comes to."""

from __future__ import annotations

import re
import textwrap

__all__ = ["last_fenced"]

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def last_fenced(text: str) -> str | None:
    """Return what stands in the last code fence of *text*, or None where there is none.

    A fence that is not closed reaches to the end.
    """
    found, inside, mark = None, list[str](), ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if not mark and fence:
            mark, inside = fence[1], []
            found = inside
        elif fence and fence[1].startswith(mark) and not fence[2].strip():
            mark = ""
        elif mark:
            inside.append(line)
    return None if found is None else textwrap.dedent("\n".join(found))

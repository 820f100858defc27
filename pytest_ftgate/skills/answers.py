"""Where in a reply the answer stands: the sentence that states it, or the code."""

from __future__ import annotations

import re

#: The end of a sentence: a mark that a space follows, or the end of a line. A point after a number
#: at the start of a line ends none, nor does one after a single letter.
_SENTENCE_END = re.compile(r"(?<![A-Z])(?<!^\d)(?<!\n\d)[.!?][\"'”’)*]*(?=\s)|\n", re.MULTILINE)
_FENCE = "```"


def sentence_end(text: str) -> int | None:
    """Return where the answer of *text* ends, or None if *text* may go on with it.

    The answer is the first sentence. Space before it does not count.
    """
    start = len(text) - len(text.lstrip())
    match = _SENTENCE_END.search(text, start)
    return match.end() if match else None


def code_end(text: str) -> int | None:
    """Return where the first block of code in *text* ends, or None if it has not ended."""
    start = text.find(_FENCE)
    end = text.find(f"\n{_FENCE}", start + len(_FENCE)) if start >= 0 else -1
    return end + 1 + len(_FENCE) if end >= 0 else None

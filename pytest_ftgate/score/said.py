"""What all replies of a variant have in common: their lengths, refusals, and the same text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.score.wording import refuses

__all__ = ["Said", "said"]


@dataclass(frozen=True, slots=True)
class Said:
    """What is known of replies; their texts may be too many to hold.

    Attributes:
        words, letters: how long each is that says something, without white space around it.
        commonest: how many of these are the same text at most.
        refusals: how many of all replies decline.
        replies: how many there are.
    """

    words: Sequence[int]
    letters: Sequence[int]
    commonest: int
    refusals: int
    replies: int


def said(replies: Iterable[Reply]) -> Said:
    """Return what *replies* have in common, each of which is read once."""
    words, letters, marks = list[int](), list[int](), Counter[int]()
    refusals = count = 0
    for reply in replies:
        whole = reply.text
        text = whole.strip()
        count += 1
        refusals += reply.stop == "refusal" or refuses(whole)
        if text:
            words.append(len(text.split()))
            letters.append(len(text))
            marks[hash(text)] += 1
    return Said(words, letters, max(marks.values(), default=0), refusals, count)

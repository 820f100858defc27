"""Statistics of many replies: their lengths, refusals, and the most frequent text."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import looks_like_refusal

_TEXT_AND_STOP = attrgetter("text", "stop")
#: The most replies whose texts are in memory at once.
_READ_AT_ONCE = 250


@dataclass(frozen=True, slots=True)
class ReplyStats:
    """Statistics of many replies, without their texts.

    Attributes:
        word_counts, character_counts: how many replies that are not blank have each length, without
            outer white space.
        written_count: the number of replies that are not blank.
        most_common_count: how often the most frequent text occurs among these; 0 if all differ.
        refusal_count: how many of all replies are refusals.
        reply_count: the number of all replies.
    """

    word_counts: Counter[int]
    character_counts: Counter[int]
    written_count: int
    most_common_count: int
    refusal_count: int
    reply_count: int


def reply_stats(replies: Iterable[Reply]) -> ReplyStats:
    """Return the statistics of *replies*."""
    words, characters = Counter[int](), Counter[int]()
    # Arrays, since most long texts are different.
    total, refusals, hashes, hash_counts = 0, 0, array("q"), array("q")
    rest = map(_TEXT_AND_STOP, replies)
    # Many texts are the same, and are measured together.
    while counts := Counter(islice(rest, _READ_AT_ONCE)):
        for (text, stop), count in counts.items():
            total += count
            stripped = text.strip()
            refusals += count if stop == "refusal" or looks_like_refusal(text) else 0
            if stripped:
                words[len(stripped.split())] += count
                characters[len(stripped)] += count
                hashes.append(hash(stripped))
                hash_counts.append(count)
    return ReplyStats(
        word_counts=words,
        character_counts=characters,
        written_count=words.total(),
        most_common_count=_largest_total(hashes, hash_counts),
        refusal_count=refusals,
        reply_count=total,
    )


def _largest_total(keys: array[int], counts: array[int]) -> int:
    """Return the largest sum of the *counts* of one key; 0 if no key counts more than once."""
    import numpy as np

    _, numbers = np.unique(keys, return_inverse=True)
    largest = int(np.bincount(numbers, weights=counts).max(initial=0))
    return largest if largest > 1 else 0

"""Statistics of many replies: their lengths, refusals, and the most frequent text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.scoring.formats import looks_like_refusal

_TEXT, _STOP, _WORDS, _CHARACTERS = map(attrgetter, ("text", "stop", "words", "characters"))


@dataclass(frozen=True, slots=True)
class ReplyStats:
    """Statistics of many replies, without their texts, which may not fit into memory.

    Attributes:
        word_counts, character_counts: the length of each reply that is not blank, without outer
            white space.
        most_common_count: how often the most frequent text occurs among these.
        refusal_count: how many of all replies are refusals.
        reply_count: the number of all replies.
    """

    word_counts: Sequence[int]
    character_counts: Sequence[int]
    most_common_count: int
    refusal_count: int
    reply_count: int


class _TextStats(NamedTuple):
    """One text without outer white space: its hash, its length, and whether it is a refusal."""

    key: int
    words: int
    characters: int
    is_refusal: bool


def reply_stats(replies: Sequence[Reply]) -> ReplyStats:
    """Return the statistics of *replies*. Each text is measured once, as many are the same."""
    keys, stops = [*map(hash, map(_TEXT, replies))], [*map(_STOP, replies)]
    distinct = dict(zip(keys, replies, strict=True))
    measured = {key: _text_stats(reply.text) for key, reply in distinct.items()}
    counts, refused, texts = Counter(keys), Counter[int](), Counter[int]()
    if "refusal" in stops:
        refused.update(key for key, stop in zip(keys, stops, strict=True) if stop == "refusal")
    for key, found in measured.items():
        texts[found.key] += counts[key] if found.words else 0
    answers = [*filter(_WORDS, map(measured.__getitem__, keys))]
    return ReplyStats(
        word_counts=[*map(_WORDS, answers)],
        character_counts=[*map(_CHARACTERS, answers)],
        most_common_count=max(texts.values(), default=0),
        refusal_count=sum(
            counts[key] if text.is_refusal else refused[key] for key, text in measured.items()
        ),
        reply_count=len(keys),
    )


def _text_stats(text: str) -> _TextStats:
    stripped = text.strip()
    key, words = hash(stripped), len(stripped.split())
    return _TextStats(key, words, len(stripped), looks_like_refusal(text))

"""How alike a reply and an expected text are, from 0 to 1."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from pytest_ftgate.score.mark import Mark
from pytest_ftgate.suite.rules import Rule

__all__ = ["similarity"]

#: Of longer texts the beginning is compared: likeness costs the product of the lengths.
_LONGEST = 50_000
_WORD = re.compile(r"\w+")


def similarity(text: str, accepted: list[Any], rule: Rule) -> Mark:
    """Mark *text* by its likeness to the nearest of *accepted*; with ``min`` as right or wrong."""
    likeness = _WAYS[rule.options.get("by", "ratio")]
    found = max(likeness(text[:_LONGEST], answer[:_LONGEST]) for answer in accepted)
    least = rule.options.get("min")
    if least is None:
        return Mark(found, f"similarity {found:.2f}" if found < 1 else "")
    if found >= least:
        return Mark(1.0)
    return Mark(0.0, f"similarity {found:.2f}, below {least:g}")


def _ratio(one: str, other: str) -> float:
    from rapidfuzz.distance import Indel

    return float(Indel.normalized_similarity(one, other))


def _rouge(one: str, other: str) -> float:
    """Return the F-measure of ROUGE-L: the longest common subsequence of words."""
    from rapidfuzz.distance import LCSseq

    mine, theirs = (_WORD.findall(text.casefold()) for text in (one, other))
    if not mine or not theirs:
        return float(mine == theirs)
    return float(2 * LCSseq.similarity(mine, theirs) / (len(mine) + len(theirs)))


def _tfidf(one: str, other: str) -> float:
    if not _WORD.search(one) or not _WORD.search(other):
        return float(one.strip() == other.strip())
    table = _vectorizer().fit_transform([one, other])
    # Both rows are of length 1; rounding may take the product beyond it.
    return min(1.0, float((table[0] @ table[1].T).toarray()[0, 0]))


@cache
def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(token_pattern=r"\w+")  # noqa: S106 - tokens are words


_WAYS: Mapping[str, Callable[[str, str], float]] = {
    "ratio": _ratio,
    "rouge": _rouge,
    "tfidf": _tfidf,
}

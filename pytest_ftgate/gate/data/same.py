"""Texts that say the same, and texts that say nearly the same, found among thousands at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pytest_ftgate.suite.alike import in_order

__all__ = ["near_pairs", "normalised"]

#: So many texts are held against all others in one step, which bounds the memory.
_STEP = 512


def normalised(text: str) -> str:
    """Return the words of *text* in lower case, without punctuation around them."""
    words = (_bare(word) for word in text.lower().split())
    return " ".join(filter(None, words)) or text.strip()


def _bare(word: str) -> str:
    start, end = 0, len(word)
    while start < end and unicodedata.category(word[start])[0] == "P":
        start += 1
    while end > start and unicodedata.category(word[end - 1])[0] == "P":
        end -= 1
    return word[start:end]


def near_pairs(
    texts: Sequence[str], others: Sequence[str] | None = None, *, share: float = 0.8
) -> Iterator[tuple[int, int]]:
    """Yield the numbers of texts that share so many of all their different words.

    Every pair is found (Jaccard on sets of words, by sparse matrices), in a time that grows with
    how many texts a word is in, and not with how alike the texts are.

    Args:
        texts: what is looked at.
        others: what they are held against; by default each text against those before it.
        share: 0 to 1.
    """
    mine, theirs = _tables(texts, texts if others is None else others)
    sizes, others_sizes = (np.diff(one.indptr) for one in (mine, theirs))
    turned = theirs.T.tocsr()
    for start in range(0, len(texts), _STEP):
        both = (mine[start : start + _STEP] @ turned).tocoo()
        row, column, common = both.row + start, both.col, both.data
        wanted = common >= share * (sizes[row] + others_sizes[column] - common) - 1e-9
        if others is None:
            wanted &= column < row
        yield from zip(row[wanted].tolist(), column[wanted].tolist(), strict=True)


def _tables(
    texts: Iterable[str], others: Iterable[str]
) -> tuple[csr_matrix[np.int32], csr_matrix[np.int32]]:
    """Return which words are in which text: tables of shape (texts, words)."""
    known: dict[str, int] = {}
    rows = [_numbers(texts, known), _numbers(others, known)]
    first, second = (
        csr_matrix((np.ones(len(at), np.int32), at, ends), shape=(len(ends) - 1, len(known) or 1))
        for at, ends in rows
    )
    return first, second


def _numbers(
    texts: Iterable[str], known: dict[str, int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    at: list[int] = []
    ends = [0]
    for text in texts:
        # In their order and not that of a set, which differs from run to run.
        at += [known.setdefault(word, len(known)) for word in dict.fromkeys(in_order(text))]
        ends.append(len(at))
    return np.array(at, np.int32), np.array(ends, np.int32)

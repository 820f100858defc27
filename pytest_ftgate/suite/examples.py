"""Worked examples from a file: which of them a variant shows."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

from pytest_ftgate.suite.declared import DeclaredExamples
from pytest_ftgate.suite.model import Shot
from pytest_ftgate.suite.shapes import Example

__all__ = ["chosen", "most_like"]

#: Texts that are at least so alike are the same for a model (cosine of TF-IDF of letters).
_SAME = 0.9


def chosen(pool: Sequence[Example], examples: DeclaredExamples) -> list[Example]:
    """Return the examples that every case is shown; for ``similar`` all that may be.

    ``per_label`` takes as many of each label as *shots* says, in the order of the file.
    """
    if examples.choose == "random":
        chance = random.Random(examples.seed)  # noqa: S311 - it only has to be repeatable
        return chance.sample(pool, min(len(pool), examples.shots))
    if examples.choose == "similar":
        return list(pool)
    if examples.choose == "first":
        return list(pool[: examples.shots])
    return list(_of_each_label(pool, examples.shots))


def _of_each_label(pool: Iterable[Example], shots: int) -> Iterable[Example]:
    seen: Counter[str | None] = Counter()
    for one in pool:
        seen[one.answer] += 1
        if seen[one.answer] <= shots:
            yield one


def most_like(pool: tuple[Shot, ...], text: str, count: int) -> list[Shot]:
    """Return the *count* examples most like *text*, the most alike last, nearest to the case.

    An example that is the case itself, or nearly, would show its answer, and is left out.
    """
    vectorizer, table = _read(pool)
    alike = (table @ vectorizer.transform([text]).T).toarray().ravel()
    ranked = sorted(range(len(pool)), key=lambda index: (-alike[index], index))
    return [pool[index] for index in ranked if alike[index] < _SAME][:count][::-1]


@lru_cache(maxsize=8)
def _read(pool: tuple[Shot, ...]):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    return vectorizer, vectorizer.fit_transform(shot.shown for shot in pool)

"""Labels that rows like them do not have: found by a classifier that has not seen the row."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_ftgate.gate.data.finding import Finding, Item, Severity
from pytest_ftgate.gate.words import counted

__all__ = ["doubtful"]

#: Each third of the rows is told by a classifier that has learned from the other two.
_FOLDS = 3
_SEED = 0
_STRENGTH = 10.0
#: A label is in doubt where another one is so many times as likely.
_TIMES = 10.0
#: From this share of the rows on it is a warning; fewer may well be hard, and not wrong.
_MANY = 0.01


def doubtful(taught: Sequence[Item]) -> Iterator[Finding]:
    """Yield the rows of a labelled file whose label another one beats by far.

    Nothing is said where the classifier itself is not half-way from guessing to always right.

    Args:
        taught: rows that are answered with labels.
    """
    times = Counter(item.answer for item in taught)
    rows = [item for item in taught if times[item.answer] >= _FOLDS]
    names, own = np.unique([item.answer or "" for item in rows], return_inverse=True)
    if len(names) < 2:  # noqa: PLR2004 - one label is never taken for another
        return
    likely = _likely([item.example.shown for item in rows], own)
    best = likely.argmax(axis=1)
    guessed = np.bincount(own).max() / len(own)
    if (best == own).mean() < (1.0 + guessed) / 2.0:
        return
    at = np.arange(len(own))
    odds = likely[at, best] / np.maximum(likely[at, own], np.finfo(float).tiny)
    found = np.flatnonzero(odds >= _TIMES)
    if found.size:
        first = found[odds[found].argmax()]
        shown = f"line {rows[first].line}: {names[own[first]]}, and not {names[best[first]]}"
        yield _finding([rows[i].line for i in found], shown, found.size / len(rows))


def _likely(texts: Sequence[str], own: NDArray[Any]) -> NDArray[np.float64]:
    """Return how likely each label is, of shape (texts, labels), by the other texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    try:
        table = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit_transform(texts)
    except ValueError:  # there is no word in any of them
        return np.zeros((len(texts), int(own.max()) + 1))
    fit = SGDClassifier(
        loss="log_loss",
        alpha=1 / (_STRENGTH * len(texts)),
        max_iter=20,
        tol=1e-2,
        random_state=_SEED,
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    with warnings.catch_warnings():
        # A fit that ran out of rounds is worse, and then says nothing.
        warnings.simplefilter("ignore")
        found = cross_val_predict(fit, table.tocsr(), own, cv=folds, method="predict_proba")
    return np.asarray(found, np.float64)


def _finding(lines: Sequence[int], shown: str, share: float) -> Finding:
    verb = "is" if len(lines) == 1 else "are"
    return Finding(
        kind="doubtful label",
        severity=Severity.WARNING if share >= _MANY else Severity.NOTE,
        told=f"{counted(len(lines), 'row')} {verb} labelled otherwise than rows like them; the "
        f"clearest is {shown}",
        count=len(lines),
        lines=tuple(sorted(lines)),
        next="read them: a wrong label is learned as well as a right one",
    )

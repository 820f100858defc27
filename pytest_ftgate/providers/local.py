"""Providers without a language model: a Python function, and a classifier on the training file."""

from __future__ import annotations

import asyncio
import inspect
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import Denied, Refused, Unavailable
from pytest_ftgate.readers.source import Source
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call
from pytest_ftgate.suite.references import function
from pytest_ftgate.suite.training_data import training_rows

__all__ = ["Classical", "PythonFunction", "open_provider"]


class PythonFunction:
    """Calls ``function(case)``, which returns the reply's text and may be async."""

    def __init__(self, called: Callable[..., Any], name: str) -> None:
        self._called, self._name = called, name
        self._is_async = inspect.iscoroutinefunction(called)
        # A plain function may share state between calls, so it is never run twice at once.
        self.concurrency = 16 if self._is_async else 1
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ftgate-python")

    async def ask(self, call: Call) -> Reply:
        """Return what the function says.

        Raises:
            Refused: it raised, or returned something that is not text.
        """
        start = time.perf_counter()
        try:
            if self._is_async:
                text = await self._called(call.case)
            else:
                loop = asyncio.get_running_loop()
                text = await loop.run_in_executor(self._pool, self._called, call.case)
        # Also what is no Exception: sys.exit and pytest.fail must not end the loop awaiting this.
        except BaseException as error:
            raise Refused(f"{self._name} raised {type(error).__name__}: {error}") from error
        if not isinstance(text, str):
            raise Denied(f"{self._name} returned {type(text).__name__}; it must return text")
        return Reply(text=text, seconds=time.perf_counter() - start)

    def serves(self, call: Call) -> bool:
        """Serve the calls that name the same function."""
        return call.function == self._name

    async def close(self) -> None:
        """Let the thread end."""
        self._pool.shutdown(wait=False)


def open_provider(calls: Sequence[Call], environ: Mapping[str, str]) -> PythonFunction | Classical:
    """Open the provider that *calls* name.

    Raises:
        Unavailable: the function cannot be imported, or there is too little to learn from.
    """
    if calls[0].provider == "python":
        return _open_python(calls, environ)
    return _open_classical(calls, environ)


def _open_python(calls: Sequence[Call], environ: Mapping[str, str]) -> PythonFunction:
    """Import the function that *calls* name.

    Raises:
        Unavailable: it cannot be imported.
    """
    del environ
    reference = calls[0].function
    if reference is None:
        raise Unavailable("a python variant needs a function")
    return PythonFunction(function(reference, calls[0].origin), reference)


#: Strengths of the fit that are tried, weakest first (C of logistic regression).
_STRENGTHS = (1.0, 3.0, 10.0, 30.0)
_FOLDS = 3
#: So many labels are named that have too few rows.
_NAMED = 5
_SEED = 0


class Classical:
    """Answers a case with the label that a classifier gives its input."""

    concurrency = 1

    def __init__(self, path: Path, model: Any) -> None:
        self._path, self._model = path, model

    async def ask(self, call: Call) -> Reply:
        """Return the label.

        Raises:
            Refused: the call is for no case.
        """
        if call.case is None:
            raise Refused("a classifier answers cases alone")
        labels = await asyncio.to_thread(self._model.predict, [call.case.shown])
        return Reply(text=str(labels[0]))

    def serves(self, call: Call) -> bool:
        """Serve the calls that learn from the same file."""
        return call.training == self._path

    async def close(self) -> None:
        """Have nothing to let go of."""


def _open_classical(calls: Sequence[Call], environ: Mapping[str, str]) -> Classical:
    """Learn from the training file that *calls* name.

    Raises:
        Unavailable: there is too little in it to learn from.
    """
    del environ
    path = calls[0].training
    if path is None:
        raise Unavailable("a classical variant needs training_data")
    return Classical(path, _learned(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=4)
def _learned(path: Path, changed: int) -> Any:
    """Choose the strength by cross-validation, then learn from all rows."""
    del changed  # only there so that an edited file is learned from again
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline

    texts, labels = _taught(path)
    if lacking := _lacking(Counter(labels)):
        raise Unavailable(f"{path.name}: {lacking}")
    features = _features()
    table = features.fit_transform(texts).tocsr()
    # The smoothing of stochastic gradient descent is 1 / (C n).
    grid = {"alpha": [1 / (strength * len(texts)) for strength in _STRENGTHS]}
    fit = SGDClassifier(loss="log_loss", max_iter=30, random_state=_SEED)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    with warnings.catch_warnings():
        # A fit that ran out of rounds is worse, not wrong, and loses the choice by itself.
        warnings.simplefilter("ignore")
        found = GridSearchCV(fit, grid, cv=folds).fit(table, labels)
    return make_pipeline(features, found.best_estimator_)


def _lacking(rows: Mapping[str, int]) -> str:
    """Say which labels a classifier cannot learn from so many rows of each; "" for none."""
    if len(rows) < 2:  # noqa: PLR2004 - one label needs no classifier
        return f"a classifier needs two labels, and the rows have {len(rows)}"
    rare = [f'"{label}" has {count}' for label, count in rows.items() if count < _FOLDS]
    told = ", ".join(rare[:_NAMED]) + ", …" * (len(rare) > _NAMED)
    return f"a classifier needs {_FOLDS} rows of each label: {told}; add rows" if rare else ""


def _features() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    return make_union(words, letters)


def _taught(path: Path) -> tuple[list[str], list[str]]:
    """Return the texts of the training file and the label of each."""
    source = Source(root=path.parent, path=path)
    found = training_rows(source, path)
    if source.faults:
        raise Unavailable(str(source.faults[0]))
    pairs = [(one.shown, one.answer) for one in found if one.teaches and one.answer is not None]
    return [text for text, _ in pairs], [label for _, label in pairs]

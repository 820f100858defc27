"""Providers without a language model: a Python function, and a classifier on the training file."""

from __future__ import annotations

import asyncio
import inspect
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError, ProviderRejected, RequestRejected
from pytest_ftgate.providers.base import Provider
from pytest_ftgate.readers.memory import reads_once
from pytest_ftgate.readers.source import Source
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.function_references import IMPORT_REMEDY, function_finder
from pytest_ftgate.suite.providers import PLUGIN_PROVIDER, PROVIDERS
from pytest_ftgate.suite.training_data import read_training_rows


class PythonProvider(Provider):
    """Answers with the return value of ``function(case)``, which is text; it may be async."""

    def __init__(self, find: Callable[[], Callable[..., Any]], name: str) -> None:
        # Found for each call: a test may have replaced it since.
        self._find, self._name = find, name
        # A plain function may share state between requests, so only one runs at a time.
        spec = PLUGIN_PROVIDER if _is_async(find()) else PROVIDERS["python"]
        self.concurrency = spec.concurrency
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ftgate-python")

    async def generate(self, request: Request) -> Reply:
        """Return the function's result as a reply.

        Raises:
            RequestRejected: the function raised an exception.
            ProviderRejected: the function returned something other than text.
        """
        start = time.perf_counter()
        text = await self._result(request.case)
        if not isinstance(text, str):
            raise ProviderRejected(
                f"{self._name} returned {type(text).__name__}; it must return text"
            )
        return Reply(text=text, seconds=time.perf_counter() - start)

    async def _result(self, given: object) -> Any:
        """Return what the function returns for *given*."""
        function = self._find()
        try:
            if _is_async(function):
                return await function(given)
            return await asyncio.get_running_loop().run_in_executor(self._pool, function, given)
        # Not only Exception: sys.exit and pytest.fail must not end the event loop.
        except BaseException as error:
            cause = f"{type(error).__name__}: {error}{_remedy(error)}"
            raise RequestRejected(f"{self._name} raised {cause}") from error

    def serves(self, request: Request) -> bool:
        """Return True for requests that name the same function."""
        return request.function == self._name

    async def close(self) -> None:
        """Stop the thread when its function returns."""
        self._pool.shutdown(wait=False)


def _remedy(error: BaseException) -> str:
    """Return what to write instead, if *error* is a usual mistake; else ""."""
    if isinstance(error, ModuleNotFoundError):
        return f"; import it at the top of its module, {IMPORT_REMEDY}"
    if isinstance(error, TypeError | AttributeError) and "'Case' object" in str(error):
        return "; a case is an object: write case.input, case.messages or case.vars"
    return ""


#: The most cases that are answered at once.
_SEVERAL = 64


class SeveralPythonProvider(PythonProvider):
    """Answers with the texts that ``function(cases)`` returns, one for each case in their order."""

    batch_size, max_concurrency = _SEVERAL, 2 * _SEVERAL

    async def generate_many(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Return the function's results as replies.

        Raises:
            RequestRejected: the function raised an exception.
            ProviderRejected: the function returned something other than a text for each case.
        """
        start = time.perf_counter()
        texts = await self._result([request.case for request in requests])
        is_list = isinstance(texts, list | tuple) and len(texts) == len(requests)
        if not is_list or not all(isinstance(text, str) for text in texts):
            raise ProviderRejected(
                f"{self._name} takes cases; it must return a list with a text for each of them"
            )
        seconds = (time.perf_counter() - start) / len(requests)
        return [Reply(text=text, seconds=seconds) for text in texts]


def _is_async(function: Callable[..., Any]) -> bool:
    called = getattr(function, "__call__", None)  # noqa: B004 - that of an object with a state
    return any(map(inspect.iscoroutinefunction, (function, called)))


def _takes_several(function: Callable[..., Any]) -> bool:
    """Return True if the first parameter of *function* is named ``cases``."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return next(iter(parameters), "") == "cases"


#: The inverse regularization strengths to try (C of logistic regression).
_INVERSE_REGULARIZATION = (1.0, 3.0, 10.0, 30.0)
_FOLDS = 3
#: The largest number of labels that an error message names.
_NAMED = 5
_SEED = 0


class ClassicalProvider(Provider):
    """Answers cases with the labels that a classifier predicts for their inputs."""

    batch_size, max_concurrency = _SEVERAL, 2 * _SEVERAL
    concurrency = PROVIDERS["classical"].concurrency

    def __init__(self, path: Path, model: Any) -> None:
        self._path, self._model = path, model

    async def generate_many(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Return the predicted labels; every request to a classifier has its case."""
        texts = [request.case.input_text for request in requests if request.case]
        labels = await asyncio.to_thread(self._model.predict, texts)
        return [Reply(text=str(label)) for label in labels]

    def serves(self, request: Request) -> bool:
        """Return True for requests with the same training file."""
        return request.training_data == self._path

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""


def open_local(
    requests: Sequence[Request], environ: Mapping[str, str]
) -> PythonProvider | ClassicalProvider:
    """Open the ``python`` or the ``classical`` provider of *requests*.

    Raises:
        ConfigurationError: the function cannot be imported, or the training file has too few rows.
    """
    del environ
    request = requests[0]
    if request.provider == "python":
        if request.function is None:
            raise ConfigurationError("a python variant needs a function")
        find = function_finder(request.function, request.folder)
        kind = SeveralPythonProvider if _takes_several(find()) else PythonProvider
        return kind(find, request.function)
    path = request.training_data
    if path is None:
        raise ConfigurationError("a classical variant needs training_data")
    return ClassicalProvider(path, _trained_model(path))


@reads_once(files=4)
def _trained_model(path: Path) -> Any:
    """Return a classifier trained on all rows, with regularization from cross-validation."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.pipeline import make_pipeline, make_union

    texts, labels = _training_pairs(path)
    if problem := _too_few_rows(Counter(labels)):
        raise ConfigurationError(f"{path.name}: {problem}")
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)
    features = make_union(words, letters)
    table = features.fit_transform(texts).tocsr()
    # The smoothing of stochastic gradient descent is 1 / (C n).
    grid = {"alpha": [1 / (c * len(texts)) for c in _INVERSE_REGULARIZATION]}
    classifier = SGDClassifier(loss="log_loss", max_iter=30, random_state=_SEED)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=_SEED)
    with warnings.catch_warnings():
        # A fit that did not converge has a lower score, so the search avoids it.
        warnings.simplefilter("ignore")
        search = GridSearchCV(classifier, grid, cv=folds).fit(table, labels)
    return make_pipeline(features, search.best_estimator_)


def _too_few_rows(rows: Mapping[str, int]) -> str:
    """Return the problem with the numbers of *rows* by label; "" if there is none."""
    if len(rows) < 2:  # noqa: PLR2004 - one label needs no classifier
        return f"a classifier needs two labels, and the rows have {len(rows)}"
    rare = [f'"{label}" has {count}' for label, count in rows.items() if count < _FOLDS]
    named = ", ".join(rare[:_NAMED]) + ", …" * (len(rare) > _NAMED)
    return f"a classifier needs {_FOLDS} rows of each label: {named}; add rows" if rare else ""


def _training_pairs(path: Path) -> tuple[list[str], list[str]]:
    """Return the texts of the training file and their labels."""
    source = Source(root=path.parent, path=path)
    rows = read_training_rows(source, path)
    if source.errors:
        raise ConfigurationError(str(source.errors[0]))
    pairs = [(row.input_text, row.answer) for row in rows if row.usable and row.answer is not None]
    return [text for text, _ in pairs], [label for _, label in pairs]

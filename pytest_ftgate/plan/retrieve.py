"""What is retrieved for each case: by likeness in words from files, or by a team's own function."""

from __future__ import annotations

import asyncio
import inspect
import os.path
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import Unavailable
from pytest_ftgate.plan.call import Passage
from pytest_ftgate.plan.passages import Passages, cut
from pytest_ftgate.suite.model import Case, Retrieve
from pytest_ftgate.suite.reference import function

__all__ = ["most_alike", "retrieved"]

_WANTED = 'it must return a list of text, or of {"source": ..., "text": ...}'
#: One letter or digit is a word too: "plan B".
_WORD = r"\w+"
#: Likeness is compared to so many digits, so that ties are ties on every machine.
_DIGITS = 9

_Documents = tuple[tuple[str, str], ...]


def retrieved(retrieve: Retrieve, cases: Sequence[Case], folder: Path) -> Mapping[str, Passages]:
    """Return what a variant is shown with each case, by the case's id.

    Args:
        retrieve: how it is found.
        cases: what is asked.
        folder: the suite's: files are named as seen from it, and functions looked for in it.

    Raises:
        Unavailable: a file is gone, or the function is not here, breaks, or returns no passages.
    """
    if retrieve.function:
        return _by_function(retrieve.function, cases, folder)
    # Not as seen from the root directory, which depends on how pytest was started.
    names = [Path(os.path.relpath(path, folder)).as_posix() for path in retrieve.paths]
    try:
        texts = [path.read_text(encoding="utf-8-sig") for path in retrieve.paths]
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"retrieve: {error}") from error
    documents = tuple(zip(names, texts, strict=True))
    return {
        case.id: most_alike(documents, retrieve.chunk, case.shown, retrieve.top) for case in cases
    }


def most_alike(documents: _Documents, chunk: int, text: str, top: int) -> Passages:
    """Return the *top* passages most like *text*, the most alike first.

    Likeness is the cosine of TF-IDF of words and pairs of words. Passages without a word of
    *text* are never among them.

    Args:
        documents: the name and the text of each.
        chunk: the most words of a passage.
        text: what is asked.
        top: how many passages at the most.
    """
    passages, vectorizer, table = _index(documents, chunk)
    if table is None:
        return Passages()
    alike = (table @ vectorizer.transform([text]).T).toarray().ravel().round(_DIGITS)
    ranked = (-alike).argsort(kind="stable")[:top]
    return Passages(passages[index] for index in ranked if alike[index] > 0)


@lru_cache(maxsize=8)
def _index(documents: _Documents, chunk: int) -> tuple[list[Passage], Any, Any]:
    """Return the passages of *documents*, and the table that they are found by, or None."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    passages = [one for name, text in documents for one in cut(name, text, chunk)]
    vectorizer = TfidfVectorizer(token_pattern=_WORD, ngram_range=(1, 2), sublinear_tf=True)
    try:
        return passages, vectorizer, vectorizer.fit_transform(one.text for one in passages)
    except ValueError:  # there is not a word in them
        return [], vectorizer, None


def _by_function(reference: str, cases: Sequence[Case], folder: Path) -> Mapping[str, Passages]:
    find = function(reference, folder)
    # One loop for all cases, since a client that an async function keeps belongs to its loop.
    with asyncio.Runner() as runner:
        return {case.id: _found(reference, find, case, runner) for case in cases}


def _found(
    reference: str, find: Callable[..., Any], case: Case, runner: asyncio.Runner
) -> Passages:
    asked = f"for case {case.id} ({case.where})"
    try:
        answer = find(case)
        if inspect.iscoroutine(answer):
            answer = runner.run(answer)
    except KeyboardInterrupt:
        raise
    # Also what is no Exception: sys.exit and pytest.fail must not take the whole run with them.
    except BaseException as error:
        what = f"{type(error).__name__}: {error}"
        raise Unavailable(f"retrieve: {reference} raised {what} {asked}") from error
    if not isinstance(answer, list | tuple):
        returned = f"returned {type(answer).__name__} {asked}"
        raise Unavailable(f"retrieve: {reference} {returned}; {_WANTED}")
    return Passages(_passage(reference, one, asked) for one in answer)


def _passage(reference: str, one: Any, asked: str) -> Passage:
    told = {"text": one} if isinstance(one, str) else one
    if isinstance(told, Mapping):
        source, text = told.get("source", ""), told.get("text")
        if isinstance(source, str) and isinstance(text, str):
            return Passage(source=source, text=text)
    shown = f"{type(one).__name__} {one!r:.60}"
    raise Unavailable(
        f"retrieve: {reference} returned a passage that is {shown} {asked}; {_WANTED}"
    )

"""Retrieval: split documents into passages, and find the most similar ones for each case."""

from __future__ import annotations

import asyncio
import inspect
import os.path
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import ConfigurationError
from pytest_ftgate.requests.request import Passage
from pytest_ftgate.suite.function_references import load_function
from pytest_ftgate.suite.model import Case, Retrieval, Turn

#: Introduces the passages if no template of the author contains them.
_INTRODUCTION = "These passages may help to answer:"
#: A heading, with marks before it or a line below it. Fences match first: code contains "#".
_HEADING = re.compile(
    r"^(?P<fence>```|~~~)[\s\S]*?^(?P=fence)"
    r"|^(?P<heading>#{1,6} +\S.*|\S.*\n(?P<line>[-=~^])(?P=line){2,}$)",
    re.MULTILINE,
)
#: Where a text may be split, the best places first: paragraphs, sentences, lines, words.
_BREAKS = tuple(re.compile(rf"(?<={end})(?=\S)") for end in (r"\n\n", r"[.!?]\s", r"\n", r"\s"))


class Passages(tuple[Passage, ...]):
    """The passages retrieved for one case; as text they are numbered and name their sources."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return the passages as the text of a prompt."""
        heads = (f"[{i}] {passage.source}".rstrip() for i, passage in enumerate(self, start=1))
        texts = (passage.text for passage in self)
        return "\n\n".join(f"{head}\n{text}" for head, text in zip(heads, texts, strict=True))


def prepend_passages(passages: Passages, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Return *turns* with *passages* at the start of the last user message."""
    if not passages:
        return turns
    introduced = f"{_INTRODUCTION}\n\n{passages}"
    last = max((i for i, (role, _) in enumerate(turns) if role == "user"), default=None)
    if last is None:
        return (*turns, ("user", introduced))
    role, text = turns[last]
    return (*turns[:last], (role, f"{introduced}\n\n{text}"), *turns[last + 1 :])


def split_passages(source: str, text: str, max_words: int) -> Iterator[Passage]:
    """Yield the passages of a document, in order.

    A passage stays within one section and starts with its heading, so that it makes sense alone.
    *source* is the name of the document. A passage has at most *max_words* words, including its
    heading.
    """
    for heading, body in _sections(_tidy(text)):
        # A long heading would leave too few words for the text below it.
        is_long = _word_count(heading) > max_words // 2
        head, rest = ("", f"{heading}\n\n{body}") if is_long else (heading, body)
        for part in _chunks(rest, max_words - _word_count(head)) if rest.strip() else [""]:
            yield Passage(source=source, text=f"{head}\n\n{part}".strip())


def _tidy(text: str) -> str:
    """Return *text* without trailing spaces and without repeated blank lines."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield each heading with the text below it; consecutive headings count as one."""
    heading, start = "", 0
    for match in _HEADING.finditer(text):
        if not match["heading"]:
            continue
        body = text[start : match.start()]
        if body.strip():
            yield heading, body
            heading = ""
        heading, start = f"{heading}\n{match['heading']}".strip(), match.end()
    if heading or text[start:].strip():
        yield heading, text[start:]


def _chunks(text: str, max_words: int) -> Iterator[str]:
    """Yield *text* in the longest chunks of at most *max_words* that its breaks allow."""
    chunk, words_left = "", max_words
    for piece in _pieces(text, max_words):
        if _word_count(piece) > words_left:
            yield chunk.strip("\n")
            chunk, words_left = "", max_words
        chunk, words_left = chunk + piece, words_left - _word_count(piece)
    yield chunk.strip("\n")


def _pieces(text: str, max_words: int, depth: int = 0) -> Iterator[str]:
    """Yield *text* in pieces of at most *max_words*, split at the best breaks possible."""
    for piece in _BREAKS[depth].split(text):
        if _word_count(piece) > max_words:
            yield from _pieces(piece, max_words, depth + 1)
        else:
            yield piece


def _word_count(text: str) -> int:
    return len(text.split())


_REQUIRED_RESULT = 'it must return a list of text, or of {"source": ..., "text": ...}'
#: A single letter or digit is a word as well, as in "plan B".
_WORD = r"\w+"
#: Similarity is rounded to this many digits, so that ties are the same on every machine.
_DIGITS = 9

_Documents = tuple[tuple[str, str], ...]


def retrieve_passages(
    retrieve: Retrieval, cases: Sequence[Case], folder: Path
) -> Mapping[str, Passages]:
    """Return the passages of each case, by case id.

    Relative names of files and functions start in *folder*, that of the suite.

    Raises:
        ConfigurationError: a file or the function is missing, or the function fails or returns
            something other than passages.
    """
    if reference := retrieve.function:
        find = load_function(reference, folder)
        # One event loop for all cases: a client that an async function stores belongs to its loop.
        with asyncio.Runner() as runner:
            return {case.id: _call_function(reference, find, case, runner) for case in cases}
    # Relative to the suite: the root directory depends on how pytest was started.
    names = [Path(os.path.relpath(path, folder)).as_posix() for path in retrieve.paths]
    try:
        texts = [path.read_text(encoding="utf-8-sig") for path in retrieve.paths]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"retrieve: {error}") from error
    documents = tuple(zip(names, texts, strict=True))
    return {
        case.id: most_similar_passages(documents, retrieve.chunk, case.input_text, retrieve.top)
        for case in cases
    }


def most_similar_passages(documents: _Documents, chunk: int, text: str, top: int) -> Passages:
    """Return the *top* passages that are most similar to *text*, the most similar first.

    Similarity is the cosine of TF-IDF vectors of words and word pairs. Passages that share no word
    with *text* are left out. *documents* are names and texts, and *chunk* is the largest number of
    words in a passage.
    """
    passages, vectorizer, table = _index(documents, chunk)
    if table is None:
        return Passages()
    similarity = (table @ vectorizer.transform([text]).T).toarray().ravel().round(_DIGITS)
    ranked = (-similarity).argsort(kind="stable")[:top]
    return Passages(passages[index] for index in ranked if similarity[index] > 0)


@lru_cache(maxsize=8)
def _index(documents: _Documents, chunk: int) -> tuple[list[Passage], Any, Any]:
    """Return the passages of *documents*, their vectorizer, and their vectors or None."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    passages = [
        passage for name, text in documents for passage in split_passages(name, text, chunk)
    ]
    vectorizer = TfidfVectorizer(token_pattern=_WORD, ngram_range=(1, 2), sublinear_tf=True)
    try:
        return passages, vectorizer, vectorizer.fit_transform(passage.text for passage in passages)
    except ValueError:  # the documents contain no word
        return [], vectorizer, None


def _call_function(
    reference: str, find: Callable[..., Any], case: Case, runner: asyncio.Runner
) -> Passages:
    for_case = f"for case {case.id} ({case.location})"
    try:
        result = find(case)
        if inspect.iscoroutine(result):
            result = runner.run(result)
    except KeyboardInterrupt:
        raise
    # Not only Exception: sys.exit and pytest.fail must not end the whole run.
    except BaseException as error:
        message = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"retrieve: {reference} raised {message} {for_case}") from error
    if not isinstance(result, list | tuple):
        returned = f"returned {type(result).__name__} {for_case}"
        raise ConfigurationError(f"retrieve: {reference} {returned}; {_REQUIRED_RESULT}")
    return Passages(_passage(reference, item, for_case) for item in result)


def _passage(reference: str, item: Any, for_case: str) -> Passage:
    raw = {"text": item} if isinstance(item, str) else item
    if isinstance(raw, Mapping):
        source, text = raw.get("source", ""), raw.get("text")
        if isinstance(source, str) and isinstance(text, str):
            return Passage(source=source, text=text)
    shown = f"{type(item).__name__} {item!r:.60}"
    raise ConfigurationError(
        f"retrieve: {reference} returned a passage that is {shown} {for_case}; {_REQUIRED_RESULT}"
    )

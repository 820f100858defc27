"""Retrieval: documents are cut into passages, and each case gets the most similar ones."""

from __future__ import annotations

import asyncio
import inspect
import os.path
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_ftgate.errors import Unavailable
from pytest_ftgate.requests.request import Passage
from pytest_ftgate.suite.model import Case, Retrieve, Turn
from pytest_ftgate.suite.references import function

__all__ = ["Passages", "cut", "most_alike", "put_before", "retrieved"]

#: Said where the author's own templates have no place for passages.
_INTRODUCED = "These passages may help to answer:"
#: A heading, by marks before it or a line below it; a fence first, since code is full of "#".
_HEADING = re.compile(
    r"^(?P<fence>```|~~~)[\s\S]*?^(?P=fence)"
    r"|^(?P<heading>#{1,6} +\S.*|\S.*\n(?P<line>[-=~^])(?P=line){2,}$)",
    re.MULTILINE,
)
#: After what a text is broken, the best places first: paragraphs, sentences, lines, words.
_BREAKS = tuple(re.compile(rf"(?<={end})(?=\S)") for end in (r"\n\n", r"[.!?]\s", r"\n", r"\s"))


class Passages(tuple[Passage, ...]):
    """What was retrieved for one case; as text, all of it, numbered, each with its source."""

    __slots__ = ()

    def __str__(self) -> str:
        """Return the passages as a prompt shows them."""
        heads = (f"[{n}] {p.source}".rstrip() for n, p in enumerate(self, start=1))
        return "\n\n".join(f"{head}\n{p.text}" for head, p in zip(heads, self, strict=True))


def put_before(passages: Passages, turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Return *turns* with *passages* before what the user says last."""
    if not passages:
        return turns
    told = f"{_INTRODUCED}\n\n{passages}"
    last = max((i for i, (role, _) in enumerate(turns) if role == "user"), default=None)
    if last is None:
        return (*turns, ("user", told))
    role, text = turns[last]
    return (*turns[:last], (role, f"{told}\n\n{text}"), *turns[last + 1 :])


def cut(source: str, text: str, most: int) -> Iterator[Passage]:
    """Yield the passages of a document, in order.

    Each stays within one section and begins with its heading, so that it makes sense alone.

    Args:
        source: what the document is called.
        text: what it says.
        most: words of a passage at the most, its heading among them.
    """
    for heading, body in _sections(_tidy(text)):
        # A heading of many words would leave no room for what it stands over.
        long = _words(heading) > most // 2
        head, rest = ("", f"{heading}\n\n{body}") if long else (heading, body)
        for part in _filled(rest, most - _words(head)) if rest.strip() else [""]:
            yield Passage(source=source, text=f"{head}\n\n{part}".strip())


def _tidy(text: str) -> str:
    """Return *text* without blanks at the ends of lines, and never two blank lines together."""
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Yield each heading with what stands under it; headings in a row are one."""
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


def _filled(text: str, most: int) -> Iterator[str]:
    """Yield *text* in parts of at most *most* words, each as long as its breaks allow."""
    part, room = "", most
    for piece in _pieces(text, most):
        if _words(piece) > room:
            yield part.strip("\n")
            part, room = "", most
        part, room = part + piece, room - _words(piece)
    yield part.strip("\n")


def _pieces(text: str, most: int, depth: int = 0) -> Iterator[str]:
    """Yield *text* broken as little as can be into pieces of at most *most* words."""
    for piece in _BREAKS[depth].split(text):
        if _words(piece) > most:
            yield from _pieces(piece, most, depth + 1)
        else:
            yield piece


def _words(text: str) -> int:
    return len(text.split())


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

"""Documents cut into passages, along their headings and paragraphs; and how a prompt shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_ftgate.plan.call import Passage
from pytest_ftgate.suite.model import Turn

__all__ = ["Passages", "cut", "put_before"]

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

"""A score: the rating of one reply, read strictly and leniently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pytest_ftgate.suite.rule import Rule

__all__ = [
    "NOTHING",
    "RIGHT",
    "WRONG",
    "Broken",
    "Mark",
    "Reader",
    "Scorer",
    "Step",
    "around",
    "judged",
    "unfenced",
]


class Mark(NamedTuple):
    """How far a reply says what is expected.

    Attributes:
        value: 0 to 1, or None where nothing is expected.
        why: what is wrong with it, where its text and the expected one do not show it.
    """

    value: float | None
    why: str = ""


RIGHT = Mark(1.0)
WRONG = Mark(0.0)
NOTHING = Mark(None)

#: Marks the text of a reply by the accepted answers and the options of its rule.
Scorer = Callable[[str, list[Any], Rule], Mark]


def judged(right: bool) -> Mark:  # noqa: FBT001 - the one thing it reads
    """Return the mark of a reply that is right, or of one that is not."""
    return RIGHT if right else WRONG


_FENCE = "```"

#: Takes one fault out of a text: the kind of the fault, and the text without it; the text as it
#: was where the fault is not there.
Step = Callable[[str], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Broken:
    """How a reply breaks its form.

    Attributes:
        kind: one of a few words, to be counted: ``fenced``, ``preamble``, ``trailing text``,
            ``truncated``, ``empty``, ``invalid syntax``, ``missing key``, ``extra key``,
            ``wrong type``, ``not in enumeration``, ``wrong label casing``, ``refusal``,
            ``wrong language``, ``repetition loop``, or the kind of the rule that does not hold.
        detail: what exactly, for one reply.
        rules: the kinds of all rules that do not hold; the first is the one that is told.
        meant: whether a lenient reader would take the reply for what it is.
    """

    kind: str
    detail: str = ""
    rules: tuple[str, ...] = ()
    meant: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads a text by one rule.

    Attributes:
        strict: says how a text breaks the rule, or returns None where it holds.
        steps: what a lenient reader takes out, one fault after the other.
        structured: whether a text that a step has changed breaks the rule by that alone, and not
            by what is told of the rest.
    """

    strict: Callable[[str], Broken | None]
    steps: tuple[Step, ...] = ()
    structured: bool = False

    def read(self, text: str) -> Broken | None:
        """Return how *text* breaks the rule, named by the first fault on the way to the meant."""
        broken = self.strict(text)
        if broken is None:
            return None
        first = ""
        for step in (unfenced, *self.steps):
            kind, rest = step(text)
            if rest == text:
                continue
            first, text = first or kind, rest
            if text and self.strict(text) is None:
                return Broken(first, meant=True)
        renamed = first and self.structured and broken.kind != "truncated"
        return replace(broken, kind=first) if renamed else broken


def unfenced(text: str) -> tuple[str, str]:
    """Take what stands in the first code fence of *text*, without the name of a language."""
    # Only a fence at the start of a line: within JSON a line break is written as an escape.
    start = 0 if text.startswith(_FENCE) else text.find(f"\n{_FENCE}") + 1
    if not text.startswith(_FENCE, start):
        return "fenced", text
    inside = text[start + len(_FENCE) :]
    close = inside.find(f"\n{_FENCE}")
    if close < 0 and start and text[0] in "{[":
        # A fence that closes what was never opened: the value stands before it.
        return "fenced", text
    close = inside.rfind(_FENCE) if close < 0 else close
    inside = inside if close < 0 else inside[:close]
    name, line_break, rest = inside.partition("\n")
    named = line_break and " " not in name.strip()
    return "fenced", (rest if named else inside).strip()


def around(text: str, part: str) -> tuple[str, str]:
    """Return *part* as what is meant, and whether the rest of *text* goes before or follows."""
    return "trailing text" if text.startswith(part) else "preamble", part

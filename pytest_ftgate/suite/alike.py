"""Texts that say the same, or nearly: an example that is the case itself shows its answer."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from pytest_ftgate.suite.model import Case
from pytest_ftgate.suite.shapes import Example

__all__ = ["Near", "in_order", "twins", "words"]

#: Texts that share so many of all their different words say nearly the same, in percent.
_ALIKE = 80


def words(text: str) -> tuple[str, ...]:
    """Return the words of *text*, less what differs in case, punctuation or order alone."""
    # A text without a word, such as a lone sign, is compared as it stands.
    return tuple(sorted(in_order(text))) or (text.strip(),)


def in_order(text: str) -> tuple[str, ...]:
    """Return the words of *text* as they follow one another."""
    return tuple(re.findall(r"\w+", text.lower()))


def twins(
    shots: Iterable[Example], cases: Sequence[Case], *, near: bool
) -> Iterator[tuple[Example, Case, str]]:
    """Yield each example that gives a case away, with it, and how: "is" or "is nearly".

    Args:
        shots: the examples.
        cases: of the suite.
        near: whether an example of nearly the same words counts, if it has the case's answer.
    """
    same = {words(case.shown): case for case in cases}
    nearby = Near([case.shown for case in cases] if near else [])
    for shot in shots:
        if (case := same.get(words(shot.shown))) is not None:
            yield shot, case, "is"
            continue
        likely = (cases[index] for index in nearby.to(shot.shown))
        case = next((one for one in likely if _tells(shot, one)), None)
        if case is not None:
            yield shot, case, "is nearly"


def _tells(shot: Example, case: Case) -> bool:
    answers = case.expected if isinstance(case.expected, list) else [case.expected]
    return case.expected is None or shot.answer in [str(answer) for answer in answers]


class Near:
    """Finds those among *texts* that say nearly the same as another text."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = [frozenset(words(text)) for text in texts]
        self._times = Counter(chain.from_iterable(self._texts))
        self._with = defaultdict[str, list[int]](list)
        for index, text in enumerate(self._texts):
            for word in self._telling(text):
                self._with[word].append(index)

    def _telling(self, text: frozenset[str]) -> list[str]:
        """Return the rarest words of *text*: another that is alike has at least one of its own."""
        shared = -(-len(text) * _ALIKE // 100)
        rarest = sorted(text, key=lambda word: (self._times[word], word))
        return rarest[: len(text) - shared + 1]

    def to(self, text: str) -> list[int]:
        """Return which texts are like *text*, by their number, in their order."""
        mine = frozenset(words(text))
        likely = {index for word in self._telling(mine) for index in self._with.get(word, ())}
        return sorted(index for index in likely if _alike(mine, self._texts[index]))


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    return 100 * len(one & other) >= _ALIKE * len(one | other)

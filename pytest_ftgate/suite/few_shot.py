"""Few-shot examples of a variant: read, checked against the cases, and put into turns."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

from jinja2 import TemplateError

from pytest_ftgate.readers.source import Source, folded
from pytest_ftgate.suite.cases import stranger
from pytest_ftgate.suite.declaration import DeclaredExamples
from pytest_ftgate.suite.location import Place
from pytest_ftgate.suite.model import Case, ReplyRules, Shot, Turn, digest
from pytest_ftgate.suite.templates import PASSAGES, render
from pytest_ftgate.suite.training_data import Example, training_rows

__all__ = ["Near", "chosen", "in_order", "most_like", "shots_of", "twins", "words"]

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


def shots_of(
    place: Place, examples: DeclaredExamples, user: str, cases: tuple[Case, ...], reply: ReplyRules
) -> list[Shot]:
    """Return the examples that a variant shows, or may show; what is wrong is noted.

    Args:
        place: of the variant.
        examples: what it declares.
        user: the user message's template.
        cases: the suite's cases, none of which may be an example.
        reply: the suite's rules for replies.
    """
    source = place.source
    path = source.find(examples.source, place.line("examples"), "examples: from")
    if path is None:
        return []
    if reply.score.kind == "tool_call":
        place.say("examples", "examples cannot show a tool call, which cases expect; remove them")
    before = len(source.faults)
    pool = [row for row in training_rows(source, path) if row.teaches]
    if not pool and len(source.faults) == before:
        place.say("examples", f"examples: {examples.source} has no row to learn from")
    found = chosen(pool, examples)
    # Of similar ones each case is shown its own, and never one that is nearly itself.
    near = examples.choose != "similar"
    for shot, case, how in twins(found, cases, near=near):
        where = f"{source.name(path)}:{shot.line}"
        place.say("examples", f"example {where} {how} the eval case {case.where}; remove one")
    if reply.score.kind == "choice":
        _check_labels(source, path, found, reply)
    shots = [Shot(shot.shown, _turns(place, path, shot, user)) for shot in found]
    source.faults[before:] = folded(source.faults[before:])
    return shots


def _check_labels(source: Source, path: Path, found: Iterable[Example], reply: ReplyRules) -> None:
    for shot in found:
        wrong = stranger([shot.answer], reply.format) if shot.answer is not None else None
        if wrong:
            source.say(shot.line, wrong, path)


def _turns(place: Place, path: Path, shot: Example, user: str) -> tuple[Turn, ...]:
    where = f"{place.source.name(path)}:{shot.line}"
    if shot.answer is None:
        place.say("examples", f'example {where} has no "expected", so nothing to show')
        return ()
    # An example is shown without passages, wherever the template has a place for them.
    usual = {"input": shot.shown, "id": digest([shot.shown])[:8], "tags": (), PASSAGES: ""}
    try:
        single = len(shot.turns) == 1
        asked = (("user", render(user, {**usual, **shot.values})),) if single else shot.turns
    except TemplateError as error:
        place.say("examples", f"example {where} cannot be shown: {error}")
        return ()
    return (*asked, ("assistant", shot.answer))

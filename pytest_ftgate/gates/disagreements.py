"""Inputs on which two variants differ, and the draw of those that people label.

Where both variants give the same replies, nothing can change, whatever is right. So only the others
are labelled, a random part of them at a time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import takewhile
from statistics import fmean

from pytest_ftgate.scoring.normalised_text import normal_text
from pytest_ftgate.scoring.scores import CaseResult, VariantScores
from pytest_ftgate.suite.model import Case, Inputs, digest, input_digest
from pytest_ftgate.suite.pair_labels import NO_ANSWER, PairLabel

#: By the digest of an input and a normalised text: whether it is right, 0 to 1, or None where all
#: who labelled it cannot say.
Truths = Mapping[tuple[str, str], float | None]
#: Shares of replies that differ by less are equal but for rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """An input to which two variants reply differently.

    Attributes:
        key: the digest of the input.
        cases: the inputs that are equal and count as one.
        shifts: by normalised text, its share among the variant's replies less that among the
            baseline's; texts with equal shares are left out.
    """

    key: str
    cases: tuple[Case, ...]
    shifts: Mapping[str, float]

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that a label has to judge: those of replies that have an answer."""
        return tuple(sorted(text for text in self.shifts if text != NO_ANSWER))

    def change(self, truths: Truths) -> float | None:
        """Return the change of the mean score, -1 to 1, or None if a text has no truth."""
        known = [truths.get((self.key, text)) for text in self.texts]
        if None in known:
            return None
        values = zip(self.texts, known, strict=True)
        return sum(self.shifts[text] * (value or 0.0) for text, value in values)

    def is_labelled(self, truths: Truths) -> bool:
        """Return True if every text has a label, even one that cannot say."""
        return all((self.key, text) in truths for text in self.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreements:
    """What two variants reply to the inputs of a suite.

    Attributes:
        tied: for each input with equal replies, the number of inputs that are equal to it.
        differing: the inputs with different replies.
        missing: the number of inputs without a reply from one side.
        unsteady: the share of inputs on which the baseline differs from itself, of those with
            several replies; None without repeated replies.
        replies: the digest of an input and a normalised text, for each reply of both sides.
    """

    tied: tuple[int, ...]
    differing: tuple[Disagreement, ...]
    missing: int = 0
    unsteady: float | None = None
    replies: frozenset[tuple[str, str]] = frozenset()

    @property
    def inputs(self) -> int:
        """The number of inputs with replies of both sides."""
        return sum(self.tied) + sum(len(one.cases) for one in self.differing)


def find_disagreements(
    inputs: Inputs, baseline: VariantScores, variant: VariantScores
) -> Disagreements:
    """Return on which of *inputs* the replies of *variant* differ from those of *baseline*."""
    units = defaultdict[str, list[Case]](list)
    for case in inputs.cases:
        units[input_digest(case)].append(case)
    tied, differing, missing, repeated = list[int](), list[Disagreement](), 0, list[bool]()
    replies = set[tuple[str, str]]()
    for key, cases in units.items():
        before, after = (_texts(inputs, cases, side) for side in (baseline, variant))
        if not before or not after:
            missing += len(cases)
            continue
        replies |= {(key, text) for text in (*before, *after)}
        repeated += [len({*before}) > 1] if len(before) > len(cases) else []
        if shifts := _shifts(before, after):
            differing.append(Disagreement(key=key, cases=tuple(cases), shifts=shifts))
        else:
            tied.append(len(cases))
    unsteady = fmean(repeated) if repeated else None
    return Disagreements(
        tied=tuple(tied),
        differing=tuple(differing),
        missing=missing,
        unsteady=unsteady,
        replies=frozenset(replies),
    )


def _texts(inputs: Inputs, cases: Sequence[Case], side: VariantScores) -> list[str]:
    """Return the normalised replies of one side to equal inputs; [] if one has none."""
    results: list[CaseResult] = [side.results[case.id] for case in cases if case.id in side.results]
    if len(results) < len(cases) or not all(result.replies for result in results):
        return []
    return [
        normal_text(result.case, reply, inputs.score)
        for result in results
        for reply in result.replies
    ]


def _shifts(before: Sequence[str], after: Sequence[str]) -> dict[str, float]:
    counts = Counter(before), Counter(after)
    shifts = {
        text: counts[1][text] / len(after) - counts[0][text] / len(before)
        for text in dict.fromkeys((*before, *after))
    }
    return {text: shift for text, shift in shifts.items() if abs(shift) > _ROUNDING}


def known_truths(labels: Iterable[PairLabel], version: str) -> Truths:
    """Return what *labels* of this *version* of the instruction say of each text.

    Several people are averaged to their majority; those who cannot say do not count beside others.
    A repeated pair is a check of the labeller, and no further vote.
    """
    votes = defaultdict[tuple[str, str], dict[str, float | None]](dict)
    for label in labels:
        if label.instruction == version and not label.again:
            for text, vote in label.votes.items():
                # A later answer of the same person is a check of the labeller too.
                votes[label.input, text].setdefault(label.by, vote)
    return {place: _majority(by_person.values()) for place, by_person in votes.items()}


def _majority(votes: Iterable[float | None]) -> float | None:
    said = [vote for vote in votes if vote is not None]
    if not said:
        return None
    mean = fmean(said)
    return mean if mean == 0.5 else float(mean > 0.5)  # noqa: PLR2004 - half of the people


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The inputs that differ, split into those that are known and those that are sampled.

    Attributes:
        id: the digest of the inputs that differ, of their replies, and of the instruction.
        known: those whose texts all have labels of other draws. All of them count.
        order: the others in a random order. Those that were labelled are a prefix of it.
    """

    id: str
    known: tuple[Disagreement, ...]
    order: tuple[Disagreement, ...]

    def labelled(self, truths: Truths) -> tuple[Disagreement, ...]:
        """Return the labelled prefix of *order*; what was labelled behind a gap is left out."""
        return tuple(takewhile(lambda one: one.is_labelled(truths), self.order))

    def behind_gap(self, truths: Truths) -> int:
        """Return how many of *order* are labelled behind the first one that is not."""
        rest = self.order[len(self.labelled(truths)) :]
        return sum(one.is_labelled(truths) and bool(one.texts) for one in rest)


def draw_pairs(inputs: Inputs, found: Disagreements) -> Draw:
    """Return the draw of *found*, given the labels of *inputs*.

    A draw has an order of its own: labels of an earlier one were chosen by its order, and those
    that are left are no random part of today's.
    """
    version = inputs.version
    contents = sorted((one.key, sorted(one.shifts.items())) for one in found.differing)
    own = digest([version, contents])[:12]
    before = known_truths((label for label in inputs.labels if label.draw != own), version)
    known = tuple(one for one in found.differing if one.is_labelled(before))
    keys = {one.key for one in known}
    order = sorted(
        (one for one in found.differing if one.key not in keys),
        key=lambda one: sha256(f"{own} {one.key}".encode()).hexdigest(),
    )
    return Draw(id=own, known=known, order=tuple(order))


def shown_pairs(one: Disagreement, truths: Truths, draw: str) -> Iterator[tuple[str, str | None]]:
    """Yield the texts of *one* that have no label, two at a time, the order of both by hash.

    A single text that is left is shown alone.
    """
    open_texts = [text for text in one.texts if (one.key, text) not in truths]
    for start in range(0, len(open_texts), 2):
        pair = open_texts[start : start + 2]
        if len(pair) == 1:
            yield pair[0], None
            continue
        first = sha256(f"{draw} {one.key} {pair[0]}".encode()).digest()[0] % 2
        yield pair[first], pair[1 - first]

"""What labels of pairs are worth: whose they are, which are stale, and whether they agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_ftgate.gates.disagreements import Disagreements, Truths, known_truths
from pytest_ftgate.gates.notes import Note, NoteKind, note
from pytest_ftgate.suite.model import Inputs
from pytest_ftgate.suite.pair_labels import PairLabel

#: The labels of a judge count if so many pairs have one of a person too.
PAIRS_FOR_JUDGE = 100
#: A larger share of contradictions makes a check inconclusive. Fewer pairs count as this many.
_MAX_CONTRADICTIONS, _FEW_REPEATED = 0.1, 10
#: Labels of one pair of texts, whichever was shown first.
_Pair = tuple[str, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelQuality:
    """What the labels of a draw show of those who gave them.

    Attributes:
        usable: the labels that count: those of a judge only if people labelled enough pairs too.
        truths: what they say of each text.
        labels: how many labels are of this version of the instruction, judges' included.
        matching: how many of them are of replies of this run.
        repeated: the pairs that were shown twice, with an answer both times.
        contradictions: how many of these were answered otherwise the second time.
        strength: the share of a true change that a judge shows at least; 1 for people.
        notes: what a reader should know of the labels.
    """

    usable: tuple[PairLabel, ...]
    truths: Truths
    labels: int
    matching: int
    repeated: int
    contradictions: int
    strength: float
    notes: tuple[Note, ...]

    @property
    def contradicts(self) -> bool:
        """True if too many repeated pairs got another answer."""
        return self.contradictions > _MAX_CONTRADICTIONS * max(self.repeated, _FEW_REPEATED)


def label_quality(inputs: Inputs, found: Disagreements) -> LabelQuality:
    """Return what the labels of *inputs* are worth in a run whose replies are those of *found*."""
    own = tuple(label for label in inputs.labels if label.instruction == inputs.version)
    people = tuple(label for label in own if not label.judge)
    matching = [
        label for label in own if any((label.input, text) in found.replies for text in label.votes)
    ]
    strength, judged = _strength(inputs, own, people)
    usable = own if strength > 0.0 else people
    by_people, by_all = (known_truths(labels, inputs.version) for labels in (people, usable))
    repeated, contradictions = _repeated(people)
    foreign = len(own) - len(matching)
    notes = [*judged, *_stale(inputs), *_agreement(people)]
    if foreign:
        file = inputs.labels_path.name
        notes.append(note(NoteKind.LABELS_OF_NO_REPLY, n=foreign, of=len(own), file=file))
    return LabelQuality(
        usable=usable,
        truths={**by_all, **by_people},
        labels=len(own),
        matching=len(matching),
        repeated=repeated,
        contradictions=contradictions,
        strength=strength if strength > 0.0 and len(usable) > len(people) else 1.0,
        notes=tuple(notes),
    )


def _pair(label: PairLabel) -> _Pair:
    return label.input, frozenset(label.votes)


def _stale(inputs: Inputs) -> Iterator[Note]:
    """Yield how many labels are of another instruction or normalisation, and what changed."""
    stale = [label for label in inputs.labels if label.instruction != inputs.version]
    if stale:
        now, last = inputs.version.split("-"), stale[-1].instruction.split("-")
        names = ("instruction", "score")
        changed = [name for name, one, other in zip(names, now, last, strict=False) if one != other]
        yield note(
            NoteKind.LABELS_STALE,
            n=len(stale),
            of=len(inputs.labels),
            changed=" and ".join(changed) or "instruction",
            file=inputs.labels_path.name,
        )


# People -----------------------------------------------------------------------------------------


def _repeated(labels: Iterable[PairLabel]) -> tuple[int, int]:
    """Return how many pairs one person answered twice, and how many of them otherwise."""
    first = dict[tuple[str, _Pair], Mapping[str, float | None]]()
    answers = list[bool]()
    for label in labels:
        place = (label.by, _pair(label))
        if place not in first:
            first |= {} if label.again else {place: label.votes}
        else:
            both = [(first[place][text], vote) for text, vote in label.votes.items()]
            if all(None not in pair for pair in both):
                answers.append(any(one != other for one, other in both))
    return len(answers), sum(answers)


def _agreement(labels: Iterable[PairLabel]) -> Iterator[Note]:
    """Yield how often people agree on the texts that several of them labelled."""
    votes = defaultdict[tuple[str, str], dict[str, float]](dict)
    for label in labels:
        for text, vote in label.votes.items():
            if vote is not None and not label.again:
                votes[label.input, text][label.by] = vote
    several = [by_person for by_person in votes.values() if len(by_person) > 1]
    if several:
        people = len({name for by_person in several for name in by_person})
        agree = sum(len({*by_person.values()}) == 1 for by_person in several)
        yield note(NoteKind.LABELLERS_AGREE, people=people, n=agree, of=len(several))


# Judges -----------------------------------------------------------------------------------------


def _strength(
    inputs: Inputs, own: tuple[PairLabel, ...], people: tuple[PairLabel, ...]
) -> tuple[float, tuple[Note, ...]]:
    """Return the share of a true change that a judge shows at least, and the note on it.

    It is 0 where the judge's labels cannot count, and 1 without a judge.
    """
    judge = tuple(label for label in own if label.judge)
    if not judge:
        return 1.0, ()
    changes = [_changes(labels, inputs.version) for labels in (judge, people)]
    shared = [(changes[0][pair], changes[1][pair]) for pair in changes[0] if pair in changes[1]]
    missing = PAIRS_FOR_JUDGE - len(shared)
    if missing > 0:
        return 0.0, (note(NoteKind.JUDGE_NEEDS_LABELS, n=len(judge), missing=missing),)
    from pytest_ftgate.stats.differing import judge_strength

    products = [of_judge * of_person for of_judge, of_person in shared if of_person]
    strength = judge_strength(products) if products else 0.0
    kind = NoteKind.JUDGE_LABELS if strength > 0.0 else NoteKind.JUDGE_SHOWS_NO_CHANGE
    return strength, (note(kind, n=len(judge), of=len(shared), share=max(0.0, strength)),)


def _changes(labels: Iterable[PairLabel], version: str) -> dict[_Pair, float]:
    """Return for each pair with an answer by how much its later text, in order, is better."""
    pairs = {_pair(label) for label in labels}
    truths = known_truths(labels, version)
    found = dict[_Pair, float]()
    for input_, texts in pairs:
        known = [truths.get((input_, text)) for text in sorted(texts)]
        if len(known) > 1 and None not in known:
            found[input_, texts] = (known[1] or 0.0) - (known[0] or 0.0)
    return found

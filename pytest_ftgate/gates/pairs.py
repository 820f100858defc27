"""The pairs of a draw in the order in which people label them, some of them twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from pytest_ftgate.gates.disagreements import Draw, known_truths, shown_pairs
from pytest_ftgate.suite.model import Case, Inputs, digest
from pytest_ftgate.suite.pair_labels import PairAnswer, PairLabel

#: The share of pairs that are shown twice, and the least number: so many of the first pairs.
_REPEATED_SHARE, _LEAST_REPEATED, _FIRST_PAIRS = 0.05, 10, 40
#: How many other pairs are shown in between.
_BETWEEN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPair:
    """Two replies, or a single one, as they are shown to a person.

    Attributes:
        draw: the id of the draw.
        place: the place of the input in its order, from 1.
        case: the input.
        key: the digest of the input.
        first, second: the normalised texts; *second* is None for a single reply.
        instruction: the version of the instruction and of the normalisation.
        again: True if the pair is shown a second time, in the other order.
    """

    draw: str
    place: int
    case: Case
    key: str
    first: str
    second: str | None
    instruction: str
    again: bool = False

    @property
    def id(self) -> str:
        """What names the pair in tables and in other tools; it tells nothing of the variants."""
        return digest([self.draw, self.key, self.first, self.second, self.again])[:12]

    @property
    def texts(self) -> frozenset[str | None]:
        """The texts without their order."""
        return frozenset([self.first, self.second])

    def label(
        self, answer: PairAnswer, by: str, expected: str | None = None, *, judge: bool = False
    ) -> PairLabel:
        """Return the label of the pair."""
        return PairLabel(
            draw=self.draw, place=self.place, id=self.case.id, input=self.key, first=self.first,
            second=self.second, answer=answer, instruction=self.instruction, by=by, judge=judge,
            again=self.again, expected=expected,
        )  # fmt: skip


def drawn_pairs(inputs: Inputs, draw: Draw) -> tuple[ShownPair, ...]:
    """Return all pairs of *draw*, labelled or not, each repeated one some places after the first.

    Nothing of it depends on the labels of this draw, so that people and files have one order.
    """
    earlier = (label for label in inputs.labels if label.draw != draw.id)
    truths = known_truths(earlier, inputs.version)
    pairs = [
        ShownPair(
            draw=draw.id,
            place=place,
            case=one.cases[0],
            key=one.key,
            first=first,
            second=second,
            instruction=inputs.version,
        )
        for place, one in enumerate(draw.order[: inputs.most_labels], start=1)
        for first, second in shown_pairs(one, truths, draw.id)
    ]
    return tuple(_with_repeated(pairs))


def _with_repeated(pairs: Sequence[ShownPair]) -> Iterator[ShownPair]:
    # Of the last ones nothing would stand in between.
    chance = {pair.id: _chance(pair) for pair in pairs[:-_BETWEEN] if pair.second is not None}
    first = sorted(chance[pair.id] for pair in pairs[:_FIRST_PAIRS] if pair.id in chance)
    least = first[:_LEAST_REPEATED]
    repeated = {name for name, one in chance.items() if one < _REPEATED_SHARE or one in least}
    for pair, before in zip(pairs, (*[None] * _BETWEEN, *pairs), strict=False):
        yield pair
        if before and before.id in repeated and before.second is not None:
            yield replace(before, first=before.second, second=before.first, again=True)


def _chance(pair: ShownPair) -> float:
    """Return a number from 0 to 1 that is random, and always the same for a pair."""
    return int(sha256(f"again {pair.id}".encode()).hexdigest()[:12], 16) / 16**12


def open_pairs(
    pairs: Iterable[ShownPair], labels: Sequence[PairLabel], by: str, *, second: bool = False
) -> Iterator[ShownPair]:
    """Yield the *pairs* that *by* is to label next: those without labels.

    With *second* those that others have labelled. A repeated pair is one that the same person has
    labelled and could say something of.
    """
    pairs = [*pairs]
    truths = known_truths(labels, pairs[0].instruction) if pairs else {}
    own = {
        (label.input, frozenset([label.first, label.second]), label.again): label.answer
        for label in labels
        if label.by == by and pairs and label.instruction == pairs[0].instruction
    }
    for pair in pairs:
        answer = own.get((pair.key, pair.texts, False))
        if pair.again:
            is_open = answer not in (None, PairAnswer.UNKNOWN)
            is_open &= (pair.key, pair.texts, True) not in own
        else:
            has_labels = all((pair.key, text) in truths for text in pair.texts if text is not None)
            is_open = has_labels and answer is None if second else not has_labels
        if is_open:
            yield pair

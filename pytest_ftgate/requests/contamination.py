"""Training-data contamination: eval cases found in a variant's training file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from pytest_ftgate.readers.source import Source
from pytest_ftgate.skills import CANARY
from pytest_ftgate.suite.few_shot import in_order, words
from pytest_ftgate.suite.model import Case, ForgettingGate, Suite, Variant
from pytest_ftgate.suite.training_data import Example, training_rows

__all__ = ["Leak", "leak", "seen", "skills_leak"]

#: A case of fewer words stands in a longer text by chance.
_FEWEST_WORDS = 5


@dataclass(frozen=True, slots=True)
class Leak:
    """How many cases of a suite a variant was trained on.

    Attributes:
        file: the name of the training file.
        leaked: how many of all *cases* are in it.
        case: the id of the first of them.
        line: the line of the training file that holds it.
        of: what the cases are.
        ids: of all that are in it.
        canary: whether the file holds the mark that stands in the bundled data.
    """

    variant: str
    file: str
    cases: int
    leaked: int
    case: str
    line: int
    of: str = "case"
    ids: frozenset[str] = field(default=frozenset(), compare=False)
    canary: bool = False


def leak(suite: Suite, variant: Variant) -> Leak | None:
    """Return which cases say the same as a row of the variant's training data; None for none."""
    return _leak(variant, suite.cases, "case")


def skills_leak(gate: ForgettingGate, variant: Variant) -> Leak | None:
    """Return which skills cases say the same as a row of the variant's training data.

    A conversation is no case by its last message, which may be anybody's: it is passed over.
    """
    return _leak(variant, [case for case in gate.cases if _is_one_question(case)], "skills case")


def _is_one_question(case: Case) -> bool:
    return sum(role == "user" for role, _ in case.messages) <= 1


def _leak(variant: Variant, cases: Sequence[Case], of: str) -> Leak | None:
    path = variant.training_data
    if path is None:
        return None
    rows = training_rows(Source(root=path.parent, path=path), path)
    found = seen(rows, cases)
    first = next((case for case in cases if case.id in found), None)
    if first is None:
        return None
    return Leak(
        variant.name,
        path.name,
        cases=len(cases),
        leaked=len(found),
        case=first.id,
        line=found[first.id],
        of=of,
        ids=frozenset(found),
        canary=CANARY in path.read_text("utf-8", errors="replace"),
    )


def seen(rows: Iterable[Example], cases: Sequence[Case]) -> dict[str, int]:
    """Return the ids of the cases that stand in *rows*, each with the first line that holds it."""
    asked: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for case in cases:
        asked[words(case.shown)].append(case.id)
    inside = _Inside(cases)
    found: dict[str, int] = {}
    for row in rows:
        said = (words(text) for role, text in row.turns if role == "user")
        same = chain.from_iterable(asked.get(one, ()) for one in said)
        # A bare text holds the question, the answer and marks of its template in one.
        for case_id in (*same, *(inside.of(row.shown) if row.answer is None else ())):
            found.setdefault(case_id, row.line)
    return found


class _Inside:
    """Finds the cases that stand word for word in a longer text."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self._by_start: dict[tuple[str, ...], list[tuple[tuple[str, ...], str]]] = defaultdict(list)
        for case in cases:
            said = in_order(case.shown)
            if len(said) >= _FEWEST_WORDS:
                self._by_start[said[:_FEWEST_WORDS]].append((said, case.id))

    def of(self, text: str) -> Iterator[str]:
        """Yield the ids of the cases that stand in *text*."""
        said = in_order(text)
        shifted = (said[shift:] for shift in range(_FEWEST_WORDS))
        for at, start in enumerate(zip(*shifted, strict=False)):
            for case, case_id in self._by_start.get(start, ()):
                if said[at : at + len(case)] == case:
                    yield case_id

"""The scores of a run, computed once for each variant and look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pytest_ftgate.client.results import Answer
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.rates import AGAIN, ids_of, to_ask_again
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.requests.workload import varies
from pytest_ftgate.runner.judges import Hearings
from pytest_ftgate.runner.workloads import Asks
from pytest_ftgate.scoring.scores import Column, Row, score
from pytest_ftgate.suite.model import ForgettingGate, Suite, Variant

__all__ = ["Columns", "heard"]

_Asks = Literal["task", "skills", "held out"]


class Columns:
    """Scores variants, and remembers what it scored: gates of a suite share most of it.

    Args:
        asks: what the gates ask.
        waited: brings what became of asks, by fingerprint.
        hearings: what asks the judges of a suite about replies.
    """

    def __init__(
        self,
        asks: Asks,
        waited: Callable[[Sequence[Ask]], Mapping[str, Answer]],
        hearings: Hearings,
    ) -> None:
        self._asks, self._waited, self._hearings = asks, waited, hearings
        self._columns: dict[tuple[str, str, tuple[object, bool]], Column] = {}
        self._heard: dict[tuple[object, ...], Column] = {}
        self._suites: dict[str, Suite] = {}
        #: Each variant that was scored, with what it was asked.
        self.asked: list[tuple[str, Sequence[Ask]]] = []

    def by_suite(self) -> Iterator[tuple[Suite, list[tuple[_Asks, Column]]]]:
        """Yield each suite with what was scored of it, as far as a record tells of it.

        It does not of what was asked to compare times, nor of skills asked under a prompt or again.
        What no judge graded comes before what judges did. Held-out cases stand with their suite.
        """
        held = {suite.held_out.name for suite in self._suites.values() if suite.holdout}
        for name, suite in self._suites.items():
            if name not in held:
                told = [*self._scored(name, "task"), *self._scored(suite.held_out.name, "held out")]
                yield suite, told

    def _scored(self, suite: str, task: _Asks) -> Iterator[tuple[_Asks, Column]]:
        own = [(key[2], column) for key, column in self._columns.items() if key[0] == suite]
        own.sort(key=lambda one: one[0][1])
        for (what, _), column in own:
            if what == "skills" or isinstance(what, tuple):
                yield "skills" if what == "skills" else task, column

    def task(self, suite: Suite, variant: Variant, look: Look, *, graded: bool = True) -> Column:
        """Return the scores of *variant* on as many of the suite's cases as *look* takes in.

        Args:
            suite: the suite.
            variant: one of its variants.
            look: how far to score.
            graded: ask judges too, where the suite has any; they are paid for.
        """
        seen = (look.cases, look.repeats)
        asks = self._asks.task(suite, variant, look)
        return self.of(suite, variant, seen, asks, graded=graded)

    def heard(self, suite: Suite, variant: Variant, look: Look) -> Column:
        """Return the replies of *variant* to what *look* takes in, marked by nobody yet."""
        key = (suite.name, variant.name, look.cases, look.repeats)
        if key not in self._heard:
            asks = self._asks.task(suite, variant, look)
            found = self._waited(asks)
            self.asked.append((variant.name, asks))
            self._heard[key] = heard(variant.name, asks, found)
        return self._heard[key]

    def must_pass(
        self, suite: Suite, variant: Variant, look: Look
    ) -> tuple[Column, Column | None] | None:
        """Return the must-pass cases, and the wrong ones among them asked again; None for none."""
        must = Look(cases=ids_of(suite), repeats=look.repeats)
        if not must.cases:
            return None
        column = self.task(suite, variant, must)
        return column, self._asked_again(suite, variant, column, look)

    def _asked_again(
        self, suite: Suite, variant: Variant, column: Column, look: Look
    ) -> Column | None:
        wrong = to_ask_again(column) if varies(variant) else ()
        if not wrong:
            return None
        again = Look(cases=frozenset(wrong), repeats=max(AGAIN, look.repeats))
        return self.task(suite, variant, again)

    def skills(
        self, suite: Suite, variant: Variant, gate: ForgettingGate, under: str = ""
    ) -> Column:
        """Return the scores of *variant* on the skills cases of *gate*."""
        asks = self._asks.skills(suite, variant, gate, under)
        return self.of(suite, variant, f"skills {under}".strip(), asks)

    def skills_again(
        self, suite: Suite, variant: Variant, gate: ForgettingGate, ids: Sequence[str]
    ) -> Column:
        """Return the scores of *variant* on the skills cases *ids*, each asked a few times."""
        asks = self._asks.skills(suite, variant, gate, repeats=AGAIN)
        some = tuple(ask for ask in asks if ask.case.id in ids)
        return self.of(suite, variant, f"skills again {ids}", some)

    def of(
        self,
        suite: Suite,
        variant: Variant,
        what: object,
        asks: tuple[Ask, ...],
        *,
        graded: bool = True,
    ) -> Column:
        """Return the scores of *variant* on *asks*, which *what* names."""
        graded = graded and bool(suite.judges)
        key = (suite.name, variant.name, (what, graded))
        if key not in self._columns:
            self._suites.setdefault(suite.name, suite)
            found = self._waited(asks)
            # Skills are marked by scores of their own, which no judge is among.
            ruled = self._hearings.ruled(suite, asks, found) if graded else {}
            self.asked.append((variant.name, asks))
            self._columns[key] = score(variant.name, asks, found, Path(suite.path.parent), ruled)
        return self._columns[key]


def heard(variant: str, asks: Iterable[Ask], answers: Mapping[str, Answer]) -> Column:
    """Return what came back, case by case, marked by nobody yet."""
    by_case: dict[str, list[Ask]] = defaultdict(list)
    for ask in asks:
        by_case[ask.case.id].append(ask)
    return Column(variant, {key: _row(own, answers) for key, own in by_case.items()})


def _row(asks: list[Ask], answers: Mapping[str, Answer]) -> Row:
    came = [answers[ask.call.fingerprint] for ask in asks]
    return Row(
        case=asks[0].case,
        replies=tuple(one for one in came if isinstance(one, Reply)),
        scores=(),
        calls=tuple(ask.call.fingerprint for ask in asks),
        missing=tuple(str(one) for one in came if not isinstance(one, Reply)),
    )

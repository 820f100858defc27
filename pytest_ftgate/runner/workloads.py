"""The workload of each gate, computed once for each suite and variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pytest_ftgate.errors import FtgateError, Unavailable
from pytest_ftgate.gates.looks import Look, looks
from pytest_ftgate.gates.rates import AGAIN
from pytest_ftgate.requests.builder import Maker, turn
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.requests.workload import PROBES, base_of, probes, same_seed, skills, task, varies
from pytest_ftgate.suite.cases import skill_cases
from pytest_ftgate.suite.model import Case, DataGate, ForgettingGate, Gate, RateGate, Suite, Variant

__all__ = ["Asks", "Judged", "with_baseline"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One gate of one variant of one suite: what an item stands for.

    Attributes:
        suite: whose cases are put to the variant.
        look: what a marked function looks at; None for a gate of the suite itself.
        rules: the suite that a marked function is for the statistics: its cases, marked by it.
        planned: what is asked is known beforehand; a function that converses asks as it goes.
    """

    suite: Suite
    gate: Gate
    variant: Variant
    look: Look | None = None
    rules: Suite | None = None
    planned: bool = True

    @property
    def name(self) -> str:
        """What the gate is called in its suite."""
        return self.gate.name if isinstance(self.gate, RateGate) else self.gate.kind

    @property
    def judged_by(self) -> Suite:
        """The suite whose margins and cases the statistics see."""
        return self.rules or self.suite


def with_baseline(judged: Judged) -> bool:
    """Tell whether *judged* needs the baseline's replies: to compare with, or to show a judge."""
    judges = judged.suite.judges if judged.gate.kind == "accuracy" and not judged.rules else ()
    shown = any(one.compares for one in judges)
    return judged.gate.compares or shown


class Asks:
    """Remembers what it worked out: gates of a suite share most of what they ask.

    Args:
        environ: where addresses are read.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._groups: dict[object, list[tuple[Ask, ...]]] = {}
        self._asks: dict[tuple[str, str, object], tuple[Ask, ...] | FtgateError] = {}
        self._turns: dict[tuple[str, str], Callable[..., Ask]] = {}
        self._leaked: dict[tuple[str, Path], frozenset[str]] = {}

    def looks(self, judged: Judged) -> tuple[Look, ...]:
        """Return the looks of a gate, the last of which takes in all that may be asked."""
        suite = judged.suite
        if judged.look is not None:
            return (judged.look,)
        sides = (judged.variant, suite.variants[suite.baseline])
        return looks(suite, judged.gate, vary=any(varies(one) for one in sides))

    def of(self, judged: Judged, look: Look | None = None) -> list[tuple[Ask, ...]]:
        """Return all that must be asked before *judged* can be judged, a group for each side.

        Groups that hold the same are the same tuple, so that nothing is worked out of them twice.

        Args:
            judged: the gate.
            look: how far to ask; by default as far as its first look.

        Raises:
            FtgateError: the variant cannot be asked at all.
        """
        if isinstance(judged.gate, DataGate):
            return []
        look = look or self.looks(judged)[0]
        whose = (judged.suite.name, judged.variant.name, judged.gate.kind)
        key = (*whose, judged.gate.compares, judged.planned, look.cases, look.repeats)
        if key not in self._groups:
            self._groups[key] = self._needed(judged, look)
        return self._groups[key]

    def _needed(self, judged: Judged, look: Look) -> list[tuple[Ask, ...]]:
        suite, variant, gate = judged.suite, judged.variant, judged.gate
        needed: list[tuple[Ask, ...]] = []
        if isinstance(gate, ForgettingGate):
            sides = (base_of(variant), variant)
            needed += [self.skills(suite, one, gate, u) for u in gate.unders for one in sides]
        elif judged.planned:
            if with_baseline(judged):
                needed.append(self.task(suite, suite.variants[suite.baseline], look))
            needed.append(self.task(suite, variant, look))
            again = same_seed(needed[-1])[1]
            needed += [again] if again else []
        return [*needed, *self.identity(suite, variant)] if variant.tuned else needed

    def identity(self, suite: Suite, variant: Variant) -> tuple[tuple[Ask, ...], ...]:
        """Return the probes put to a tuned variant, to its base, and to its base again.

        A recorded base cannot be asked again: then there are two groups.
        """
        gate = suite.gates.get("forgetting")
        cases = gate.cases if isinstance(gate, ForgettingGate) else ()
        if variant.base_replies is not None:
            # All of them: what is recorded costs nothing, and one that differs is enough.
            return tuple(
                skills(suite, one, cases, self._environ) for one in (variant, base_of(variant))
            )
        # Few cases of a team's own show little, so the bundled ones are asked for this.
        cases = cases if len(cases) >= PROBES else skill_cases(("general-small",))
        # At temperature 0, where a model repeats itself: chance would hide what the weights say.
        base, mine = (self._steady(suite, one, cases) for one in (base_of(variant), variant))
        again = probes(base)
        chosen = {ask.case.id for ask in again}
        of_cases = [tuple(a for a in asks if a.case.id in chosen) for asks in (mine, base)]
        return (*of_cases, again)

    def task(self, suite: Suite, variant: Variant, look: Look) -> tuple[Ask, ...]:
        """Return as many of the suite's cases put to *variant* as *look* takes in."""
        most = _most_repeats(suite)
        asks = self._once(
            (suite.name, variant.name, ("task", most)),
            lambda: self._unseen(suite, variant, most),
        )
        if look.cases is None and look.repeats >= most:
            return asks
        # Made once as well: what a tuple holds need be waited for and scored no second time.
        return self._once(
            (suite.name, variant.name, (look.cases, look.repeats)),
            lambda: tuple(ask for ask in asks if look.takes(ask.case.id, ask.repeat)),
        )

    def _unseen(self, suite: Suite, variant: Variant, most: int) -> tuple[Ask, ...]:
        """Return the suite's cases put to *variant*, less those that it was trained on."""
        asks = task(suite, variant, self._environ, most)
        seen = self.leaked(suite, variant)
        left = tuple(ask for ask in asks if ask.case.id not in seen)
        if asks and not left:
            raise Unavailable(f"every case stands in {variant.training_data}, nothing is left")
        return left

    def leaked(self, suite: Suite, variant: Variant) -> frozenset[str]:
        """Return the ids of the cases that *variant* was trained on, where a gate looks at that."""
        if variant.training_data is None or "data" not in suite.gates:
            return frozenset()
        key = (suite.name, variant.training_data)
        if key not in self._leaked:
            from pytest_ftgate.gates.training_data import leaked

            self._leaked[key] = leaked(suite, variant).cases
        return self._leaked[key]

    def skills(
        self,
        suite: Suite,
        variant: Variant,
        gate: ForgettingGate,
        under: str = "",
        repeats: int = 1,
    ) -> tuple[Ask, ...]:
        """Return the skills cases of *gate* put to the model of *variant*, or under its prompt."""
        return self._once(
            (suite.name, variant.name, f"skills {under} {repeats}"),
            lambda: skills(suite, variant, gate.cases, self._environ, under=under, repeats=repeats),
        )

    def must_keep(self, judged: Judged) -> tuple[tuple[Ask, ...], ...]:
        """Return what may be asked again of a forgetting gate's must-keep cases, of either side."""
        gate, sides = judged.gate, (base_of(judged.variant), judged.variant)
        if not isinstance(gate, ForgettingGate):
            return ()
        asks = (self.skills(judged.suite, one, gate, repeats=AGAIN) for one in sides)
        return tuple(tuple(a for a in group if a.case.must_keep) for group in asks)

    def turns(self, suite: Suite, variant: Variant) -> Callable[..., Ask]:
        """Return what makes the turns of conversations with *variant*; see ``plan.turns``."""
        key = (suite.name, variant.name)
        if key not in self._turns:
            self._turns[key] = partial(turn, Maker(suite, variant, self._environ))
        return self._turns[key]

    def _steady(self, suite: Suite, variant: Variant, cases: tuple[Case, ...]) -> tuple[Ask, ...]:
        greedy = replace(variant, sampling={**variant.sampling, "temperature": 0.0})
        return self._once(
            (suite.name, variant.name, "steady"),
            lambda: skills(suite, greedy, cases, self._environ),
        )

    def _once(
        self, key: tuple[str, str, object], made: Callable[[], tuple[Ask, ...]]
    ) -> tuple[Ask, ...]:
        """Return what *made* makes; its failure too is met once, for a team's function costs."""
        if key not in self._asks:
            try:
                self._asks[key] = made()
            except FtgateError as error:
                self._asks[key] = error
        found = self._asks[key]
        if isinstance(found, FtgateError):
            raise found
        return found


def _most_repeats(suite: Suite) -> int:
    settled = [gate.settle or 1 for gate in suite.gates.values() if isinstance(gate, RateGate)]
    again = AGAIN if any(case.must_pass for case in suite.cases) else 1
    return max(suite.repeats or 1, again, *settled, 1)

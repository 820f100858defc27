"""Error rates of verdicts, and the sample sizes below which a verdict is inconclusive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from pytest_ftgate.suite.model import Suite

#: The probability of passing a drop as large as the limit.
MISS = 0.05
#: The probability of failing an unchanged variant, shared by all drop checks of a suite.
ALARM = 0.01
#: The probability of a one-sided bound beyond the limit by chance: such a bound fails a variant.
BEYOND = 0.005
#: More drop checks in a suite share that probability as well.
MOST_UNSHARED = 10
#: With a larger share of cases without a reply, a verdict is inconclusive.
MAX_MISSING_SHARE = 0.05
#: With fewer groups of related cases, a verdict is inconclusive.
MIN_GROUPS = 10
#: With fewer unrelated cases, a mean price is not bounded.
MIN_CASES_FOR_COST = 30
#: With fewer cases, macro-F1 is not evaluated.
MIN_CASES_FOR_F1 = 100
#: With fewer cases of a label that a case expects, macro-F1 is not evaluated.
MIN_CASES_PER_LABEL = 10
#: The power behind "9 times in 10".
POWER = 0.9
#: The confidence level of all reported intervals.
CONFIDENCE = 0.95
#: The share of cases on which two runs of one model disagree, unless it is measured.
TYPICAL_DISCORDANCE = 0.10
#: The same where a repeated request gets the same reply, as of a local model at temperature 0.
STEADY_DISCORDANCE = 0.05
#: The miss level of the last of five looks: O'Brien and Fleming's 1.7397.
LAST_LOOK_MISS = 1 - NormalDist().cdf(1.7397)


@dataclass(frozen=True, slots=True)
class Levels:
    """The error rates of one check, as probabilities.

    Attributes:
        miss: the probability of passing a drop as large as the limit.
        alarm: the probability of failing an unchanged variant.
        shared: the number of drop checks of the suite that share the alarm level.
        last: True if no later look can include more replies.
    """

    miss: float = MISS
    alarm: float = ALARM
    shared: int = 1
    last: bool = True

    @property
    def beyond(self) -> float:
        """The level of the bound that must lie beyond the limit."""
        return BEYOND * min(1.0, MOST_UNSHARED / self.shared)


#: Returns how many accepted results a variant has for a gate, given the names of both.
CountAccepted = Callable[[str, str], int]


def shared_levels(suite: Suite, count_accepted: CountAccepted = lambda *_: 0) -> Levels:
    """Return the error rates of each drop check of *suite*.

    They depend on the suite and its accepted record, and not on the selected gates.
    """
    checks = sum(
        gate.drop_checks(
            (name != suite.baseline and variant.compared) + count_accepted(name, gate.name)
        )
        for name, variant in suite.variants.items()
        for gate in suite.gates_for(variant)
    )
    return Levels(alarm=ALARM / max(1, checks), shared=max(1, checks))

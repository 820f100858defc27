"""Error rates of verdicts, and the sample sizes below which a verdict is inconclusive."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_ftgate.suite.model import Suite

#: The probability of passing a drop as large as the limit.
MISS = 0.05
#: The probability of failing an unchanged variant, shared by all drop checks of a suite.
ALARM = 0.01
#: With a larger share of cases without a reply, a verdict is inconclusive.
MAX_MISSING_SHARE = 0.05
#: With fewer groups of related cases, a verdict is inconclusive.
MIN_GROUPS = 10
#: With fewer cases, the bootstrap interval of macro-F1 is too narrow.
MIN_CASES_FOR_F1 = 200
#: The power behind "9 times in 10".
POWER = 0.9
#: The confidence level of all reported intervals.
CONFIDENCE = 0.95
#: The share of cases on which two runs of one model disagree, unless it is measured.
TYPICAL_DISCORDANCE = 0.10


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


def shared_levels(suite: Suite) -> Levels:
    """Return the error rates of each drop check of *suite*.

    They depend on the suite only, and not on the selected gates or on accepted results.
    """
    checks = max(1, sum(_variant_drop_checks(suite, name) for name in suite.variants))
    return Levels(alarm=ALARM / checks, shared=checks)


def _variant_drop_checks(suite: Suite, name: str) -> int:
    # The baseline is compared with its accepted result, the others with the baseline as well.
    compared = 1 if name == suite.baseline else 2
    return sum(gate.drop_checks(compared) for gate in suite.gates_for(suite.variants[name]))

"""Error rates of verdicts, and the sizes below which nothing is concluded."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ALARM",
    "CONFIDENCE",
    "FEWEST_FOR_F1",
    "FEWEST_GROUPS",
    "MISS",
    "MOST_MISSING",
    "POWER",
    "USUAL_DISCORDANCE",
    "Levels",
]

#: The risk of passing a drop as large as the margin.
MISS = 0.05
#: The risk, shared by all drop checks of a suite, of failing a variant that dropped nothing.
ALARM = 0.01
#: More unanswered cases than this leave a verdict open.
MOST_MISSING = 0.05
#: Fewer groups of related cases than this show nothing.
FEWEST_GROUPS = 10
#: With fewer cases the bootstrap of macro-F1 misses more often than it says.
FEWEST_FOR_F1 = 200
#: The chance with which "9 times in 10" is meant.
POWER = 0.9
#: Of the intervals that are printed.
CONFIDENCE = 0.95
#: Replies of the same model disagree on about this share of the cases where nothing is known.
USUAL_DISCORDANCE = 0.10


@dataclass(frozen=True, slots=True)
class Levels:
    """The risks that one check may take.

    Attributes:
        miss: of passing a drop as large as the margin.
        alarm: of failing a variant that dropped nothing.
        shared: how many drop checks of the suite share the alarm level.
        last: no further look can take in more replies.
    """

    miss: float = MISS
    alarm: float = ALARM
    shared: int = 1
    last: bool = True

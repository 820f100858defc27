"""What inputs without an expected answer add to a drop check, as values that reports show."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class InputChange:
    """The change of labelled cases and inputs together, and what it rests on.

    Equal inputs count as one where they differ, since one label is about all of them.

    Attributes:
        change: the estimated difference of the mean score, -1 to 1. Without a label every input
            that differs counts as lost.
        cases: the number of labelled cases.
        inputs: the number of inputs with a reply of both sides.
        equal: how many of these have equal replies.
        differing: the inputs that differ.
        known: how many of them had their labels before.
        labelled: how many of the others are labelled, in the order of the draw.
        better, worse: the labelled inputs that got better, and those that got worse.
        look, looks: the look that was reached, and the number of looks; 0 for none.
        to_label: how many further labels the next look takes; 0 if there is none.
        chance: how surely the check passes then if nothing else has changed, 0 to 1.
        to_last, chance_at_last: the same for the last look.
        is_blocked: True if no number of further labels decides it; the first note says why.
    """

    change: float
    cases: int
    inputs: int
    equal: int
    differing: int
    known: int = 0
    labelled: int = 0
    better: int = 0
    worse: int = 0
    look: int = 0
    looks: int = 0
    to_label: int = 0
    chance: float = 0.0
    to_last: int = 0
    chance_at_last: float = 0.0
    is_blocked: bool = False

    @property
    def is_bound(self) -> bool:
        """True if nothing that differs is labelled, so that *change* is the least possible."""
        return self.differing > 0 == self.known + self.labelled

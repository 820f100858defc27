"""Whether a baseline that was recorded earlier still answers as it did.

A hosted model may be changed under its name. Replies of now compared with replies of then would
show that change as the variant's own doing.
"""

from __future__ import annotations

from pytest_ftgate.gate.numbers.proportion import mcnemar_midp
from pytest_ftgate.gate.side import Side, aligned
from pytest_ftgate.gate.words import percent
from pytest_ftgate.suite.model import Case

__all__ = ["drift", "to_ask_anew"]

#: One case in so many is asked anew, but no fewer than *FEWEST* in all.
_ONE_IN = 10
_FEWEST = 20
#: The risk of calling a baseline drifted that is not.
_ALARM = 0.01
_HALF = 0.5


def to_ask_anew(cases: tuple[Case, ...]) -> frozenset[str]:
    """Return the ids of the cases on which a recorded baseline is asked anew, spread evenly."""
    marked = [case.id for case in cases if case.marked or case.format]
    count = min(len(marked), max(_FEWEST, len(marked) // _ONE_IN))
    return frozenset(marked[i * len(marked) // count] for i in range(count))


def drift(then: Side, now: Side) -> str:
    """Say how a baseline has drifted between two askings of the same cases, or "".

    McNemar's mid-p, two-sided at 0.01; scores are read as right or wrong.
    """
    then, now = aligned(then, now)
    both = then.known & now.known
    was, is_ = then.values[both] > _HALF, now.values[both] > _HALF
    gains, losses = int((is_ & ~was).sum()), int((was & ~is_).sum())
    if 2.0 * min(mcnemar_midp(gains, losses), mcnemar_midp(losses, gains)) > _ALARM:
        return ""
    return (
        f"the recorded baseline has drifted: asked anew, {percent(float(was.mean()))} → "
        f"{percent(float(is_.mean()))} on {int(both.sum())} cases; it is not compared"
    )

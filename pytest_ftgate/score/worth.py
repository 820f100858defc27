"""What a reply to a skills case is worth: what it says and the form it has, taken together."""

from __future__ import annotations

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.score.sheet import Score
from pytest_ftgate.suite.model import Case

__all__ = ["worth"]

#: Rules that a reply which was cut off cannot be shown to hold: nobody knows how it would go on.
_BOUNDS = ("length", "lines")


def worth(case: Case, reply: Reply, score: Score) -> float:
    """Return 0 to 1: how far *reply* says what is expected, and 0 where its form is not meant.

    The form is read leniently: a model that fences its JSON has not forgotten JSON. A reply that
    repeats the question says nothing, though the answer may stand in it.
    """
    if reply.text.split() == case.shown.split():
        return 0.0
    bounded = any(rule.kind in _BOUNDS for rule in case.format)
    if case.format and (score.meant == 0 or (bounded and reply.stop == "length")):
        return 0.0
    return 1.0 if score.correct is None else score.correct

"""Whether enough replies came to judge anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pytest_ftgate.ask.answers import Answer
from pytest_ftgate.errors import (
    Denied,
    FtgateError,
    LedgerError,
    NotRecorded,
    OutOfBudget,
    RepliesMissing,
    Unavailable,
)

__all__ = ["all_recorded", "enough"]

#: With more calls than this unanswered there is nothing to judge.
_MOST_UNANSWERED = 0.5


def all_recorded(answers: Collection[Answer], suite: str) -> None:
    """Make sure that nothing is missing because nothing may be asked.

    Raises:
        RepliesMissing: a reply of *suite* is not kept.
    """
    missing = sum(isinstance(answer, NotRecorded) for answer in answers)
    if missing:
        raise RepliesMissing(
            f"{missing:,} of {len(answers):,} replies are not recorded; where they can be asked: "
            f"pytest --ftgate {suite} && pytest-ftgate ledger export {suite}"
        )


def enough(answers: Sequence[Answer]) -> None:
    """Make sure that there is something to judge.

    Raises:
        RepliesMissing: more than half of the calls brought no reply, or none of them can.
    """
    wrong = [answer for answer in answers if isinstance(answer, FtgateError)]
    hopeless = [error for error in wrong if isinstance(error, Denied | Unavailable | LedgerError)]
    if hopeless:
        raise RepliesMissing(str(hopeless[0])) from hopeless[0]
    broken = [error for error in wrong if not isinstance(error, OutOfBudget)]
    if len(broken) > _MOST_UNANSWERED * len(answers):
        told = f"{len(broken)} of {len(answers)} calls brought no reply; the first: {broken[0]}"
        raise RepliesMissing(told) from broken[0]

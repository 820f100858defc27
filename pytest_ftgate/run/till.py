"""What a run spends: the purse that stops it, and the bill at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from pytest_ftgate.ask.answers import Answer
from pytest_ftgate.ask.bill import JUDGES, Bill, bill
from pytest_ftgate.ask.purse import Purse
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import OutOfBudget
from pytest_ftgate.plan.call import Call
from pytest_ftgate.score.sheet import Column
from pytest_ftgate.settings import Settings

__all__ = ["Till"]

#: Whose replies those are that prove a variant and are scored for nobody.
_PROOFS = "proofs of identity"


class Till:
    """Knows every reply of this process, and what it cost.

    Args:
        settings: the limits.
        flying: tells which calls are in flight.
    """

    def __init__(self, settings: Settings, flying: Callable[[], Iterable[Call]]) -> None:
        limits = {"max_usd": settings.max_usd, "max_minutes": settings.max_minutes}
        self.purse = Purse(flying, time.monotonic, **limits)
        self._came: dict[str, tuple[Call, Answer]] = {}

    def note(self, calls: Iterable[Call], answers: Mapping[str, Answer]) -> None:
        """Take note of what became of *calls*."""
        self._came |= {call.fingerprint: (call, answers[call.fingerprint]) for call in calls}

    def bill(self, columns: Iterable[Column], judged: Iterable[str] = ()) -> Bill:
        """Return what the replies cost.

        Args:
            columns: by whose variants it is told.
            judged: the fingerprints of what judges were asked, which is told apart.
        """
        came = {k: (call, one) for k, (call, one) in self._came.items() if isinstance(one, Reply)}
        parts = [
            (
                column.variant,
                [came[k] for row in column.rows.values() for k in row.calls if k in came],
            )
            for column in columns
        ]
        grades = [came[name] for name in sorted(judged) if name in came]
        rest = [(JUDGES, grades), (_PROOFS, [*came.values()])]
        made = bill(float(self.purse.spent), [*parts, *rest])
        unasked = sum(isinstance(one, OutOfBudget) for _, one in self._came.values())
        return replace(made, stopped=self.purse.stopped, unasked=unasked)

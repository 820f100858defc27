"""What a run spends: the purse that stops it, and the bill at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from pytest_ftgate.ask.answers import Answer
from pytest_ftgate.ask.bill import Bill, Came, bill
from pytest_ftgate.ask.purse import Purse
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import OutOfBudget
from pytest_ftgate.plan.call import Ask, Call
from pytest_ftgate.settings import Settings

__all__ = ["Till"]

#: Whose replies those are that prove a variant and are scored for nobody.
_PROOFS = "proofs of identity"


class Till:
    """Keeps a run within its limits, and tells what it cost.

    Args:
        settings: the limits.
        flying: tells which calls are in flight.
    """

    def __init__(self, settings: Settings, flying: Callable[[], Iterable[Call]]) -> None:
        limits = {"max_usd": settings.max_usd, "max_minutes": settings.max_minutes}
        self.purse = Purse(flying, time.monotonic, **limits)

    def bill(
        self,
        scored: Iterable[tuple[str, Iterable[Ask]]],
        all_: Iterable[Iterable[Ask]],
        answers: Mapping[str, Answer],
    ) -> Bill:
        """Return what the replies cost.

        Args:
            scored: variants, and what they were asked.
            all_: whatever was asked, the proofs of identity among it.
            answers: what became of it.
        """
        parts = [*scored, *((_PROOFS, asks) for asks in all_)]
        came = ((name, _came(asks, answers)) for name, asks in parts)
        made = bill(float(self.purse.spent), came)
        unasked = sum(isinstance(one, OutOfBudget) for one in answers.values())
        return replace(made, stopped=self.purse.stopped, unasked=unasked)


def _came(asks: Iterable[Ask], answers: Mapping[str, Answer]) -> Iterator[Came]:
    for ask in asks:
        answer = answers.get(ask.call.fingerprint)
        if isinstance(answer, Reply):
            yield ask.call, answer

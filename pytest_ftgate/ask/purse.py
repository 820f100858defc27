"""A budget of money and time: what a run has spent, and when it must stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.plan.call import Call
from pytest_ftgate.plan.estimate import expected
from pytest_ftgate.suite.prices import price

__all__ = ["Purse"]

_MINUTE = 60.0


class Purse:
    """Counts what replies cost, and says when the money or the minutes of a run are used up.

    A call in flight counts as much as calls have cost so far on the average, since it can no
    longer be called back; before the first reply it counts what is expected of it.

    Args:
        flying: tells how many calls are in flight, the one that is to be sent among them.
        clock: seconds, from any point in time on.
        max_usd: what may be spent, or None for no limit.
        max_minutes: how long may be asked, from now on, or None for no limit.
    """

    def __init__(
        self,
        flying: Callable[[], int],
        clock: Callable[[], float],
        *,
        max_usd: float | None = None,
        max_minutes: float | None = None,
    ) -> None:
        self._flying, self._clock = flying, clock
        self._max_usd, self._max_minutes = max_usd, max_minutes
        self._until = None if max_minutes is None else clock() + _MINUTE * max_minutes
        self._expected = Decimal(0)
        self._replies = self._calls = 0
        #: USD, of the replies whose price is known.
        self.spent = Decimal(0)
        #: Why it said stop, or "".
        self.stopped = ""

    def expect(self, calls: Iterable[Call]) -> None:
        """Take in what is going to be asked."""
        for call in calls if self._max_usd is not None else ():
            cost = expected(call)
            if cost is not None:
                self._expected, self._calls = self._expected + cost, self._calls + 1

    def check(self) -> str | None:
        """Return why nothing more may be sent, or None where it may."""
        if self._until is not None and self._clock() >= self._until:
            self.stopped = f"the {self._max_minutes:g} minutes of --ftgate-max-minutes are over"
        elif self._max_usd is not None:
            ahead = self._flying() * self._typical()
            if self.spent + ahead > Decimal(str(self._max_usd)):
                told = f"{self.spent:.4f} of {self._max_usd:g} USD"
                self.stopped = f"--ftgate-max-usd is used up: {told} are spent"
        return self.stopped or None

    def count(self, call: Call, reply: Reply) -> None:
        """Add what a request cost; one without a price adds nothing."""
        cost = price(call.tariff, reply.usage)
        if cost is not None:
            self.spent += cost
            self._replies += 1

    def _typical(self) -> Decimal:
        if self._replies:
            return self.spent / self._replies
        return self._expected / self._calls if self._calls else Decimal(0)

"""A budget of money and time: what a run has spent, and when it must stop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from pytest_ftgate.ask.reply import Reply, paid
from pytest_ftgate.plan.call import Call
from pytest_ftgate.plan.estimate import expected
from pytest_ftgate.suite.prices import Tariff

__all__ = ["Purse"]

_MINUTE = 60.0


class Purse:
    """Counts what replies cost, and says when the money or the minutes of a run are used up.

    A call in flight counts as much as those of its model have cost so far on the average, since
    it can no longer be called back; before the first of them, what it is expected to cost.

    Args:
        flying: tells which calls are in flight, the one that is to be sent among them.
        clock: seconds, from any point in time on.
        max_usd: what may be spent, or None for no limit.
        max_minutes: how long may be asked, from now on, or None for no limit.
    """

    def __init__(
        self,
        flying: Callable[[], Iterable[Call]],
        clock: Callable[[], float],
        *,
        max_usd: float | None = None,
        max_minutes: float | None = None,
    ) -> None:
        self._flying, self._clock = flying, clock
        self._max_usd, self._max_minutes = max_usd, max_minutes
        self._until = None if max_minutes is None else clock() + _MINUTE * max_minutes
        self._costs: dict[tuple[Tariff, bool], list[Decimal]] = defaultdict(list)
        #: USD, of the replies whose price is known.
        self.spent = Decimal(0)
        #: Why it said stop, or "". From then on it always does.
        self.stopped = ""

    def check(self) -> str | None:
        """Return why nothing more may be sent, or None where it may."""
        if self._until is not None and self._clock() >= self._until:
            self.stopped = f"the {self._max_minutes:g} minutes of --ftgate-max-minutes are over"
        elif self._left() < 0:
            self._used_up()
        return self.stopped or None

    def affords(self, calls: Sequence[Call]) -> int:
        """Return how many of *calls*, sent together in their order, may be sent."""
        if self.check():
            return 0
        left = self._left()
        for number, call in enumerate(calls):
            left -= self._likely(call)
            if left < 0:
                self._used_up()
                return number
        return len(calls)

    def _left(self) -> Decimal:
        """Return the USD that remain once what is in flight has come; without a limit no end."""
        if self._max_usd is None:
            return Decimal("Infinity")
        flying = sum((self._likely(call) for call in self._flying()), Decimal(0))
        return Decimal(str(self._max_usd)) - self.spent - flying

    def _used_up(self) -> None:
        self.stopped = f"the {self._max_usd:g} USD of --ftgate-max-usd are used up"

    def count(self, call: Call, reply: Reply) -> None:
        """Add what a request cost; one without a price adds nothing."""
        cost = paid(call, reply)
        # A flat price is that of all turns with tools together: it is paid with the first.
        later = bool(call.steps) and call.tariff.per_1k is not None
        if cost is not None and not later:
            self.spent += cost
            self._costs[call.tariff, call.batch].append(cost)

    def _likely(self, call: Call) -> Decimal:
        costs = self._costs.get((call.tariff, call.batch))
        return sum(costs, Decimal(0)) / len(costs) if costs else expected(call) or Decimal(0)

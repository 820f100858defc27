"""The budget of a run: it stops new requests, and reports the cost of the replies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from typing import Protocol

from pytest_ftgate.requests.estimate import expected
from pytest_ftgate.requests.reply import Reply, paid
from pytest_ftgate.requests.request import Call
from pytest_ftgate.suite.prices import Tariff, listed_models

__all__ = ["JUDGES", "Bill", "Budget", "Came", "Purse", "bill", "summed"]


class Budget(Protocol):
    """What a run may spend. All methods run in the loop of the engine, so they must be quick."""

    def check(self) -> str | None:
        """Return why nothing more may be sent, or None while there is something left."""

    def affords(self, calls: Sequence[Call]) -> int:
        """Return how many of *calls*, sent together in their order, may be sent."""

    def count(self, call: Call, reply: Reply) -> None:
        """Take in what one request has cost.

        Args:
            call: the request; of a model that uses tools, one for each turn.
            reply: what it brought, with the tokens that it used.
        """


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


#: A call, and the reply that it brought.
Came = tuple[Call, Reply]

#: Whose the grades of judges are: of no variant.
JUDGES = "the judge"
#: Of a dollar; what lies beyond is noise of adding, in a file that people review.
_PLACES = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What replies cost, in USD.

    Attributes:
        asked: those that came in this run.
        variants: by variant all of its replies, those from the ledger at today's prices; a reply
            that several share is counted at the first.
        unknown: by variant the word for a price that nobody knows, ``local`` or ``unpriced``.
        listed: some of these could be in the public list, which is not installed.
        stopped: why the budget stopped the run, or "".
        unasked: how many calls were not sent for that.
    """

    asked: float = 0.0
    variants: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    listed: bool = False
    stopped: str = ""
    unasked: int = 0

    @property
    def used(self) -> float:
        """What all replies would have cost, had all been asked in this run."""
        return sum(self.variants.values())


def bill(asked: float, parts: Iterable[tuple[str, Iterable[Came]]]) -> Bill:
    """Return the bill of one process.

    Args:
        asked: what was spent in this run, in USD.
        parts: variants and their replies, in the order in which they count shared ones.
    """
    seen: set[str] = set()
    variants: dict[str, float] = {}
    unknown: dict[str, str] = {}
    listed = False
    for name, came in parts:
        for call, reply in came:
            cost = paid(call, reply)
            # What a file says was paid for elsewhere, if it was at all.
            free = cost is None and call.provider == "recorded"
            if free or call.fingerprint in seen:
                continue
            seen.add(call.fingerprint)
            if cost is not None:
                variants[name] = variants.get(name, 0.0) + float(cost)
            else:
                unknown[name] = call.tariff.unknown
                listed = listed or bool(call.tariff.model)
    listed = listed and listed_models() is None
    told = {name: round(cost, _PLACES) for name, cost in variants.items()}
    return Bill(asked=round(asked, _PLACES), variants=told, unknown=unknown, listed=listed)


def summed(bills: Sequence[Bill]) -> Bill:
    """Return the bill of all processes of a run, which share the replies of their variants."""
    names = dict.fromkeys(chain.from_iterable(one.variants for one in bills))
    return Bill(
        asked=sum(one.asked for one in bills),
        variants={name: max(one.variants.get(name, 0.0) for one in bills) for name in names},
        unknown={name: word for one in bills for name, word in one.unknown.items()},
        listed=any(one.listed for one in bills),
        stopped=next((one.stopped for one in bills if one.stopped), ""),
        unasked=sum(one.unasked for one in bills),
    )

"""The budget of a run: it stops new requests, and reports progress and cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain

from pytest_ftgate.requests.estimate import expected_cost
from pytest_ftgate.requests.reply import Reply, reply_cost
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.prices import Tariff, listed_models
from pytest_ftgate.suite.providers import provider_spec

#: The rate is that of the last so many seconds.
_RECENT = 30


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of the requests of a run.

    Attributes:
        planned: requests submitted so far.
        reused: requests whose reply came from the cache or a file.
        received: requests whose reply came in this run.
        failed: requests that failed.
        seconds: the time since the first request was sent; 0 before that.
        rate: the replies and failures a second, in the last half minute.
        batched: requests in batches that have not ended.
        in_flight: requests in flight now.
        peak_in_flight: the largest number of requests in flight so far.
        failing: why the request that failed last is sent again; "" once a reply came.
        notices: what providers say of how they work, a sentence each.
        usd: the cost of the replies of this run, as far as their price is known.
        possible: requests that may follow, if the replies so far do not decide.
        has_more: True if further requests, of a number that replies decide, follow those.
    """

    planned: int = 0
    reused: int = 0
    received: int = 0
    failed: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    batched: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    failing: str = ""
    notices: tuple[str, ...] = ()
    usd: float = 0.0
    possible: int = 0
    has_more: bool = False

    @property
    def to_send(self) -> int:
        """The requests whose reply was not in the cache."""
        return self.planned - self.reused


class RecentRate:
    """The rate of the last half minute; may be read in another thread than it is counted in."""

    def __init__(self) -> None:
        #: The requests that finished in each second since the start.
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one finished request, *seconds* after the start."""
        self._counts[int(seconds)] += 1

    def per_second(self, seconds: float) -> float:
        """Return the finished requests a second, in the half minute before *seconds*."""
        first, last = max(0, int(seconds) + 1 - _RECENT), int(seconds)
        count = sum(self._counts[second] for second in range(first, last + 1))
        return count / (seconds - first) if count and seconds > first else 0.0


_MINUTE = 60.0


class Budget:
    """Records costs, and stops requests when the money or the minutes of a run are used up.

    A request in flight counts with the average cost of its model so far, since it can no longer
    be stopped. Before the first reply it counts with its expected cost.

    The client calls all methods in the engine's loop, so they must be quick.

    *in_flight* returns the requests in flight, the one to be sent included. *clock* returns seconds
    of a monotonic clock. The minutes count from now on. None is no limit.
    """

    def __init__(
        self,
        in_flight: Callable[[], Iterable[Request]],
        clock: Callable[[], float],
        *,
        max_usd: float | None = None,
        max_minutes: float | None = None,
    ) -> None:
        self._in_flight, self._clock = in_flight, clock
        self._max_usd, self._max_minutes = max_usd, max_minutes
        self._deadline = None if max_minutes is None else clock() + _MINUTE * max_minutes
        self._costs: dict[tuple[Tariff, bool], list[Decimal]] = defaultdict(list)
        #: The cost of all replies with a known price, in USD.
        self.spent = Decimal(0)
        #: Why the budget stopped the run, or "". It never changes back.
        self.stopped = ""

    def stop_reason(self) -> str | None:
        """Return why nothing more may be sent, or None if the budget is not used up."""
        if self._deadline is not None and self._clock() >= self._deadline:
            self.stopped = f"budget of {self._max_minutes:g} minutes (--ftgate-max-minutes) reached"
        elif self._remaining() < 0:
            self._stop_for_cost()
        return self.stopped or None

    def affordable_count(self, requests: Sequence[Request]) -> int:
        """Return how many of *requests*, sent together in their order, the budget covers."""
        if self.stop_reason():
            return 0
        remaining = self._remaining()
        for number, request in enumerate(requests):
            remaining -= self._likely_cost(request)
            if remaining < 0:
                self._stop_for_cost()
                return number
        return len(requests)

    def _remaining(self) -> Decimal:
        """Return the USD left after the requests in flight; infinite without a limit."""
        if self._max_usd is None:
            return Decimal("Infinity")
        committed = sum(map(self._likely_cost, self._in_flight()), Decimal(0))
        return Decimal(str(self._max_usd)) - self.spent - committed

    def _stop_for_cost(self) -> None:
        # At least two decimals, and more only if they were typed.
        whole, _, decimals = f"{Decimal(str(self._max_usd)):f}".partition(".")
        money = f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
        self.stopped = f"budget of {money} USD (--ftgate-max-usd) reached"

    def record_cost(self, request: Request, reply: Reply) -> None:
        """Add the cost of a request; in a tool loop, it is that of one turn.

        A request without a price adds nothing.
        """
        cost = reply_cost(request, reply)
        # A flat price covers all turns of a tool loop: it is paid with the first turn.
        is_paid = bool(request.steps) and request.tariff.per_1k is not None
        if cost is not None and not is_paid:
            self.spent += cost
            self._costs[request.tariff, request.batch].append(cost)

    def _likely_cost(self, request: Request) -> Decimal:
        costs = self._costs.get((request.tariff, request.batch))
        if costs:
            return sum(costs, Decimal(0)) / len(costs)
        return expected_cost(request) or Decimal(0)


#: A request and its reply.
Exchange = tuple[Request, Reply]

#: The name under which the replies of judges are reported: they belong to no variant.
JUDGE_LABEL = "the judge"
#: Decimal places of a dollar; the digits beyond are rounding noise in a file that people review.
_DECIMALS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReport:
    """The cost of replies, in USD.

    Attributes:
        asked: the cost of the replies received in this run.
        variants: the cost of all replies of each variant, cached ones at today's prices; a reply
            that several variants share counts for the first one.
        unknown: variants without a known price, each with ``local`` or ``unpriced``.
        listed: True if the public price list, which is not installed, may have prices for them.
        stopped: why the budget stopped the run, or "".
        unasked: the number of requests that the budget stopped.
    """

    asked: float = 0.0
    variants: Mapping[str, float] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    listed: bool = False
    stopped: str = ""
    unasked: int = 0

    @property
    def used(self) -> float:
        """The cost of all replies, as if this run had requested each of them."""
        return sum(self.variants.values())


def cost_report(spent: float, parts: Iterable[tuple[str, Iterable[Exchange]]]) -> CostReport:
    """Return the cost report of one process, which spent *spent* USD in this run.

    *parts* are the variants with their requests and replies; a shared reply counts for the first.
    """
    seen: set[str] = set()
    variants: dict[str, float] = {}
    unknown: dict[str, str] = {}
    listed = False
    for name, exchanges in parts:
        for request, reply in exchanges:
            if request.fingerprint in seen:
                continue
            cost = reply_cost(request, reply)
            # Recorded replies without a price were paid for elsewhere, if at all.
            if cost is None and provider_spec(request.provider).recorded:
                continue
            seen.add(request.fingerprint)
            if cost is not None:
                variants[name] = variants.get(name, 0.0) + float(cost)
            else:
                unknown[name] = request.tariff.no_price_label
                listed = listed or bool(request.tariff.model)
    return CostReport(
        asked=round(spent, _DECIMALS),
        variants={name: round(cost, _DECIMALS) for name, cost in variants.items()},
        unknown=unknown,
        listed=listed and listed_models() is None,
    )


def merge_cost_reports(reports: Sequence[CostReport]) -> CostReport:
    """Return one report for all processes of a run, which share the replies of variants."""
    names = dict.fromkeys(chain.from_iterable(report.variants for report in reports))
    return CostReport(
        asked=sum(report.asked for report in reports),
        variants={
            name: max(report.variants.get(name, 0.0) for report in reports) for name in names
        },
        unknown={name: label for report in reports for name, label in report.unknown.items()},
        listed=any(report.listed for report in reports),
        stopped=next((report.stopped for report in reports if report.stopped), ""),
        unasked=sum(report.unasked for report in reports),
    )

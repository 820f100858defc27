"""What the replies of a run cost, as far as their prices are known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from pytest_ftgate.ask.reply import Reply, paid
from pytest_ftgate.plan.call import Call
from pytest_ftgate.suite.prices import listed_models

__all__ = ["JUDGES", "Bill", "Came", "bill", "summed"]

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

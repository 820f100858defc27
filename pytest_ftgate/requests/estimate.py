"""Estimates the number of requests, the tokens, the cost and the time of a run."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pytest_ftgate.requests.request import Call
from pytest_ftgate.suite.prices import price

__all__ = ["USUAL_SECONDS", "Estimate", "Past", "estimate", "expected", "tokens_in"]

#: A token is about so many characters of English.
_CHARACTERS = 4
#: A reply is taken for so long, in tokens, where its price is needed and none has come yet.
_USUAL_OUTPUT = 100
#: A reply is taken to last so many seconds where none was timed yet.
USUAL_SECONDS = 2.0
#: How many calls each provider answers at once, where not these many.
_HANDS, _OWN_HANDS = 16, {"classical": 1, "llamacpp": 8, "python": 1, "recorded": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What earlier replies took on the average; None where there is none to go by.

    Attributes:
        output: tokens of a reply.
        seconds: from sending a request to having the whole reply.
    """

    output: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one variant would ask.

    Attributes:
        calls: distinct calls that no variant before it needs.
        kept: how many of them the ledger can answer.
        tokens: about how many tokens the others read and write; 0 where no model is asked.
        usd: what they would cost, as far as prices are known; None where none is.
        unknown: the word for the rest, ``local`` or ``unpriced``; "" where there is none.
        listed: some of the rest could be in the public list of prices.
        seconds: how long they would take, one after the other as far as the provider must.
        assumed: no reply was timed yet, so that *seconds* rests on what is usual.
        lane: what shares its time: calls of one provider and model wait for each other.
    """

    variant: str
    calls: int
    kept: int
    tokens: int
    usd: Decimal | None = None
    unknown: str = ""
    listed: bool = False
    seconds: float = 0.0
    assumed: bool = False
    lane: tuple[str, str] = ("", "")

    @property
    def to_ask(self) -> int:
        """How many calls the ledger cannot answer."""
        return self.calls - self.kept


def tokens_in(text: str) -> int:
    """Return about how many tokens *text* has."""
    return len(text) // _CHARACTERS


def expected(call: Call, output: float = _USUAL_OUTPUT) -> Decimal | None:
    """Return what *call* should cost in USD if its reply has *output* tokens; None if unknown."""
    written = min(round(output), call.max_tokens)
    return price(call.tariff, {"input": _read(call), "output": written}, batch=call.batch)


def estimate(
    variant: str,
    calls: Sequence[Call],
    kept: Container[str],
    past: Past | None = None,
    at_once: int | None = None,
) -> Estimate:
    """Estimate what asking *calls* takes, less those whose fingerprints are *kept*.

    Args:
        variant: whose calls they are.
        calls: the calls.
        kept: fingerprints that the ledger can answer.
        past: what earlier replies took; without it they are taken to be as long as they may be.
        at_once: how many calls may be in flight, or None for the provider's own number.
    """
    past = past or Past()
    to_ask = [call for call in calls if call.fingerprint not in kept]
    by_model = [call for call in to_ask if call.case is None]
    written = sum(_written(call, past) for call in by_model)
    return Estimate(
        variant=variant,
        calls=len(calls),
        kept=len(calls) - len(to_ask),
        tokens=round(written) + sum(map(_read, by_model)),
        seconds=_seconds(to_ask, past, at_once),
        assumed=bool(to_ask) and past.seconds is None,
        lane=(calls[0].provider, calls[0].model) if calls else ("", ""),
        **_money(to_ask or calls[:1], past, len(to_ask)),
    )


def _money(calls: Sequence[Call], past: Past, to_ask: int) -> dict[str, Any]:
    """Return what *calls* cost; with none *to_ask* one of them tells whether there is a price."""
    costs = {call.fingerprint: expected(call, _written(call, past)) for call in calls}
    known = [cost for cost in costs.values() if cost is not None]
    rest = [call.tariff for call in calls if costs[call.fingerprint] is None]
    return {
        "usd": sum(known, Decimal(0)) * bool(to_ask) if known else None,
        "unknown": rest[0].unknown if rest else "",
        "listed": any(tariff.model for tariff in rest),
    }


def _read(call: Call) -> int:
    return sum(len(text) for _, text in call.messages) // _CHARACTERS


def _written(call: Call, past: Past) -> float:
    return call.max_tokens if past.output is None else min(past.output, call.max_tokens)


def _seconds(to_ask: Sequence[Call], past: Past, at_once: int | None) -> float:
    if not to_ask:
        return 0.0
    usual = _OWN_HANDS.get(to_ask[0].provider, _HANDS)
    hands = at_once or to_ask[0].runtime.get("slots", usual)
    each = USUAL_SECONDS if past.seconds is None else past.seconds
    return each * max(1.0, len(to_ask) / hands)

"""Estimate the number of requests, the tokens, the cost and the time of a run."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.prices import request_price
from pytest_ftgate.suite.providers import provider_spec

#: Characters of English text in one token, on average.
_CHARACTERS = 4
#: The assumed length of a reply before the first reply arrives, in tokens.
_DEFAULT_OUTPUT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyHistory:
    """Averages over earlier replies; None if there are none.

    Attributes:
        output_tokens: the tokens of a reply.
        seconds: the time from sending a request to receiving the whole reply.
    """

    output_tokens: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEstimate:
    """The estimated requests of one variant.

    Attributes:
        requests: the number of distinct requests that no earlier variant needs.
        cached: the number of requests that the cache can answer.
        tokens: the approximate input and output tokens of the other requests; 0 for providers
            without a language model.
        usd: their cost, as far as prices are known; None if no price is known.
        unpriced_reason: why the rest has no price, ``local`` or ``unpriced``; "" if all have one.
        has_list_price: True if the public price list may have a price for the rest.
        seconds: the time that they take at the provider's concurrency, if no rate limit slows it;
            None if no reply was timed yet.
        backend: provider and model; requests of one backend share its concurrency.
        keys: the variables of the keys that the requests carry, each with the host.
    """

    variant: str
    requests: int
    cached: int
    tokens: int
    usd: Decimal | None = None
    unpriced_reason: str = ""
    has_list_price: bool = False
    seconds: float | None = 0.0
    backend: tuple[str, str] = ("", "")
    keys: tuple[tuple[str, str], ...] = ()

    @property
    def to_send(self) -> int:
        """The number of requests that the cache cannot answer."""
        return self.requests - self.cached


@dataclass(frozen=True, slots=True)
class EstimateRange:
    """The requests of one variant: the *least* that a run sends, and the *most* that it may send.

    Replies decide between them: gates that look several times stop at the first clear verdict,
    and wrong must-pass cases are asked again.
    """

    least: RequestEstimate
    most: RequestEstimate


def estimate_tokens(text: str) -> int:
    """Return the approximate number of tokens of *text*."""
    return len(text) // _CHARACTERS


def thought_tokens(reply: Reply) -> int:
    """Return the tokens of the thought of *reply*, counted by the server or estimated."""
    return reply.usage.get("thought") or estimate_tokens(reply.thought)


def expected_cost(request: Request, output_tokens: float = _DEFAULT_OUTPUT) -> Decimal | None:
    """Return the cost of *request* in USD for a reply of *output_tokens*, or None if unknown."""
    usage = {
        "input": _input_tokens(request),
        "output": min(round(output_tokens), request.max_tokens),
    }
    return request_price(request.tariff, usage, batch=request.batch)


def estimate_requests(
    variant: str,
    requests: Sequence[Request],
    cached: Container[str],
    history: ReplyHistory | None = None,
    concurrency: int | None = None,
) -> RequestEstimate:
    """Estimate what sending *requests* takes, without those in the cache.

    *cached* are the fingerprints that the cache can answer. *history* has averages over earlier
    replies; without them each reply has its maximum length. *concurrency* is the number of requests
    in flight, or None for the provider's default.
    """
    history = history or ReplyHistory()
    to_send = [request for request in requests if request.fingerprint not in cached]
    to_models = [request for request in to_send if request.case is None]
    output_tokens = sum(_output_tokens(request, history) for request in to_models)
    return RequestEstimate(
        variant=variant,
        requests=len(requests),
        cached=len(requests) - len(to_send),
        tokens=round(output_tokens) + sum(map(_input_tokens, to_models)),
        seconds=_seconds(to_send, history, concurrency),
        backend=(requests[0].provider, requests[0].model) if requests else ("", ""),
        **_cost_fields(to_send or requests[:1], history, len(to_send)),
    )


def _cost_fields(
    requests: Sequence[Request], history: ReplyHistory, to_send: int
) -> dict[str, Any]:
    """Return the cost of *requests*; if none is *to_send*, only whether a price is known."""
    costs = {
        request.fingerprint: expected_cost(request, _output_tokens(request, history))
        for request in requests
    }
    known = [cost for cost in costs.values() if cost is not None]
    rest = [request.tariff for request in requests if costs[request.fingerprint] is None]
    return {
        "usd": sum(known, Decimal(0)) * bool(to_send) if known else None,
        "unpriced_reason": rest[0].no_price_label if rest else "",
        "has_list_price": any(tariff.model for tariff in rest),
    }


def _input_tokens(request: Request) -> int:
    return sum(len(text) for _, text in request.messages) // _CHARACTERS


def _output_tokens(request: Request, history: ReplyHistory) -> float:
    if history.output_tokens is None:
        return request.max_tokens
    return min(history.output_tokens, request.max_tokens)


def _seconds(
    to_send: Sequence[Request], history: ReplyHistory, concurrency: int | None
) -> float | None:
    if not to_send:
        return 0.0
    if history.seconds is None:
        return None
    spec = provider_spec(to_send[0].provider)
    start = concurrency or to_send[0].runtime.get("slots", spec.concurrency)
    maximum = concurrency or spec.max_concurrency
    return history.seconds * _round_trips(len(to_send), start, maximum)


def _round_trips(requests: int, start: int, maximum: int) -> float:
    """Return the round trips of *requests* if the concurrency doubles from *start* to *maximum*."""
    in_flight, trips = start, 0
    while in_flight < maximum and requests > in_flight:
        requests, trips = requests - in_flight, trips + 1
        in_flight = min(2 * in_flight, maximum)
    return trips + max(1.0, requests / in_flight)

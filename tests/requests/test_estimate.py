"""What requests take: time in the round trips of the rate limiter, tokens, and money."""

from __future__ import annotations

from decimal import Decimal

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.client.rate_limit import RateLimiter
from pytest_ftgate.requests.estimate import ReplyHistory, estimate_requests
from pytest_ftgate.suite.prices import Tariff
from pytest_ftgate.suite.providers import PROVIDERS, provider_spec

SECOND = ReplyHistory(seconds=1.0)


@pytest.fixture
def calls(call):
    """Make requests that read two tokens and may write 100, at a dollar a thousand."""
    tariff = Tariff(per_1m_input=1000, per_1m_output=1000)

    def made(count: int = 32, provider: str = "anthropic", **changes):
        known = {"provider": provider, "max_tokens": 100, "tariff": tariff, **changes}
        return [call(f"case{number:04}", **known) for number in range(count)]

    return made


def round_trips(provider: str, count: int) -> int:
    """Send *count* requests in waves, as large as the rate limiter allows; return their number."""
    spec, trips = provider_spec(provider), 0
    limiter = RateLimiter(spec.concurrency, max(spec.concurrency, spec.max_concurrency))
    while count:
        wave = 0
        while wave < count and limiter.has_capacity(0.0):
            limiter.acquire(0.0)
            wave += 1
        for _ in range(wave):
            limiter.record_reply(0.0, 1.0)
        count, trips = count - wave, trips + 1
    return trips


@every_row("count", [1, 8, 9, 128, 640])
@every_row("provider", [*PROVIDERS, "house"])
def test_the_estimate_is_the_round_trips_of_the_rate_limiter(calls, provider, count):
    estimate = estimate_requests("one", calls(count, provider), (), SECOND)

    # The last wave counts in part.
    trips = round_trips(provider, count)
    assert trips - 1 < estimate.seconds <= trips


@every_row(
    ("past", "at_once", "seconds"),
    [
        (None, None, None),
        (ReplyHistory(seconds=0.5), None, 1.5),
        (ReplyHistory(seconds=0.5), 4, 4.0),
        (ReplyHistory(seconds=0.5), 64, 0.5),
    ],
)
def test_time_is_that_of_earlier_replies_over_the_requests_at_once_or_unknown_without_any(
    calls, past, at_once, seconds
):
    assert estimate_requests("one", calls(), (), past, at_once).seconds == seconds


@every_row(
    ("past", "tokens", "usd"),
    [(None, 32 * 102, "3.264"), (ReplyHistory(output_tokens=8.0), 32 * 10, "0.32")],
)
def test_a_request_is_priced_as_long_as_earlier_replies_were_or_as_it_may_be(
    calls, past, tokens, usd
):
    told = estimate_requests("one", calls(), (), past)

    assert (told.tokens, told.usd, told.unpriced_reason) == (tokens, Decimal(usd), "")


@every_row(("cached", "tokens", "usd"), [(0, 3 * 102, "0.306"), (2, 102, "0.102"), (3, 0, "0")])
def test_what_is_cached_takes_no_tokens_and_costs_nothing(calls, cached, tokens, usd):
    every = calls(3)
    told = estimate_requests("one", every, {one.fingerprint for one in every[:cached]})

    assert (told.requests, told.cached, told.to_send) == (3, cached, 3 - cached)
    assert (told.tokens, told.usd) == (tokens, Decimal(usd))
    assert (told.seconds == 0.0) is (cached == 3)


def test_what_asks_no_model_takes_no_tokens_and_has_a_word_for_its_price(calls):
    local = calls(provider="python", case="a case", tariff=Tariff(local=True))
    told = estimate_requests("one", local, ())

    assert (told.tokens, told.usd, told.unpriced_reason) == (0, None, "local")

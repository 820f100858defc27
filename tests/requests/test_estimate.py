"""The estimated time of a run is that of the rate limiter which sends the requests."""

from __future__ import annotations

from ftgate_testing.tables import every_row

from pytest_ftgate.client.rate_limit import RateLimiter
from pytest_ftgate.requests.estimate import ReplyHistory, estimate_requests
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.providers import PROVIDERS, provider_spec


def requests(provider: str, count: int) -> list[Request]:
    return [
        Request(
            fingerprint=str(n), provider=provider, model="m", messages=(), max_tokens=1, sampling={}
        )
        for n in range(count)
    ]


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
def test_the_estimate_is_the_round_trips_of_the_rate_limiter(provider, count):
    estimate = estimate_requests("one", requests(provider, count), (), ReplyHistory(seconds=1.0))

    # The last wave counts in part.
    trips = round_trips(provider, count)
    assert trips - 1 < estimate.seconds <= trips


def test_hosted_providers_start_with_few_requests_and_send_more():
    # 8, 16 and 32 requests, then 64 at a time.
    seconds = estimate_requests(
        "one", requests("openai-compatible", 184), (), ReplyHistory(seconds=1.0)
    ).seconds

    assert seconds == 5.0

"""How many calls may be in flight at once, on a clock that the tests turn."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import count, islice

import pytest

from pytest_ftgate.client.rate_limit import RateLimiter, model_family, seconds_until_reset

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class Server:
    """Answers round trip by round trip what a limiter lets through.

    Args:
        limiter: what is tried.
        takes: how many of the calls of one round trip it answers, the others meet its limit.
    """

    def __init__(self, limiter: RateLimiter, takes: int = 1_000_000) -> None:
        self.limiter, self.takes, self.now = limiter, takes, 0.0

    def round_trip(self, calls: int = 1_000_000) -> int:
        """Send as many of *calls* as there is room for, and let all be answered."""
        sent = 0
        while sent < calls and self.limiter.has_capacity(self.now):
            self.limiter.acquire()
            sent += 1
        sent_at, self.now = self.now, self.now + 1.0
        for number in range(sent):
            if number < self.takes:
                self.limiter.record_reply()
            else:
                self.limiter.record_failure(sent_at, self.now, limited=True, retry_after=None)
        return sent


def test_it_begins_where_it_is_told_and_doubles_up_to_the_most():
    server = Server(RateLimiter(8, 100))

    assert [server.round_trip() for _ in range(6)] == [8, 16, 32, 64, 100, 100]


def test_one_that_begins_at_its_most_stays_there():
    server = Server(RateLimiter(50, 50))

    assert [server.round_trip() for _ in range(3)] == [50, 50, 50]


def test_what_is_not_made_use_of_does_not_grow():
    server = Server(RateLimiter(8, 100))

    assert [server.round_trip(calls=5) for _ in range(20)] == [5] * 20
    assert server.limiter.limit == 8


def test_after_it_gave_way_it_grows_by_one_a_round_trip():
    server = Server(RateLimiter(16, 100), takes=11)
    server.round_trip()
    server.takes = 1_000_000

    assert [server.round_trip() for _ in range(4)] == [8, 9, 10, 11]


def test_it_halves_once_a_round_trip_however_many_calls_meet_the_limit():
    server = Server(RateLimiter(64, 64), takes=0)

    assert [server.round_trip() for _ in range(5)] == [64, 32, 16, 8, 4]


def test_it_halves_down_to_one_call_at_a_time():
    server = Server(RateLimiter(4, 64), takes=0)
    for _ in range(20):
        server.round_trip()

    assert server.limiter.limit == 1


def test_a_few_limits_among_few_calls_are_chance():
    server = Server(RateLimiter(4, 4), takes=2)

    assert [server.round_trip() for _ in range(2)] == [4, 4]


def test_it_keeps_near_to_what_the_server_takes():
    server = Server(RateLimiter(8, 200), takes=40)
    for _ in range(10):
        server.round_trip()
    later = [server.round_trip() for _ in range(200)]

    assert 24 <= min(later) <= max(later) <= 64
    assert sum(later) / len(later) == pytest.approx(40, abs=8)


def test_calls_turned_away_at_random_do_not_bring_it_down():
    # A tenth of the calls, as where a server is overloaded in parts.
    limiter, chance, in_flight = RateLimiter(50, 50), random.Random(1), []
    for now in range(2_000):
        while limiter.has_capacity(now):
            limiter.acquire()
            in_flight.append(now)
        if chance.random() < 0.1:
            limiter.record_failure(in_flight.pop(0), now, limited=True, retry_after=None)
        else:
            in_flight.pop(0)
            limiter.record_reply()

    assert limiter.limit > 40


def test_single_calls_turned_away_do_not_keep_it_from_growing():
    limiter, numbers = RateLimiter(8, 128), count()
    for now in range(8):
        sent = 0
        while limiter.has_capacity(now):
            limiter.acquire()
            sent += 1
        for number in islice(numbers, sent):
            if number % 10 == 9:
                limiter.record_failure(now, now + 0.5, limited=True, retry_after=0.4)
            else:
                limiter.record_reply()

    assert limiter.limit == 128


def test_a_wait_asked_of_one_call_among_many_that_are_answered_holds_no_other_up():
    limiter = RateLimiter(8, 8)
    for _ in range(8):
        limiter.acquire()
    for _ in range(7):
        limiter.record_reply()
    limiter.record_failure(0.0, 1.0, limited=True, retry_after=30.0)

    assert limiter.has_capacity(1.0)


def test_trouble_that_is_no_limit_changes_nothing():
    limiter = RateLimiter(8, 100)
    for _ in range(200):
        limiter.acquire()
        limiter.record_failure(0.0, 1.0, limited=False, retry_after=None)

    assert (limiter.limit, limiter.in_flight) == (8, 0)


def test_a_call_that_was_not_sent_gives_its_place_back():
    limiter = RateLimiter(1, 1)
    limiter.acquire()
    assert not limiter.has_capacity(0.0)

    limiter.release()
    assert limiter.has_capacity(0.0)


@pytest.mark.parametrize(("asked_for", "waited"), [(3.0, 3.0), (0.0, 0.0), (86_400.0, 60.0)])
def test_nobody_sends_before_the_wait_that_a_server_asks_for_is_over(asked_for, waited):
    limiter = RateLimiter(8, 8)
    limiter.acquire()
    limiter.record_failure(100.0, 101.0, limited=True, retry_after=asked_for)

    assert limiter.has_capacity(101.0 + waited)
    assert waited == 0.0 or not limiter.has_capacity(100.9 + waited)


def test_a_shorter_wait_does_not_end_a_longer_one():
    limiter = RateLimiter(8, 8)
    limiter.pause_until(30.0, 0.0)
    limiter.pause_until(5.0, 1.0)

    assert not limiter.has_capacity(29.0)


@pytest.mark.parametrize(
    ("models", "shared"),
    [
        (["claude-opus-4-5-20251101", "claude-opus-4-1", "claude-opus-4-5"], "claude-opus-4"),
        (["claude-haiku-5-5"], "claude-haiku-5"),
        (["gpt-4o-2024-08-06", "gpt-4o"], "gpt-4o"),
        (["gpt-4o-mini"], "gpt-4o-mini"),
        (["llama-3.3-70b"], "llama-3.3-70b"),
        (["tickets-lora-v7"], "tickets-lora-v7"),
    ],
)
def test_models_that_share_a_limit_are_one_family(models, shared):
    assert {model_family(model) for model in models} == {shared}


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-24T12:00:30Z",
            },
            30.0,
        ),
        (
            {
                "anthropic-ratelimit-requests-remaining": "20",
                "anthropic-ratelimit-requests-reset": "2026-11-24T12:00:30Z",
            },
            0.0,
        ),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-24T11:59:30Z",
            },
            0.0,
        ),
        (
            {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "1m30.5s"},
            90.5,
        ),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, 0.0),
        ({"x-ratelimit-remaining-requests": "0"}, 0.0),
        ({"x-ratelimit-remaining-requests": "none"}, 0.0),
    ],
)
def test_a_server_with_few_requests_left_is_left_alone_until_it_has_more(headers, seconds):
    assert seconds_until_reset(headers, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("left", "seconds"),
    [
        ({"input": "900", "output": "0"}, 20.0),
        ({"input": "100", "output": "90"}, 30.0),
        ({"input": "900", "output": "900"}, 0.0),
    ],
)
def test_a_server_with_fewer_tokens_left_than_a_call_takes_is_left_alone(left, seconds):
    name = "anthropic-ratelimit-{}-tokens-{}"
    headers = {name.format(kind, "remaining"): count for kind, count in left.items()}
    headers |= {
        name.format("input", "reset"): "2026-11-24T12:00:30Z",
        name.format("output", "reset"): "2026-11-24T12:00:20Z",
    }

    assert seconds_until_reset(headers, NOW, tokens=150) == pytest.approx(seconds)


def test_tokens_of_an_openai_server_count_as_well():
    headers = {"x-ratelimit-remaining-tokens": "149", "x-ratelimit-reset-tokens": "6m0s"}

    assert seconds_until_reset(headers, NOW, tokens=150) == pytest.approx(360.0)

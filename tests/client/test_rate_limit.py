"""How many calls may be in flight at once, on a clock that the tests turn."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import pairwise
from statistics import median

import pytest
from ftgate_testing.tables import every_row

from pytest_ftgate.client.rate_limit import RateLimiter, model_family, seconds_until_reset

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


#: Seconds that a reply takes, and a refusal, on the clock of the tests.
REPLY, REFUSAL = 1.0, 0.02


class Server:
    """Sends requests through a limiter, as the scheduler does, on a clock of its own.

    Args:
        limiter: what is tried.
        accepts: returns whether the request that arrives at a time is accepted.
        retry_after: the wait that a refusal asks for, if it does, or a function of the time.
    """

    def __init__(self, limiter: RateLimiter, accepts=lambda now: True, retry_after=None) -> None:
        self.limiter, self.accepts, self.retry_after = limiter, accepts, retry_after
        self.now, self.outcomes, self.sent_at = 0.0, [], []
        self._in_flight: list[tuple[float, float, bool]] = []
        self._again: list[float] = []

    def answer(self, requests: int) -> float:
        """Send until *requests* requests have their reply; return the seconds."""
        start, waiting = self.now, requests
        while waiting or self._again or self._in_flight:
            while (waiting or self._is_again_due()) and self.limiter.has_capacity(self.now):
                waiting -= not self._is_again_due()
                if self._is_again_due():
                    heappop(self._again)
                self._send()
            self.now = self._next_event(may_send=bool(waiting or self._is_again_due()))
            while self._in_flight and self._in_flight[0][0] <= self.now:
                self._finish(*heappop(self._in_flight)[1:])
        return self.now - start

    def _is_again_due(self) -> bool:
        return bool(self._again) and self._again[0] <= self.now

    def _send(self) -> None:
        self.limiter.acquire(self.now)
        is_accepted = self.accepts(self.now)
        self.outcomes.append(is_accepted)
        self.sent_at.append(self.now)
        ends = self.now + (REPLY if is_accepted else REFUSAL)
        heappush(self._in_flight, (ends, self.now, is_accepted))

    def _finish(self, sent_at: float, is_accepted: bool) -> None:
        if is_accepted:
            self.limiter.record_reply(sent_at, self.now)
            return
        wait = self.retry_after(self.now) if callable(self.retry_after) else self.retry_after
        self.limiter.record_failure(sent_at, self.now, limited=True, retry_after=wait)
        heappush(self._again, self.now + (wait or 0.1))

    def _next_event(self, *, may_send: bool) -> float:
        events = [*self._in_flight[:1]] and [self._in_flight[0][0]]
        events += [self.limiter.opens_at] if may_send and self.limiter.opens_at > self.now else []
        events += [self._again[0]] if self._again and self._again[0] > self.now else []
        return min(events)

    def refused(self, start: int = 0) -> float:
        """Return the share of requests that were refused, from the one numbered *start* on."""
        outcomes = self.outcomes[start:]
        return 1 - sum(outcomes) / len(outcomes)


def at_random(share: float, seed: int = 0):
    """Refuse this share of the requests, whatever their rate."""
    drawn = random.Random(seed)
    return lambda now: drawn.random() >= share


def token_bucket(rate: float, burst: int):
    """Accept so many requests a second, and so many at once."""
    tokens, last = float(burst), 0.0

    def accepts(now: float) -> bool:
        nonlocal tokens, last
        tokens, last = min(burst, tokens + (now - last) * rate), now
        is_accepted = tokens >= 1 - 1e-9
        tokens -= is_accepted
        return is_accepted

    return accepts


def fixed_window(number: int):
    """Accept so many requests in each minute."""
    minute, left = -1, 0

    def accepts(now: float) -> bool:
        nonlocal minute, left
        if now // 60 != minute:
            minute, left = now // 60, number
        is_accepted = left > 0
        left -= is_accepted
        return is_accepted

    return accepts


def end_of_window(now: float) -> float:
    """Return the seconds until the next minute."""
    return 60 - now % 60


def send_together(limiter: RateLimiter, now: float = 0.0, requests: int = 1_000_000) -> int:
    """Send as many of *requests* as may be in flight; return their number."""
    sent = 0
    while sent < requests and limiter.has_capacity(now):
        limiter.acquire(now)
        sent += 1
    return sent


def test_it_begins_where_it_is_told_and_doubles_up_to_the_most():
    limiter, sent = RateLimiter(8, 100), []
    for now in range(6):
        sent.append(send_together(limiter, now))
        for _ in range(sent[-1]):
            limiter.record_reply(now, now + REPLY)

    assert sent == [8, 16, 32, 64, 100, 100]


def test_what_is_not_made_use_of_does_not_grow():
    server = Server(RateLimiter(8, 100))
    for _ in range(20):
        server.answer(5)

    assert server.limiter.limit == 8


def test_it_halves_at_most_once_a_round_trip_however_many_requests_are_refused():
    limiter = RateLimiter(128, 128)
    send_together(limiter)
    limiter.record_reply(0.0, REPLY)
    for _ in range(127):
        limiter.record_failure(0.0, REPLY, limited=True, retry_after=None)

    assert limiter.limit == 64


def test_a_server_that_refuses_a_whole_round_gets_one_request_every_two_seconds():
    server = Server(RateLimiter(8, 128), lambda now: now < 3 or now > 60)
    server.answer(1_000)
    probes = [time for time in server.sent_at if 10 < time < 60]

    assert len(probes) > 20
    assert all(after - before == pytest.approx(2.0) for before, after in pairwise(probes))


def test_a_few_refusals_among_few_requests_are_chance():
    limiter = RateLimiter(4, 4)
    for now in range(2):
        send_together(limiter, now)
        for number in range(4):
            if number < 2:
                limiter.record_reply(now, now + REPLY)
            else:
                limiter.record_failure(now, now + REPLY, limited=True, retry_after=None)

    assert limiter.limit == 4


def test_a_refused_request_keeps_its_place_as_long_as_a_reply_takes():
    limiter = RateLimiter(1, 1)
    limiter.acquire(0.0)
    limiter.record_reply(0.0, REPLY)
    limiter.acquire(2.0)
    limiter.record_failure(2.0, 2.0 + REFUSAL, limited=True, retry_after=None)

    assert not limiter.has_capacity(2.0 + REFUSAL)
    assert limiter.opens_at == 2.0 + REPLY
    assert limiter.has_capacity(2.0 + REPLY)


@every_row("retry_after", [None, 1.0])
@every_row(("share", "most"), [(0.1, 1.5), (0.4, 3.0)])
def test_refusals_at_random_cost_little_time(share, most, retry_after):
    undisturbed = Server(RateLimiter(8, 128)).answer(1_000)
    disturbed = [
        Server(RateLimiter(8, 128), at_random(share, seed), retry_after).answer(1_000)
        for seed in range(20)
    ]

    # The last requests wait as long as they are asked to, whatever the limiter does.
    waits = 2 * (retry_after or 0.0)
    assert median(disturbed) < most * undisturbed + waits
    assert max(disturbed) < 4 * undisturbed


def test_refusals_at_random_do_not_bring_the_level_down():
    levels = []
    for seed in range(20):
        server = Server(RateLimiter(50, 50), at_random(0.25, seed))
        server.answer(1_000)
        levels.append(server.limiter.limit)

    assert median(levels) == 50


@every_row("retry_after", [None, 1.0])
@every_row(("rate", "burst"), [(100, 50), (30, 10), (10, 10), (10, 1), (2, 1), (0.5, 1)])
def test_a_server_with_a_limit_refuses_few_requests_once_it_is_known(rate, burst, retry_after):
    requests = 300 if rate < 1 else 1_000
    server = Server(RateLimiter(8, 128), token_bucket(rate, burst), retry_after)
    server.answer(requests)

    assert server.refused(start=min(400, requests // 3)) < 0.2


@every_row(("rate", "burst"), [(30, 30), (10, 10), (2, 5)])
def test_a_server_with_a_limit_is_used_nearly_to_its_limit(rate, burst):
    server = Server(RateLimiter(8, 128), token_bucket(rate, burst))

    assert server.answer(1_000) < 1.4 * 1_000 / rate


@every_row("retry_after", [None, end_of_window])
@every_row("number", [60, 300])
def test_a_server_with_a_limit_for_each_minute_is_used_in_each_minute(number, retry_after):
    server = Server(RateLimiter(8, 128), fixed_window(number), retry_after)

    assert server.answer(1_000) < 1.5 * 60 * (999 // number)


@every_row("retry_after", [None, 5.0])
def test_a_server_that_was_overloaded_is_used_again_within_seconds(retry_after):
    server = Server(RateLimiter(8, 128), lambda now: not 5 < now < 25, retry_after)
    server.answer(3_000)
    before = sum(4 < time <= 5 for time in server.sent_at)
    accepted = zip(server.sent_at, server.outcomes, strict=True)
    after = sum(is_accepted and 30 < time <= 31 for time, is_accepted in accepted)

    assert after > before / 2


def test_requests_to_a_server_with_a_limit_are_evenly_spaced():
    server = Server(RateLimiter(8, 128), token_bucket(10, 1))
    server.answer(600)
    gaps = [after - before for before, after in pairwise(server.sent_at[300:])]

    assert sum(gap < 0.02 for gap in gaps) < len(gaps) / 10


def test_a_server_that_takes_more_later_is_sent_more():
    server = Server(RateLimiter(8, 128), token_bucket(5, 1))
    server.answer(300)
    server.accepts = lambda now: True

    assert server.answer(1_000) < 60 * REPLY


def test_a_wait_asked_of_one_call_among_many_that_are_answered_holds_no_other_up():
    limiter = RateLimiter(8, 8)
    send_together(limiter)
    for _ in range(7):
        limiter.record_reply(0.0, 1.0)
    limiter.record_failure(0.0, 1.0, limited=True, retry_after=30.0)

    assert limiter.has_capacity(1.0)


def test_trouble_that_is_no_limit_and_calls_that_were_not_sent_change_nothing():
    limiter = RateLimiter(8, 100)
    for _ in range(200):
        limiter.acquire(0.0)
        limiter.record_failure(0.0, 1.0, limited=False, retry_after=None)
        limiter.acquire(0.0)
        limiter.release()

    assert (limiter.limit, limiter.in_flight) == (8, 0)


@every_row(("asked_for", "waited"), [(3.0, 3.0), (0.0, 0.0), (86_400.0, 60.0)])
def test_nobody_sends_before_the_wait_that_a_server_asks_for_is_over(asked_for, waited):
    limiter = RateLimiter(8, 8)
    limiter.acquire(100.0)
    limiter.record_failure(100.0, 101.0, limited=True, retry_after=asked_for)

    assert limiter.has_capacity(101.0 + waited)
    assert waited == 0.0 or not limiter.has_capacity(100.9 + waited)
    # A shorter wait does not end a longer one.
    limiter.pause_until(102.0, 101.0)
    assert limiter.opens_at >= 101.0 + waited


@every_row(
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


def few_left(remaining: str, reset: str) -> dict[str, str]:
    left = {"remaining": remaining, "reset": f"2026-11-24T{reset}Z"}
    return {f"anthropic-ratelimit-requests-{name}": value for name, value in left.items()}


def few_at_openai(remaining: str, reset: str, what: str = "requests") -> dict[str, str]:
    return {f"x-ratelimit-remaining-{what}": remaining, f"x-ratelimit-reset-{what}": reset}


def few_tokens(**remaining: str) -> dict[str, str]:
    """Return headers of tokens, of which there are more at 12:00:30 to read, and 20 to write."""
    left = {f"{kind}-tokens-remaining": count for kind, count in remaining.items()}
    left |= {"input-tokens-reset": "2026-11-24T12:00:30Z"}
    left |= {"output-tokens-reset": "2026-11-24T12:00:20Z"}
    return {f"anthropic-ratelimit-{name}": value for name, value in left.items()}


@every_row(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        (few_left("0", "12:00:30"), 30.0),
        (few_left("20", "12:00:30"), 0.0),
        (few_left("0", "11:59:30"), 0.0),
        (few_at_openai("1", "1m30.5s"), 90.5),
        (few_at_openai("0", "120ms"), 0.12),
        (few_at_openai("0", "soon"), 0.0),
        ({"x-ratelimit-remaining-requests": "0"}, 0.0),
        ({"x-ratelimit-remaining-requests": "none"}, 0.0),
        # Of a server that means harm: no numbers, and what would be read from each digit again.
        (few_at_openai("²", "1m"), 0.0),
        (few_at_openai("9" * 5_000, "1m"), 0.0),
        (few_at_openai("0", "1" * 1_000_000), 0.0),
        # A call takes 150 tokens.
        (few_tokens(input="900", output="0"), 20.0),
        (few_tokens(input="100", output="90"), 30.0),
        (few_tokens(input="900", output="900"), 0.0),
        (few_at_openai("149", "6m0s", "tokens"), 360.0),
    ],
)
def test_a_server_with_too_little_left_is_left_alone_until_it_has_more(headers, seconds):
    assert seconds_until_reset(headers, NOW, tokens=150) == pytest.approx(seconds)

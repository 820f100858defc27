"""The rate limit of one server, learned during the run, and the policy of retries."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush
from itertools import count
from math import ceil, inf

from pytest_ftgate.errors import ReplyError, RetryableError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request

#: The longest wait that a server can ask for, in seconds.
MAX_WAIT = 60.0
#: The part of a round that is refused by a server that is overloaded, and by one that may be.
_OVERLOADED, _NOTABLE = 2 / 3, 1 / 5
#: The growth of the level in a round: at first, and after the server has shown a limit.
_FAST, _SLOW = 2.0, 1.125
#: A trial sends this part of what the server accepted.
_CAUTION = 0.8
#: If the server has a limit, at most this part of the share of refusals remains in a trial.
_REMAINING = 1 / 2
#: The rounds after a trial that showed no limit before the next one.
_ROUNDS_BETWEEN_TRIALS = 8
#: The smallest rounds: with refusals, where chance decides small shares, and without.
_MIN_REQUESTS, _MIN_ACCEPTED = 24, 8
#: A server accepts none after so many refusals in a row, or as many as this part of all replies.
_IN_A_ROW, _IN_A_ROW_PART = 16, 1 / 2
#: The seconds between two requests to a server that refused a whole round.
_PROBE_EVERY = 2.0
#: The longest time between two requests because of the level, in seconds.
_MAX_SPACING = 8.0
#: A request that is late by this many seconds does not delay those behind it.
_SLACK = 0.005
#: The latency until the first reply shows it, in seconds.
_FIRST_LATENCY = 1.0
#: The weight of one reply in the mean latency.
_WEIGHT = 1 / 16

_DATE = re.compile(r"[-@]20\d\d-?\d\d-?\d\d\b")
_MINOR = re.compile(r"(claude-[a-z]+-\d+)-\d{1,2}\b")
#: Headers with the number of requests left, each with the header of its reset time.
_REQUEST_HEADERS = {
    "anthropic-ratelimit-requests-remaining": "anthropic-ratelimit-requests-reset",
    "x-ratelimit-remaining-requests": "x-ratelimit-reset-requests",
}
#: Headers with the number of tokens left, each with the header of its reset time.
_TOKEN_HEADERS = {
    "anthropic-ratelimit-input-tokens-remaining": "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-remaining": "anthropic-ratelimit-output-tokens-reset",
    "x-ratelimit-remaining-tokens": "x-ratelimit-reset-tokens",
}
#: With so few requests left, the requests in flight may use them up.
_NEAR_ZERO = 1
#: More digits than any count of requests or tokens has.
_LONGEST_COUNT = 20
_DURATION = re.compile(r"(?<!\d)(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class RateLimiter:
    """Adapts the number of requests in flight, the level, to the server.

    The level changes with each round of replies, by the share of requests that were refused (429,
    503, 529).

    - It doubles until it reaches its maximum or two thirds are refused.
    - More than two thirds halve it. If all are refused, one request is sent every two seconds
      until the server accepts one.
    - Once it no longer doubles, a round with more than a fifth refused is followed by a trial with
      less than the server accepted. If at most half of the share remains, the server has a
      limit: the level stays low. If more remains, the server refuses at random, and the level
      returns.
    - From the first halving or limit on, the level grows by an eighth in a round.

    Requests are evenly spaced after the first round with many refusals. A refused request keeps
    its place as long as a reply takes: refusals come quickly, and would make room for more
    requests than a server accepts. A wait that the server asks for holds for the refused request,
    and for all requests if the server accepts none.

    All times are seconds of a monotonic clock. The level starts at *start* and is at most
    *maximum*.

    Attributes:
        in_flight: the number of requests in flight, and of those refused a moment ago.
    """

    def __init__(self, start: int, maximum: int) -> None:
        self.in_flight = 0
        self._level, self._maximum, self._growth = float(start), maximum, _FAST
        self._latency = 0.0
        self._is_spaced = self._refuses_all = False
        self._paused_until = self._next_send = self._lowered_at = -inf
        #: The times at which the refused requests that keep their place were sent.
        self._keep_place: list[float] = []
        #: The level and the share of refusals before a trial.
        self._before_trial: tuple[float, float] | None = None
        self._rounds_to_trial = 0
        #: The requests that finished in this round, and those of them that were refused.
        self._finished = self._refused = 0
        self._reached_limit = False
        self._refused_in_a_row = self._replies = 0

    @property
    def limit(self) -> int:
        """The number of requests that may be in flight now."""
        return 1 if self._refuses_all else max(1, ceil(self._level))

    @property
    def opens_at(self) -> float:
        """The earliest time for the next request, unless one in flight finishes before."""
        is_full = self.in_flight >= self.limit
        return max(self._paused_until, self._next_send, self._place_free_at if is_full else -inf)

    @property
    def _place_free_at(self) -> float:
        """The time until which the first refused request keeps its place."""
        latency = self._latency if self._replies else _FIRST_LATENCY
        return self._keep_place[0] + latency if self._keep_place else -inf

    def has_capacity(self, now: float) -> bool:
        """Return True if one more request may be sent."""
        self._count_refused(now)
        return self.in_flight < self.limit and now >= self.opens_at

    def acquire(self, now: float) -> None:
        """Count a request that is sent."""
        self.in_flight += 1
        if self._refuses_all:
            self._next_send = now + _PROBE_EVERY
        elif self._is_spaced:
            spacing = self._latency / self._level
            # The level grows only if it, and not a lack of requests, decides when they are sent.
            self._reached_limit = self._reached_limit or now <= self._next_send + spacing
            self._next_send = max(self._next_send, now - _SLACK) + spacing

    def release(self) -> None:
        """Count a finished request that says nothing about the server: not sent, or rejected."""
        self.in_flight -= 1

    def record_reply(self, sent_at: float, now: float) -> None:
        """Count a request that was sent at *sent_at* and got a reply."""
        self._replies, self._refused_in_a_row = self._replies + 1, 0
        self._latency += (now - sent_at - self._latency) * max(_WEIGHT, 1 / self._replies)
        self._count_refused(now)
        self._finish(sent_at, now, refused=False)

    def record_failure(
        self, sent_at: float, now: float, *, limited: bool, retry_after: float | None
    ) -> None:
        """Count a request that failed and may be retried.

        *limited* is True for a rate limit or an overload of the server. *retry_after* is the
        seconds that the server asks to wait.
        """
        if limited or retry_after is not None:
            heappush(self._keep_place, sent_at)
            if retry_after is not None and self._accepts_none():
                self.pause_until(now + retry_after, now)
            self._count_refused(now)
        else:
            self._finish(sent_at, now, refused=False)

    def pause_until(self, time: float, now: float) -> None:
        """Send nothing before *time*, for `MAX_WAIT` seconds at most."""
        self._paused_until = max(self._paused_until, min(time, now + MAX_WAIT))

    def _count_refused(self, now: float) -> None:
        while self._keep_place and self._place_free_at <= now:
            self._refused_in_a_row += 1
            self._finish(heappop(self._keep_place), now, refused=True)

    def _accepts_none(self) -> bool:
        """Return True if many were refused in a row, and no other request waits for its reply."""
        refused = self._refused_in_a_row + len(self._keep_place)
        are_many = refused >= min(_IN_A_ROW, self._replies * _IN_A_ROW_PART)
        return are_many and self.in_flight == len(self._keep_place)

    def _finish(self, sent_at: float, now: float, *, refused: bool) -> None:
        self._reached_limit = self._reached_limit or self.in_flight >= self.limit
        self.in_flight -= 1
        # A request that was sent at a higher level says nothing about the present one.
        if sent_at <= self._lowered_at:
            return
        self._finished, self._refused = self._finished + 1, self._refused + refused
        size = max(self._level, _MIN_REQUESTS if self._refused else _MIN_ACCEPTED)
        if self._refuses_all:
            if not refused:
                self._refuses_all = False
                self._begin_round(self._level, now)
        elif self._finished >= size or self._refused > size * _OVERLOADED:
            self._end_round(self._refused / self._finished, now)

    def _end_round(self, share: float, now: float) -> None:
        """Set the level of the next round by the *share* of requests that were refused."""
        before, self._before_trial = self._before_trial, None
        self._is_spaced = self._is_spaced or share > _NOTABLE
        can_double = self._growth == _FAST and self._level < self._maximum
        if share > _OVERLOADED:
            self._refuses_all = share == 1.0
            self._growth, self._rounds_to_trial = _SLOW, 0
            self._begin_round(self._level / 2, now)
        elif before and share <= before[1] * _REMAINING:
            self._growth = _SLOW
            self._begin_round(self._level, now)
        elif before:
            self._growth, self._rounds_to_trial = _FAST, _ROUNDS_BETWEEN_TRIALS
            self._begin_round(before[0], now)
        elif share > _NOTABLE and not can_double and not self._rounds_to_trial:
            self._before_trial = self._level, share
            self._begin_round(self._level * (1 - share) * _CAUTION, now)
        else:
            self._rounds_to_trial = max(0, self._rounds_to_trial - 1)
            self._begin_round(self._level * (self._growth if self._reached_limit else 1), now)

    def _begin_round(self, level: float, now: float) -> None:
        lowest = min(1.0, self._latency / _MAX_SPACING) or 1.0
        level = max(lowest, min(level, self._maximum))
        if level < self._level:
            self._lowered_at = now
        # The spacing of the last round does not hold for the next one.
        self._next_send = min(self._next_send, now)
        self._level, self._reached_limit = level, False
        self._finished = self._refused = 0


def model_family(model: str) -> str:
    """Return the common name of models that share a rate limit: the name without dates.

    Names of Anthropic also lose the minor version: Opus 4.1 and Opus 4.5 share one limit.
    """
    return _MINOR.sub(r"\1", _DATE.sub("", model))


def seconds_until_reset(headers: Mapping[str, str], now: datetime, tokens: int = 0) -> float:
    """Return the seconds until the server accepts a request again; 0 if it accepts one now.

    *headers* are those of its last response, with names in lower case. *now* has a time zone.
    *tokens* are those of one request.
    """
    # Once: headers of an SDK are slow to look up one by one, and most servers send none of these.
    waits, names = [0.0], headers.keys()
    for header_names, minimum in ((_REQUEST_HEADERS, _NEAR_ZERO), (_TOKEN_HEADERS, tokens)):
        for remaining, reset in header_names.items():
            left = headers[remaining] if remaining in names else ""
            # "²" is a digit, and of a text of thousands of digits Python makes no number.
            if left.isdecimal() and len(left) < _LONGEST_COUNT and int(left) <= minimum:
                waits.append(_parse_seconds(headers.get(reset, ""), now))
    return max(waits)


def _parse_seconds(text: str, now: datetime) -> float:
    """Return the seconds until a time such as ``2026-11-24T12:00:30Z``, or of ``1m30s``."""
    durations = _DURATION.findall(text)
    if durations and "".join(map("".join, durations)) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in durations)
    try:
        return (datetime.fromisoformat(text) - now).total_seconds()
    except (TypeError, ValueError):
        return 0.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to retry.

    Attributes:
        max_attempts: the largest number of attempts.
        first: the seconds before the second attempt; they double with each further one.
        longest: the largest number of seconds.
    """

    max_attempts: int
    first: float
    longest: float


#: For a server that replies to no request.
UNREACHABLE = Backoff(6, 0.5, 8.0)
#: For a server that replies to other requests: the failure concerns this request only.
REPLYING = Backoff(10, 0.02, 0.3)
#: For a refusal by such a server: the rate limiter decides how often requests are sent at all.
REFUSING = Backoff(60, 0.02, 0.3)
#: For a server that loads its model: until the deadline.
LOADING = Backoff(600, 1.0, 4.0)
#: Seconds after its first attempt in which a request may be retried.
_DEADLINE = 600.0


class RetryPolicy:
    """Retries requests until there is a reply, the attempts are used up, or the run ends.

    *ending* is set when the run ends; *clock* returns seconds of a monotonic clock.
    """

    def __init__(self, ending: asyncio.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._ending, self._clock = ending, clock
        self._random = random.Random(0)  # noqa: S311 - spreads retries, guards nothing
        #: The request that failed last, and why, until a reply comes.
        self.failing: tuple[Request, str] | None = None

    async def generate_with_retries(
        self,
        generate: Callable[[Request], Awaitable[Reply]],
        request: Request,
        backoff: Callable[[RetryableError], Backoff] = lambda _: UNREACHABLE,
    ) -> Reply:
        """Return the reply to *request*, by *generate*.

        *backoff* returns how long to retry after an error.

        Raises:
            ReplyError: the request failed.
        """
        deadline, is_doubtful = self._clock() + _DEADLINE, False
        for attempt in count(1):
            try:
                reply = await generate(request)
            except RetryableError as error:
                self.failing = request, str(error)
                if error.rejection and is_doubtful:
                    raise error.rejection from error
                is_doubtful = error.rejection is not None
                limits = backoff(error)
                wait = self._backoff(attempt - 1, error.retry_after, limits)
                is_last = attempt >= limits.max_attempts or self._clock() + wait > deadline
                if is_last or await self.run_ends_within(wait):
                    raise ReplyError(f"no reply in {attempt} attempts; last: {error}") from error
            else:
                self.failing = None
                return reply
        raise AssertionError("unreachable")  # pragma: no cover

    async def run_ends_within(self, seconds: float) -> bool:
        """Wait *seconds*, or until the run ends; return True if the run ended."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return self._ending.is_set()

    def _backoff(self, retries: int, retry_after: float | None, limits: Backoff) -> float:
        if retry_after is not None:
            return min(retry_after, MAX_WAIT)
        longest = min(limits.first * 2**retries, limits.longest)
        return float(longest * self._random.uniform(0.75, 1.0))

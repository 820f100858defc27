"""The rate limit of one server, learned during the run: additive increase, halved on overload."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

__all__ = ["MAX_WAIT", "RateLimiter", "model_family", "seconds_until_reset"]

#: The longest wait that a server can ask for, in seconds.
MAX_WAIT = 60.0
#: Concurrency is halved if more than one in this many requests of a window was limited.
_HALVE_ABOVE = 4
#: After the first halving, concurrency grows only if at most one in this many was limited.
_GROW_BELOW = 16
#: The smallest window with limited requests: in fewer requests, chance decides the share.
_MIN_WINDOW = 16

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
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class RateLimiter:
    """Adapts the number of requests in flight to the server (AIMD).

    The limit doubles after each window of replies, until more than a quarter of the requests in
    flight are limited (429, 503, 529). Then it is halved, at most once a round trip, and grows by
    one a window in which few requests are limited.

    A server that rejects single requests at random does not improve with fewer requests: with a
    halving for each rejection, a rate of 10 % would leave four requests in flight. For the same
    reason, a wait that the server asks for holds for all requests only if many recent requests
    were limited; it always holds for the rejected request.

    All times are seconds of a monotonic clock.

    Args:
        start: the first limit.
        maximum: the largest limit.

    Attributes:
        limit: the number of requests that may be in flight now.
        in_flight: the number of requests in flight.
        opens_at: the earliest time for the next request.
    """

    def __init__(self, start: int, maximum: int) -> None:
        self.limit, self.in_flight, self.opens_at = start, 0, 0.0
        self._maximum, self._is_doubling = maximum, True
        self._halved_at = float("-inf")
        #: The finished and the limited requests of this window, and of the one before.
        self._finished = self._limited = 0
        self._previous = (0, 0)
        self._reached_limit = False

    def has_capacity(self, now: float) -> bool:
        """Return True if one more request may be sent."""
        return self.in_flight < self.limit and now >= self.opens_at

    def acquire(self) -> None:
        """Count a request that is sent."""
        self.in_flight += 1

    def release(self) -> None:
        """Count a finished request that says nothing about the server: not sent, or rejected."""
        self.in_flight -= 1

    def record_reply(self) -> None:
        """Count a request that brought a reply."""
        # The limit grows only after it has been reached.
        self._reached_limit = self._reached_limit or self.in_flight >= self.limit
        self.in_flight -= 1
        self._count()

    def record_failure(
        self, sent_at: float, now: float, *, limited: bool, retry_after: float | None
    ) -> None:
        """Count a request that failed and may be retried.

        Args:
            sent_at: the time at which it was sent.
            now: the time.
            limited: True for a rate limit or an overload of the server.
            retry_after: the seconds that the server asks to wait, or None.
        """
        self.in_flight -= 1
        # A request sent before the last halving says nothing about the lower limit.
        self._limited += (limited or retry_after is not None) and sent_at >= self._halved_at
        if retry_after is not None and self._are_many_limited():
            self.pause_until(now + retry_after, now)
        if self._limited * _HALVE_ABOVE > self._window:
            self._halved_at, self._is_doubling = now, False
            self._begin_window(self.limit // 2)
        else:
            self._count()

    def _are_many_limited(self) -> bool:
        finished, limited = self._previous
        return (limited + self._limited) * _HALVE_ABOVE >= finished + self._finished + 1

    def pause_until(self, time: float, now: float) -> None:
        """Send nothing before *time*, for `MAX_WAIT` seconds at most."""
        self.opens_at = max(self.opens_at, min(time, now + MAX_WAIT))

    @property
    def _window(self) -> int:
        """The requests of a window: as many as are in flight, about one round trip."""
        return max(self.limit, _MIN_WINDOW if self._limited else 1)

    def _count(self) -> None:
        self._finished += 1
        if self._finished < self._window:
            return
        grown = self.limit * 2 if self._is_doubling else self.limit + 1
        may_grow = self._is_doubling or self._limited * _GROW_BELOW <= self._window
        self._begin_window(grown if self._reached_limit and may_grow else self.limit)

    def _begin_window(self, limit: int) -> None:
        self.limit = max(1, min(limit, self._maximum))
        self._previous = (self._finished, self._limited)
        self._finished = self._limited = 0
        self._reached_limit = False


def model_family(model: str) -> str:
    """Return the common name of models that share a rate limit: the name without dates.

    Names of Anthropic also lose the minor version: Opus 4.1 and Opus 4.5 share one limit.
    """
    return _MINOR.sub(r"\1", _DATE.sub("", model))


def seconds_until_reset(headers: Mapping[str, str], now: datetime, tokens: int = 0) -> float:
    """Return the seconds until the server accepts a request again; 0 if it accepts one now.

    Args:
        headers: the headers of its last response, with names in lower case.
        now: the time, with its time zone.
        tokens: the tokens of one request.
    """
    waits = [0.0]
    for header_names, minimum in ((_REQUEST_HEADERS, _NEAR_ZERO), (_TOKEN_HEADERS, tokens)):
        for remaining, reset in header_names.items():
            left = headers.get(remaining, "")
            if left.isdigit() and int(left) <= minimum:
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

"""The rate limit of one server, learned while asking (additive increase, fewer when it refuses)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

__all__ = ["LONGEST_WAIT", "Limiter", "family", "wait_told"]

#: A server that asks for more patience than this, in seconds, is not waited for any longer.
LONGEST_WAIT = 60.0
#: Calls in flight give way where more than one of so many of them meets a limit, and once they
#: have given way they are no more where more than one of so many does.
_TOLERATED, _RARE = 4, 16
#: Fewer answers than this are no window: chance alone makes limits common among a few.
_FEWEST = 16

_DATE = re.compile(r"[-@]20\d\d-?\d\d-?\d\d\b")
_MINOR = re.compile(r"(claude-[a-z]+-\d+)-\d{1,2}\b")
#: Headers that say how many requests are left, each with the one that says until when.
_REQUESTS = {
    "anthropic-ratelimit-requests-remaining": "anthropic-ratelimit-requests-reset",
    "x-ratelimit-remaining-requests": "x-ratelimit-reset-requests",
}
#: The same of tokens.
_TOKENS = {
    "anthropic-ratelimit-input-tokens-remaining": "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-remaining": "anthropic-ratelimit-output-tokens-reset",
    "x-ratelimit-remaining-tokens": "x-ratelimit-reset-tokens",
}
#: With so few requests left, those that are on their way use them up.
_NEAR_ZERO = 1
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Limiter:
    """Grows while all goes well, and gives way to a server that has had enough.

    It doubles with each window of replies until more than a quarter of the calls in flight meet a
    limit. Then it halves, at most once a round trip, and grows by one a window where hardly any
    does. A server that turns single calls away at random is not helped by fewer of them: halved
    for each, a tenth of them turned away would leave four in flight. For the same reason a wait
    that a server asks for holds for all calls only where many of the last ones met a limit; the
    call that met it waits in any case.

    Times are seconds on any clock that does not run backwards.

    Args:
        start: calls in flight at first.
        most: calls in flight at most.

    Attributes:
        limit: how many calls may be in flight now.
        in_flight: how many are.
        opens: when the next call may be sent at the earliest.
    """

    def __init__(self, start: int, most: int) -> None:
        self.limit, self.in_flight, self.opens = start, 0, 0.0
        self._most, self._doubling = most, True
        self._halved = float("-inf")
        self._answers = self._limited = 0
        #: The answers of the window before, and how many of them were a limit.
        self._before = (0, 0)
        self._full = False

    def has_room(self, now: float) -> bool:
        """Tell whether one more call may be sent."""
        return self.in_flight < self.limit and now >= self.opens

    def sent(self) -> None:
        """Take a call in."""
        self.in_flight += 1

    def left(self) -> None:
        """Let a call go that says nothing of the server: it was not sent, or is at fault itself."""
        self.in_flight -= 1

    def replied(self) -> None:
        """Let a call go that brought its reply."""
        # What was never tried out is no reason to grow.
        self._full = self._full or self.in_flight >= self.limit
        self.in_flight -= 1
        self._count()

    def failed(self, sent: float, now: float, *, limited: bool, retry_after: float | None) -> None:
        """Let a call go that is worth asking again.

        Args:
            sent: when it was sent.
            now: the time.
            limited: whether it met a limit of the server.
            retry_after: seconds that the server asks to wait, if it does.
        """
        self.in_flight -= 1
        # A call that left before the last cut says nothing of what is left after it.
        self._limited += (limited or retry_after is not None) and sent >= self._halved
        if retry_after is not None and self._are_many_limited():
            self.wait_until(now + retry_after, now)
        if self._limited * _TOLERATED > self._window:
            self._halved, self._doubling = now, False
            self._begin_window(self.limit // 2)
        else:
            self._count()

    def _are_many_limited(self) -> bool:
        answers, limited = self._before
        return (limited + self._limited) * _TOLERATED >= answers + self._answers + 1

    def wait_until(self, when: float, now: float) -> None:
        """Send nothing before *when*, or before the longest wait is over."""
        self.opens = max(self.opens, min(when, now + LONGEST_WAIT))

    @property
    def _window(self) -> int:
        """How many answers make a window: one for each call in flight, about a round trip."""
        return max(self.limit, _FEWEST if self._limited else 1)

    def _count(self) -> None:
        self._answers += 1
        if self._answers < self._window:
            return
        grown = self.limit * 2 if self._doubling else self.limit + 1
        grows = self._doubling or self._limited * _RARE <= self._window
        self._begin_window(grown if self._full and grows else self.limit)

    def _begin_window(self, limit: int) -> None:
        self.limit = max(1, min(limit, self._most))
        self._before = (self._answers, self._limited)
        self._answers = self._limited = 0
        self._full = False


def family(model: str) -> str:
    """Return what models that share a rate limit have in common: the name without dates.

    Of Anthropic's also without the minor version: Opus 4.1 and Opus 4.5 share what Opus 4 may.
    """
    return _MINOR.sub(r"\1", _DATE.sub("", model))


def wait_told(headers: Mapping[str, str], now: datetime, tokens: int = 0) -> float:
    """Return for how many seconds a server will take no more requests; 0 while it will.

    Args:
        headers: what it said with its last reply, by names in lower case.
        now: the time, with its zone.
        tokens: how many a call takes.
    """
    waits = [0.0]
    for names, few in ((_REQUESTS, _NEAR_ZERO), (_TOKENS, tokens)):
        for remaining, reset in names.items():
            left = headers.get(remaining, "")
            if left.isdigit() and int(left) <= few:
                waits.append(_seconds(headers.get(reset, ""), now))
    return max(waits)


def _seconds(told: str, now: datetime) -> float:
    """Read ``2026-11-24T12:00:30Z``, or ``1m30s``."""
    lengths = _LENGTH.findall(told)
    if lengths and "".join(map("".join, lengths)) == told:
        return sum(float(number) * _SECONDS[unit] for number, unit in lengths)
    try:
        return (datetime.fromisoformat(told) - now).total_seconds()
    except (TypeError, ValueError):
        return 0.0

"""The rate limit of one server, learned during the run: additive increase, decrease on overload."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import heappop, heappush
from math import ceil, inf, log

#: The longest wait that a server can ask for, in seconds.
MAX_WAIT = 60.0
#: A larger share of refusals is not taken for chance, and halves the level.
_MOST = 0.5
#: So much more than chance is too large a share: before, and after, the server showed a limit.
_MANY, _FEW = 1 / 8, 1 / 16
#: The refusals beyond this share that lower the level: a number, and a part of the level.
_ALARM, _ALARM_PART, _STRICT_ALARM = 10.0, 0.5, 3.0
#: A trial sends this part of what the server accepted; so near to an overload, growth is slow.
_CAUTION = 0.9
#: If the server has a limit, a trial leaves at most this part of the refusals.
_REMAINING = 1 / 8
#: The logarithm of the odds at which a trial ends, and the largest after mistakes.
_CLEAR, _CLEAREST = log(100), 4 * log(100)
#: A trial with fewer outcomes does not show that refusals are chance.
_MIN_TRIAL = 12
#: The requests at one level before the level of the last overload is tried again.
_PROBE_EVERY = 64
#: The longest time between two requests because of refusals, in seconds.
_MAX_SPACING = 2.0
#: A request that is late by this many seconds does not delay those behind it.
_SLACK = 0.005
#: The weight of one request in the mean latency, and the largest in the share of refusals.
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
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(slots=True)
class _Outcomes:
    """The outcomes of requests since the last decision.

    Attributes:
        finished: the requests that finished.
        limited: those that the server refused.
        excess: how many more were refused than expected, since they began to be too many (CUSUM);
            in a trial the logarithm of the odds that refusals are chance (SPRT).
    """

    finished: int = 0
    limited: int = 0
    excess: float = 0.0

    @property
    def share(self) -> float:
        return self.limited / self.finished if self.finished else 0.0

    def add(self, *, limited: bool, normal: float) -> None:
        """Add one outcome, and start anew if refusals are no more frequent than *normal*."""
        self.finished, self.limited = self.finished + 1, self.limited + limited
        self.excess += limited - normal
        if self.excess <= 0.0:
            self.finished, self.limited, self.excess = 0, 0, 0.0

    def add_in_trial(self, *, limited: bool, former: float) -> None:
        """Add one outcome; *former* is the share of refusals before the trial."""
        self.finished, self.limited = self.finished + 1, self.limited + limited
        if limited:
            self.excess -= log(_REMAINING)
        else:
            self.excess += log((1 - former) / (1 - former * _REMAINING))


class RateLimiter:
    """Adapts the number of requests in flight to the server.

    The level is the number of requests in flight. It doubles with each round of replies until the
    server refuses too many (429, 503, 529). Refusals have two causes, which need opposite
    reactions. A server that has reached its limit accepts all requests of a lower level. A server
    that refuses single requests at random refuses as many of them at any level. So the limiter
    tries: it sends what the server accepted, less a tenth, and looks at the share of refusals.

    - If the share falls to nearly nothing, the server has a limit. The level stays low and rises
      towards that of the overload, which it tries rarely. Requests are evenly spaced.
    - If the share stays, refusals are chance. The level returns to its former value and grows
      on. This share counts as normal from then on.

    A share of more than half halves the level without a trial, at most once a round trip. A wait
    that the server asks for always holds for the refused request, and for all requests if at least
    half of the recent ones were refused. Then the server has a limit, whatever trials showed.

    A refused request keeps its place as long as a reply takes: refusals come quickly, and would
    make room for more requests than a server accepts.

    All times are seconds of a monotonic clock.

    Args:
        start: the first level.
        maximum: the largest level.

    Attributes:
        in_flight: the number of requests in flight, and of those refused a moment ago.
    """

    def __init__(self, start: int, maximum: int) -> None:
        self.in_flight = 0
        self._level, self._maximum = float(start), maximum
        self._has_limit = False
        #: The level at the last overload.
        self._ceiling = inf
        #: The share of requests that is refused at any level, and the odds that show it.
        self._chance, self._clear_chance = 0.0, _CLEAR
        #: The level and the share before a trial, or None.
        self._before_trial: tuple[float, float] | None = None
        self._latency = self._latency_before = self._recent_share = 0.0
        self._recent = 0
        self._paused_until, self._next_send, self._lowered_at = 0.0, -inf, -inf
        self._outcomes = _Outcomes()
        #: Refused requests that keep their place: until when, when sent, and the wait asked for.
        self._refused: list[tuple[float, float, float]] = []
        #: The requests that finished in this round, and at this level.
        self._finished_in_round = self._finished_at_level = 0
        self._reached_limit = False

    @property
    def limit(self) -> int:
        """The number of requests that may be in flight now."""
        return max(1, ceil(self._level))

    @property
    def is_refusing(self) -> bool:
        """True if the server refused at least half of the recent requests.

        A quarter is enough among the first requests.
        """
        return self._recent_share >= (1 / 2 if self._recent * _WEIGHT > 1 else 1 / 4)

    @property
    def _is_strict(self) -> bool:
        """True if each refusal counts: the server has a limit, and refuses none by chance."""
        return self._has_limit and not self._chance

    @property
    def _alarm(self) -> float:
        """The excess of refusals that lowers the level."""
        return _STRICT_ALARM if self._is_strict else max(_ALARM, self._level * _ALARM_PART)

    @property
    def opens_at(self) -> float:
        """The earliest time for the next request, unless one in flight finishes before."""
        is_full = self.in_flight >= self.limit and self._refused
        return max(self._paused_until, self._next_send, self._refused[0][0] if is_full else -inf)

    def has_capacity(self, now: float) -> bool:
        """Return True if one more request may be sent."""
        self._count_refused(now)
        return self.in_flight < self.limit and now >= self.opens_at

    def acquire(self, now: float) -> None:
        """Count a request that is sent."""
        self.in_flight += 1
        if self._has_limit or self._before_trial:
            # Replies get quicker at a lower level; on trial, the rate must not rise with that.
            latency = max(self._latency, self._latency_before if self._before_trial else 0.0)
            spacing = latency / self._level
            # The level grows only if it, and not a lack of requests, decides when they are sent.
            self._reached_limit = self._reached_limit or now <= self._next_send + spacing
            self._next_send = max(self._next_send, now - max(spacing, _SLACK)) + spacing

    def release(self) -> None:
        """Count a finished request that says nothing about the server: not sent, or rejected."""
        self.in_flight -= 1

    def record_reply(self, sent_at: float, now: float) -> None:
        """Count a request that was sent at *sent_at* and brought a reply."""
        self._latency += (now - sent_at - self._latency) * (_WEIGHT if self._latency else 1.0)
        self._count_refused(now)
        self._finish(sent_at, now, limited=False)

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
        if limited or retry_after is not None:
            until = max(now, sent_at + self._latency)
            heappush(
                self._refused, (until, sent_at, -inf if retry_after is None else now + retry_after)
            )
            self._count_refused(now)
        else:
            self._finish(sent_at, now, limited=False)

    def pause_until(self, time: float, now: float) -> None:
        """Send nothing before *time*, for `MAX_WAIT` seconds at most."""
        self._paused_until = max(self._paused_until, min(time, now + MAX_WAIT))

    def _count_refused(self, now: float) -> None:
        while self._refused and self._refused[0][0] <= now:
            _, sent_at, asked_until = heappop(self._refused)
            self._finish(sent_at, now, limited=True)
            if self.is_refusing and asked_until > -inf:
                self.pause_until(asked_until, now)
                if self._chance and sent_at >= self._lowered_at:
                    self._note_limit(self._level)
                    self._lower(self._level / 2, now)

    def _finish(self, sent_at: float, now: float, *, limited: bool) -> None:
        self._reached_limit = self._reached_limit or self.in_flight >= self.limit
        self.in_flight -= 1
        self._recent += 1
        # About a round trip counts as recent: its refusals may come all at once.
        weight = max(min(_WEIGHT, 1 / self.limit), 1 / self._recent)
        self._recent_share += (limited - self._recent_share) * weight
        # A request sent at a higher level says nothing about the present one.
        if sent_at < self._lowered_at:
            return
        self._finished_in_round += 1
        self._finished_at_level += 1
        if self._before_trial:
            self._count_in_trial(*self._before_trial, now, limited=limited)
        else:
            self._count(now, limited=limited)

    def _count(self, now: float, *, limited: bool) -> None:
        normal = self._chance + (_FEW if self._is_strict else _MANY)
        self._outcomes.add(limited=limited, normal=normal)
        share = self._outcomes.share
        if self._outcomes.excess <= self._alarm:
            if self._finished_in_round >= self.limit:
                self._end_round()
        elif share > _MOST:
            self._note_limit(self._level)
            self._lower(self._level / 2, now)
        else:
            self._before_trial = self._level, share
            self._lower(self._level * (1 - share) * _CAUTION, now)

    def _count_in_trial(
        self, former_level: float, former_share: float, now: float, *, limited: bool
    ) -> None:
        self._outcomes.add_in_trial(limited=limited, former=former_share)
        share = self._outcomes.share
        if self._outcomes.excess < -_CLEAR:
            self._note_limit(former_level)
            self._set_level(self._level)
        elif self._outcomes.finished < _MIN_TRIAL or self._outcomes.excess <= self._clear_chance:
            return
        elif share > _MOST:
            self._note_limit(former_level)
            self._lower(self._level / 2, now)
        else:
            self._before_trial, self._ceiling = None, inf
            self._chance, self._next_send = (share + former_share) / 2, -inf
            self._set_level(former_level)

    def _note_limit(self, level: float) -> None:
        """Note that *level* is more than the server accepts."""
        if self._chance:
            # Refusals were taken for chance by mistake; next time this takes more evidence.
            self._clear_chance = min(self._clear_chance * 2, _CLEAREST)
        self._before_trial, self._has_limit = None, True
        self._ceiling, self._chance = level, 0.0

    def _lower(self, level: float, now: float) -> None:
        self._lowered_at = self._next_send = now
        self._latency_before = self._latency
        self._set_level(level)

    def _end_round(self) -> None:
        """Let the level grow, unless refusals become frequent."""
        grown = self._level * 2
        if self._has_limit:
            # Binary increase: quickly at first, slowly near the level of the overload.
            step = (min(self._ceiling, grown) - self._level) / 4
            grown = self._level + max(step, min(self._level, 1.0))
        is_probe = grown >= self._ceiling * _CAUTION
        may_grow = self._outcomes.excess == 0.0 or not self._is_strict
        if self._reached_limit and may_grow:
            if not is_probe:
                self._set_level(grown, keep=True)
            elif self._finished_at_level >= _PROBE_EVERY:
                self._ceiling = inf
                self._set_level(grown, keep=True)
        self._finished_in_round, self._reached_limit = 0, False

    def _set_level(self, level: float, *, keep: bool = False) -> None:
        lowest = min(1.0, self._latency / _MAX_SPACING) if self._latency else 1.0
        level = max(lowest, min(level, self._maximum))
        if level != self._level:
            self._level, self._finished_at_level = level, 0
        if not keep:
            self._outcomes = _Outcomes()
        self._finished_in_round, self._reached_limit = 0, False


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

"""The retry policy: how often a request is sent again, and the backoff before."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from pytest_ftgate.client.rate_limit import MAX_WAIT
from pytest_ftgate.errors import ReplyError, RetryableError
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request


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
        deadline = self._clock() + _DEADLINE
        for attempt in count(1):
            try:
                reply = await generate(request)
            except RetryableError as error:
                self.failing = request, str(error)
                limits = backoff(error)
                wait = self._backoff(attempt - 1, error.retry_after, limits.first, limits.longest)
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

    def _backoff(
        self, retries: int, retry_after: float | None, first: float, longest: float
    ) -> float:
        if retry_after is not None:
            return min(retry_after, MAX_WAIT)
        return float(min(first * 2**retries, longest) * self._random.uniform(0.75, 1.0))

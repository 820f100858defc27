"""The retry policy: how often a request is sent again, and the backoff before."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from pytest_ftgate.client.rate_limit import MAX_WAIT
from pytest_ftgate.errors import ReplyError, RetryableError
from pytest_ftgate.providers.base import SupportsGenerate, generate_reply
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request

__all__ = ["RetryPolicy"]

#: The largest number of attempts, the first and the longest backoff in seconds: for a server
#: without any reply yet, and for one that replies to other requests.
_UNHEALTHY = (6, 0.5, 8.0)
_HEALTHY = (10, 0.02, 0.3)
#: Seconds after its first attempt in which a request may be retried.
_DEADLINE = 600.0


class RetryPolicy:
    """Retries requests until there is a reply, the attempts are used up, or the run ends.

    Args:
        ending: set when the run ends.
        clock: returns seconds of a monotonic clock.
    """

    def __init__(self, ending: asyncio.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._ending, self._clock = ending, clock
        self._random = random.Random(0)  # noqa: S311 - spreads retries, guards nothing

    async def generate_with_retries(
        self,
        provider: SupportsGenerate,
        request: Request,
        is_healthy: Callable[[], bool] = lambda: False,
    ) -> Reply:
        """Return the reply to *request*.

        Args:
            provider: sends the request.
            request: the request.
            is_healthy: returns True if the server replies to other requests. Then a failure
                concerns this request only, and a short backoff is enough.

        Raises:
            ReplyError: the request failed.
        """
        deadline = self._clock() + _DEADLINE
        for attempt in count(1):
            try:
                return await generate_reply(provider, request)
            except RetryableError as error:
                max_attempts, *backoffs = _HEALTHY if is_healthy() else _UNHEALTHY
                wait = self._backoff(attempt - 1, error.retry_after, *backoffs)
                is_last = attempt >= max_attempts or self._clock() + wait > deadline
                if is_last or await self.run_ends_within(wait):
                    raise ReplyError(f"no reply in {attempt} attempts; last: {error}") from error
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

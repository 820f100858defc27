"""The retry policy: how often a request is sent again, and the backoff before."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from pytest_ftgate.client.rate_limit import LONGEST_WAIT
from pytest_ftgate.errors import ReplyError, Transient
from pytest_ftgate.providers.base import Sends, asked
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call

__all__ = ["Patience"]

#: How often a call is sent at most, the seconds before the second time, and the most between two:
#: to a server that has not answered yet, and to one that answers others.
_AT_A_LOSS = (6, 0.5, 8.0)
_GOING_WELL = (10, 0.02, 0.3)
#: Seconds after its first attempt in which a call may be tried again.
_DEADLINE = 600.0


class Patience:
    """Tries calls again until they are answered, the attempts are used up, or the run ends.

    Args:
        ending: set when the run ends.
        clock: seconds on a clock that does not run backwards.
    """

    def __init__(self, ending: asyncio.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._ending, self._clock = ending, clock
        self._random = random.Random(0)  # noqa: S311 - spreads retries, guards nothing

    async def answered(
        self, provider: Sends, call: Call, goes_well: Callable[[], bool] = lambda: False
    ) -> Reply:
        """Return the reply to *call*.

        Args:
            provider: what sends it.
            call: the call.
            goes_well: whether the server answers other calls. Then a failure is this one's own
                bad luck, and to wait long for the next try would help nobody.

        Raises:
            ReplyError: it brought none.
        """
        deadline = self._clock() + _DEADLINE
        for attempt in count(1):
            try:
                return await asked(provider, call)
            except Transient as error:
                most, *pauses = _GOING_WELL if goes_well() else _AT_A_LOSS
                pause = self._pause(attempt - 1, error.retry_after, *pauses)
                last = attempt >= most or self._clock() + pause > deadline
                if last or await self.ends_within(pause):
                    raise ReplyError(f"no reply in {attempt} attempts; last: {error}") from error
        raise AssertionError("unreachable")  # pragma: no cover

    async def ends_within(self, seconds: float) -> bool:
        """Sleep; return early, and True, if the run ends meanwhile."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return self._ending.is_set()

    def _pause(self, attempt: int, asked_for: float | None, first: float, most: float) -> float:
        if asked_for is not None:
            return min(asked_for, LONGEST_WAIT)
        return float(min(first * 2**attempt, most) * self._random.uniform(0.75, 1.0))

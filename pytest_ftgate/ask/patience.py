"""How often a call is tried again, and how long is waited before."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from itertools import count

from pytest_ftgate.ask.provider import Provider, asked
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import ReplyError, Transient
from pytest_ftgate.plan.call import Call

__all__ = ["Patience"]

_ATTEMPTS = 6
#: A server that asks for more patience than this is not waited for any longer at a time.
_LONGEST_WAIT = 60.0


class Patience:
    """Tries calls again until they are answered, the attempts are used up, or the run ends.

    Args:
        ending: set when the run ends.
    """

    def __init__(self, ending: asyncio.Event) -> None:
        self._ending = ending
        self._random = random.Random(0)  # noqa: S311 - spreads retries, guards nothing

    async def answered(self, provider: Provider, call: Call) -> Reply:
        """Return the reply to *call*.

        Raises:
            ReplyError: it brought none.
        """
        for attempt in count(1):
            try:
                return await asked(provider, call)
            except Transient as error:
                pause = self._pause(attempt - 1, error.retry_after)
                if attempt == _ATTEMPTS or await self.ends_within(pause):
                    raise ReplyError(f"no reply in {attempt} attempts; last: {error}") from error
        raise AssertionError("unreachable")  # pragma: no cover

    async def ends_within(self, seconds: float) -> bool:
        """Sleep; return early, and True, if the run ends meanwhile."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)
        return self._ending.is_set()

    def _pause(self, attempt: int, asked_for: float | None) -> float:
        if asked_for is not None:
            return min(asked_for, _LONGEST_WAIT)
        return float(min(0.5 * 2**attempt, 8.0) * self._random.uniform(0.75, 1.0))

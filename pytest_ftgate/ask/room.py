"""Places in flight: a call holds one while its request is on the way, and at no other time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from heapq import heappop, heappush

from pytest_ftgate.ask.budget import Budget
from pytest_ftgate.ask.limiter import Limiter, wait_told
from pytest_ftgate.ask.provider import Provider, asked
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import OutOfBudget, ReplyError, Transient
from pytest_ftgate.plan.call import Call

__all__ = ["Room", "Sender"]

#: So many calls in a row that fail, and none that is answered: it is the server, not the calls.
_AWAY = 8


class Room:
    """The places of calls that share a rate limit, and who waits for one to be sent again.

    Args:
        fill: called when there may be room for more.
        budget: what may be spent, or None for all.
    """

    def __init__(self, fill: Callable[[], None], budget: Budget | None) -> None:
        self._fill, self.budget = fill, budget
        self._loop = asyncio.get_running_loop()
        #: Of one place, until a provider is open that knows better.
        self.limiter = Limiter(1, 1)
        #: How many calls in a row failed when they were first sent, and none was answered.
        self.in_vain = 0
        self._has_answered = False
        self._again: list[tuple[int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False

    def has_place(self) -> bool:
        """Tell whether a call may be sent now."""
        return self.limiter.has_room(self._loop.time())

    def is_away(self) -> bool:
        """Tell whether nothing gets through to the server."""
        return self.in_vain >= max(_AWAY, self.limiter.limit)

    def goes_well(self) -> bool:
        """Tell whether the server answers, so that a failure is one call's own."""
        return self._has_answered and self.in_vain < _AWAY

    def take(self) -> float:
        """Take a place; return when."""
        self.limiter.sent()
        return self._loop.time()

    async def retake(self, number: int) -> float:
        """Wait for a place to be sent again, and take it; those who came first go first."""
        if self._ended:
            raise ReplyError("the run ended before this call was sent again")
        turn = self._loop.create_future()
        heappush(self._again, (number, turn))
        self._loop.call_soon(self._fill)
        await turn
        return self._loop.time()

    def admit(self) -> None:
        """Give the places that are free to those who are sent again, or wait until one opens."""
        while self._again and self.has_place():
            _, turn = heappop(self._again)
            if not turn.done():
                self.limiter.sent()
                turn.set_result(None)
        if not self._timer and self.limiter.opens > self._loop.time():
            self._timer = self._loop.call_at(self.limiter.opens, self._open)

    def _open(self) -> None:
        self._timer = None
        self._fill()

    def leave(self, provider: Provider, sent: float, came: Reply | BaseException | None) -> None:
        """Give a place back, and learn from what became of the request."""
        now = self._loop.time()
        if isinstance(came, Reply):
            self.in_vain, self._has_answered = 0, True
            self.limiter.replied()
        elif isinstance(came, Transient):
            self.limiter.failed(sent, now, limited=came.limited, retry_after=came.retry_after)
        else:
            self.limiter.left()
        headers = getattr(provider, "limits", None)
        if headers:
            tokens = sum(came.usage.values()) if isinstance(came, Reply) else 0
            if wait := wait_told(headers, datetime.now(UTC), tokens):
                self.limiter.wait_until(now + wait, now)
        # Soon and not now: what this answer means is first told to those who wait for it.
        self._loop.call_soon(self._fill)

    def end(self) -> None:
        """Send nothing again."""
        self._ended = True
        if self._timer:
            self._timer.cancel()
        for _, turn in self._again:
            if not turn.done():
                turn.set_exception(ReplyError("the run ended before this call was sent again"))


class Sender:
    """Sends the requests of one call at *provider*, each in a place of its own.

    Args:
        room: where the places are; the first one is taken already.
        provider: what sends.
        number: its place in the order of the calls.
    """

    def __init__(self, room: Room, provider: Provider, number: int) -> None:
        self._room, self._provider, self._number = room, provider, number
        self._sent: float | None = room.take()
        self._is_first = True

    def goes_well(self) -> bool:
        """Tell whether the server answers others."""
        return self._room.goes_well()

    async def ask(self, call: Call) -> Reply:
        """Send one request as soon as there is a place for it.

        Raises:
            OutOfBudget: nothing more may be spent.
            ReplyError: it brought no reply, as at any provider.
        """
        sent = await self._room.retake(self._number) if self._sent is None else self._sent
        self._sent, first, self._is_first = sent, self._is_first, False
        try:
            reply = await self._paid(call)
        except BaseException as error:
            self._room.in_vain += first and isinstance(error, Transient)
            self.leave(error)
            raise
        self.leave(reply)
        return reply

    async def _paid(self, call: Call) -> Reply:
        budget = self._room.budget
        reason = budget.check() if budget else None
        if reason:
            raise OutOfBudget(reason)
        reply = await asked(self._provider, call)
        if budget:
            budget.count(call, reply)
        return reply

    def leave(self, came: Reply | BaseException | None = None) -> None:
        """Give the place back, if there is one."""
        if self._sent is not None:
            self._room.leave(self._provider, self._sent, came)
            self._sent = None

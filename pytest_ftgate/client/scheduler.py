"""The scheduler: requests that share a rate limit, in order, within their concurrency."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from urllib.parse import urlsplit

from pytest_ftgate.client.budget import Budget
from pytest_ftgate.client.rate_limit import Limiter, family, wait_told
from pytest_ftgate.client.results import Answer
from pytest_ftgate.errors import (
    Denied,
    FtgateError,
    LedgerError,
    OutOfBudget,
    ReplyError,
    Transient,
)
from pytest_ftgate.providers.base import Provider, asked
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call

__all__ = ["Lane", "Room", "Sender", "Work", "lane_of"]

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


@dataclass(frozen=True, slots=True)
class Work:
    """What a lane leaves to the engine.

    Attributes:
        open: opens the provider that answers some calls.
        answer: brings the reply to a call; what it sends it sends through the sender.
        settle: is told what became of a call.
    """

    open: Callable[[Sequence[Call]], Awaitable[Provider]]
    answer: Callable[[Sender, Call], Awaitable[Reply]]
    settle: Callable[[Call, Answer], None]


def lane_of(call: Call) -> tuple[str | None, ...]:
    """Return what the calls of one lane share: provider, host, key and family of models."""
    host = urlsplit(call.base_url).netloc if call.base_url else None
    return (call.provider, host, call.api_key_env, family(call.model), call.function)


@dataclass(slots=True, eq=False)
class _Model:
    """One model of a lane, with the provider that is open for it alone."""

    provider: Provider | None = None
    working: int = 0
    dead: FtgateError | None = None

    def serves(self, call: Call) -> bool:
        # A provider that breaks here is opened anew, where the reason is told.
        with suppress(Exception):
            return self.provider is not None and self.provider.serves(call)
        return False


class Lane:
    """Sends calls: fills what room there is when one ends, comes in, or a pause is over.

    A call that waits for anything but its reply takes up no room. While nothing gets through to
    the server, no call is sent for the first time; if none of those under way gets through
    either, all are given up.

    Args:
        work: what is left to the engine.
        concurrency: calls in flight at once, or None for as many as the provider takes.
        budget: what may be spent, or None for all.
    """

    def __init__(self, work: Work, concurrency: int | None, budget: Budget | None) -> None:
        self._work, self._concurrency = work, concurrency
        self._room = Room(self.fill, budget)
        self._waiting: deque[Call] = deque()
        self._models: dict[tuple[str | None, str], _Model] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening: asyncio.Task[None] | None = None
        self._numbers = count()
        self._lost = FtgateError("no reply")

    def add(self, call: Call) -> None:
        """Let *call* wait for its turn; *fill* sends it."""
        dead = self._model(call).dead
        if dead:
            self._work.settle(call, dead)
        else:
            self._waiting.append(call)

    def _model(self, call: Call) -> _Model:
        return self._models.setdefault((call.base_url, call.model), _Model())

    def fill(self) -> None:
        """Send as much as there is room for: first what is sent again, then what waits."""
        self._room.admit()
        while self._waiting and self._room.has_place() and not self._room.is_away():
            model = self._model(self._waiting[0])
            if not self._is_open(model):
                return
            self._start(self._waiting.popleft(), model)
        if self._room.is_away() and not any(one.working for one in self._models.values()):
            self._room.in_vain = 0
            self.give_up(self._lost)

    def _start(self, call: Call, model: _Model) -> None:
        model.working += 1
        assert model.provider is not None  # noqa: S101 - it has just been asked whether it serves
        sender = Sender(self._room, model.provider, next(self._numbers))
        task = asyncio.get_running_loop().create_task(self._run(call, model, sender))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, call: Call, model: _Model, sender: Sender) -> None:
        answer = await self._answer(sender, call)
        sender.leave()
        model.working -= 1
        # Without a ledger every further reply would be paid for and lost.
        if isinstance(answer, Denied | LedgerError):
            model.dead = answer
            self.give_up(answer, model)
        self._work.settle(call, answer)
        self.fill()

    async def _answer(self, sender: Sender, call: Call) -> Answer:
        try:
            return await self._work.answer(sender, call)
        except FtgateError as error:
            self._lost = error
        except Exception as error:  # noqa: BLE001 - a broken provider must not leave gates waiting
            self._lost = ReplyError(f"{type(error).__name__}: {error}")
        return self._lost

    def _is_open(self, model: _Model) -> bool:
        """Tell whether the next call can be sent; begin to open its provider where it cannot."""
        if self._opening:
            return False
        if model.serves(self._waiting[0]):
            return True
        # What is under way needs the provider that is open.
        if not model.working:
            self._opening = asyncio.get_running_loop().create_task(self._open(model))
        return False

    async def _open(self, model: _Model) -> None:
        mine = [call for call in self._waiting if self._model(call) is model]
        try:
            await self._reopen(model, mine)
        except FtgateError as error:
            self.give_up(error, model)
        except Exception as error:  # noqa: BLE001 - a broken provider must not leave gates waiting
            self.give_up(ReplyError(f"{type(error).__name__}: {error}"), model)
        finally:
            self._opening = None
        self.fill()

    async def _reopen(self, model: _Model, calls: Sequence[Call]) -> None:
        before, model.provider = model.provider, None
        if before is not None:
            await before.close()
        opened = await self._work.open(calls)
        # What was learned of a server holds for all of its models.
        if not any(one.provider for one in self._models.values()):
            self._room.limiter = self._limiter(opened)
        model.provider = opened

    def _limiter(self, provider: Provider) -> Limiter:
        if self._concurrency:
            return Limiter(self._concurrency, self._concurrency)
        start = provider.concurrency
        return Limiter(start, max(start, getattr(provider, "most", 0)))

    def give_up(self, error: FtgateError, model: _Model | None = None) -> None:
        """Settle the calls that wait to be sent for the first time: all, or those of one model."""
        waiting, self._waiting = self._waiting, deque()
        for call in waiting:
            if model is None or self._model(call) is model:
                self._work.settle(call, error)
            else:
                self._waiting.append(call)

    def cancel(self) -> None:
        """Let go of what is in flight."""
        for task in self._tasks:
            task.cancel()

    async def end(self) -> None:
        """Send nothing more, let what is in flight come home, and close the providers."""
        self._room.end()
        self.give_up(ReplyError("the run ended before this call was sent"))
        under_way = [*self._tasks, *([self._opening] if self._opening else [])]
        await asyncio.gather(*under_way, return_exceptions=True)
        for provider in [one.provider for one in self._models.values() if one.provider]:
            # Every reply is home by now; one that cannot close must not keep others from it.
            with suppress(Exception):
                await provider.close()

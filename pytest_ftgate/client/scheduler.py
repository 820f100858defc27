"""The scheduler: requests that share a rate limit, in order, within their concurrency.

A self-hosted server gets the requests for one model and adapter at a time.

Some servers apply an adapter to all requests that they compute together, the base's included.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from typing import Any
from urllib.parse import urlsplit

from pytest_ftgate.client.budget import Budget
from pytest_ftgate.client.rate_limit import (
    LOADING,
    REFUSING,
    REPLYING,
    UNREACHABLE,
    Backoff,
    RateLimiter,
    model_family,
    seconds_until_reset,
)
from pytest_ftgate.client.results import Result, task_error
from pytest_ftgate.errors import (
    CacheError,
    FtgateError,
    OutOfBudget,
    ProviderRejected,
    ReplyError,
    RetryableError,
    WrongModel,
)
from pytest_ftgate.providers.base import Provider, generate_reply
from pytest_ftgate.requests.reply import Reply, wrong_model
from pytest_ftgate.requests.request import Request, weights_of
from pytest_ftgate.suite.providers import is_hosted_url, provider_spec


@dataclass(slots=True, eq=False)
class _Phase:
    """The requests of one model and adapter without a result yet, by fingerprint."""

    weights: object
    requests: dict[str, Request] = field(default_factory=dict)


def server_address(request: Request) -> str | None:
    """Return the host of a server that takes one phase at a time; None for hosted APIs."""
    if not provider_spec(request.provider).any_server or request.batch:
        return None
    url = request.base_url
    return urlsplit(url).netloc if url and not is_hosted_url(url) else None


class Phases:
    """Holds requests back until those of other weights at their address have results.

    Each submission has one phase for each of its weights, in the order of their first request; it
    continues the last phase before it. A submission that goes first continues the current phase,
    and its other phases come next. Where all requests of an address are to one model, nothing is
    held back.
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[_Phase]] = {}

    def admit(self, requests: Iterable[Request], *, first: bool = False) -> list[Request]:
        """Return those of *requests* that may be sent now; hold the others."""
        queues = self._queues.items()
        continued = ((name, queue[0 if first else -1]) for name, queue in queues)
        phases = {(name, phase.weights): phase for name, phase in continued}
        admitted = []
        for request in requests:
            address = server_address(request)
            if address is None or self._add(address, request, phases, first=first):
                admitted.append(request)
        return admitted

    def _add(
        self,
        address: str,
        request: Request,
        phases: dict[tuple[str, object], _Phase],
        *,
        first: bool,
    ) -> bool:
        """Add *request* to one of *phases* or a new one; return True if that is the current one."""
        queue, weights = self._queues.setdefault(address, deque()), weights_of(request)
        if (address, weights) not in phases:
            after = sum(name == address for name, _ in phases) if first else len(queue)
            queue.insert(after, phases.setdefault((address, weights), _Phase(weights)))
        phase = phases[address, weights]
        phase.requests[request.fingerprint] = request
        return phase is queue[0]

    def finish(self, request: Request) -> list[Request]:
        """Count a result; return the requests to send now if it was the last of its phase."""
        queue = self._queues.get(server_address(request) or "")
        if not queue:
            return []
        queue[0].requests.pop(request.fingerprint, None)
        if queue[0].requests:
            return []
        queue.popleft()
        if not queue:
            del self._queues[server_address(request) or ""]
            return []
        return [*queue[0].requests.values()]

    def drop_held(self) -> list[Request]:
        """Drop the requests that are held back, and return them."""
        dropped: list[Request] = []
        for queue in self._queues.values():
            for phase in [*queue][1:]:
                dropped += phase.requests.values()
                queue.remove(phase)
        return dropped


#: After this many first attempts in a row without a reply, the server counts as unreachable.
_UNREACHABLE_AFTER = 8
_ENDED = "the run ended before this request was sent again"


class Slots:
    """The slots of requests that share a rate limit, and the queue of requests to send again.

    *on_free* is called when a slot may be free, and *on_error* with an unexpected exception.
    Without *budget*, there is no limit.
    """

    def __init__(
        self,
        on_free: Callable[[], None],
        budget: Budget | None,
        on_error: Callable[[BaseException], object],
    ) -> None:
        self._on_free, self.budget, self.on_error = on_free, budget, on_error
        self._loop = asyncio.get_running_loop()
        #: Replaced by the limiter of the provider once one is open.
        self.limiter = RateLimiter(1, 1)
        #: First attempts in a row that failed, without any reply between them.
        self.failed_in_a_row = 0
        self._has_replied = False
        #: Requests that wait to be sent again, ordered by their number.
        self._retries: list[tuple[int, asyncio.Future[float]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_woken = self._closed = False

    def has_free_slot(self) -> bool:
        """Return True if a request may be sent now."""
        return self.limiter.has_capacity(self._loop.time())

    def is_unreachable(self) -> bool:
        """Return True if so many requests failed that the server seems to be down."""
        return self.failed_in_a_row >= max(_UNREACHABLE_AFTER, self.limiter.limit)

    def backoff(self, error: RetryableError) -> Backoff:
        """Return how long a request that failed with *error* is retried."""
        if error.loading:
            return LOADING
        if self._has_replied and error.limited:
            return REFUSING
        is_replying = self._has_replied and self.failed_in_a_row < _UNREACHABLE_AFTER
        return REPLYING if is_replying else UNREACHABLE

    def acquire(self) -> float:
        """Take a free slot; return the time on the clock of the loop."""
        now = self._loop.time()
        self.limiter.acquire(now)
        return now

    async def reacquire(self, number: int) -> float:
        """Wait for a slot to send a request again, and take it; lower numbers go first."""
        if self._closed:
            raise ReplyError(_ENDED)
        turn: asyncio.Future[float] = self._loop.create_future()
        heappush(self._retries, (number, turn))
        self.wake()
        return await turn

    def wake(self) -> None:
        """Let free slots be used once the callbacks that are due now have run."""
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon(self._use_free)

    def _use_free(self) -> None:
        self._is_woken = False
        self._on_free()

    def grant(self) -> None:
        """Give free slots to requests that are sent again, or set a timer for the next one."""
        while self._retries and self.has_free_slot():
            _, turn = heappop(self._retries)
            if not turn.done():
                turn.set_result(self.acquire())
        opens_at = self.limiter.opens_at
        if self._timer and self._timer.when() > opens_at:
            self._timer.cancel()
            self._timer = None
        if not self._timer and opens_at > self._loop.time():
            self._timer = self._loop.call_at(opens_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._on_free()

    def release(
        self, provider: Provider, sent_at: float, outcome: Reply | BaseException | None
    ) -> None:
        """Give a slot back, and adapt the rate limit to the outcome of the request."""
        try:
            self._adapt(provider, sent_at, outcome)
        except Exception as error:  # noqa: BLE001 - the reply itself has come
            self.on_error(error)
        # Not immediately: the waiting code processes the outcome first.
        self.wake()

    def _adapt(
        self, provider: Provider, sent_at: float, outcome: Reply | BaseException | None
    ) -> None:
        now = self._loop.time()
        if isinstance(outcome, Reply):
            self.failed_in_a_row, self._has_replied = 0, True
            self.limiter.record_reply(sent_at, now)
        elif isinstance(outcome, RetryableError):
            self.limiter.record_failure(
                sent_at, now, limited=outcome.limited, retry_after=outcome.retry_after
            )
        else:
            self.limiter.release()
        headers = getattr(provider, "rate_limit_headers", None)
        if headers:
            tokens = sum(outcome.usage.values()) if isinstance(outcome, Reply) else 0
            if wait := seconds_until_reset(headers, datetime.now(UTC), tokens):
                self.limiter.pause_until(now + wait, now)

    def close(self) -> None:
        """Fail all requests that wait to be sent again."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
        for _, turn in self._retries:
            if not turn.done():
                turn.set_exception(ReplyError(_ENDED))


class SlotLease:
    """Sends one request through *provider*, with a slot for each attempt and each turn.

    The first slot is taken at once. *number* is the position of the request in the order of all
    requests.
    """

    def __init__(self, slots: Slots, provider: Provider, number: int) -> None:
        self._slots, self._provider, self._number = slots, provider, number
        self._sent_at: float | None = slots.acquire()
        self._is_first = True

    def backoff(self, error: RetryableError) -> Backoff:
        """Return how long the request is retried after *error*."""
        return self._slots.backoff(error)

    async def generate(self, request: Request) -> Reply:
        """Send one request as soon as a slot is free.

        Raises:
            OutOfBudget: the budget is used up.
            ReplyError: the request failed.
        """
        if self._sent_at is None:
            self._sent_at = await self._slots.reacquire(self._number)
        is_first, self._is_first = self._is_first, False
        try:
            reply = await self._send_within_budget(request)
        except BaseException as error:
            self._slots.failed_in_a_row += is_first and isinstance(error, RetryableError)
            self.release(error)
            raise
        self.release(reply)
        return reply

    async def _send_within_budget(self, request: Request) -> Reply:
        budget = self._slots.budget
        reason = budget.stop_reason() if budget else None
        if reason:
            raise OutOfBudget(reason)
        reply = await generate_reply(self._provider, request)
        if budget:
            try:
                budget.record_cost(request, reply)
            except Exception as error:  # noqa: BLE001 - the reply itself is paid for
                self._slots.on_error(error)
        return reply

    def release(self, outcome: Reply | BaseException | None = None) -> None:
        """Give the slot back, if it is held."""
        if self._sent_at is not None:
            self._slots.release(self._provider, self._sent_at, outcome)
            self._sent_at = None


@dataclass(frozen=True, slots=True)
class SchedulerCallbacks:
    """The parts of the engine that a scheduler calls.

    Attributes:
        open_provider: opens the provider for the given requests.
        fetch_reply: returns the reply to a request, and sends through the given lease.
        settle: receives the result of a request.
        fail: receives an unexpected exception, which ends the run.
    """

    open_provider: Callable[[Sequence[Request]], Awaitable[Provider]]
    fetch_reply: Callable[[SlotLease, Request], Awaitable[Reply]]
    settle: Callable[[Request, Result], None]
    fail: Callable[[BaseException], object]


def _error_of_all(request: Request, result: Result) -> FtgateError | None:
    """Return the error that all requests to the model of *request* would have, or None."""
    if isinstance(result, ProviderRejected | CacheError):
        return result
    message = wrong_model(request, result.model) if isinstance(result, Reply) else ""
    return WrongModel(message) if message else None


def rate_limit_key(request: Request) -> tuple[str | None, ...]:
    """Return what requests with one rate limit share: provider, host, key and model family.

    Functions that a test may have replaced share nothing with those of other tests and gates.
    """
    host = urlsplit(request.base_url).netloc if request.base_url else None
    family = model_family(request.model)
    called = (request.function, request.only_for)
    return (request.provider, host, request.api_key_env, family, *called)


@dataclass(slots=True, eq=False)
class _ModelState:
    """One model of a scheduler.

    Attributes:
        provider: the provider that is open for this model.
        active: requests that were started and have no result yet.
        error: the error that ended all requests of this model.
    """

    provider: Provider | None = None
    active: int = 0
    error: FtgateError | None = None

    def serves(self, request: Request) -> bool:
        # A provider that raises here is opened anew, and that reports the reason.
        with suppress(Exception):
            return self.provider is not None and self.provider.serves(request)
        return False


class Scheduler:
    """Sends requests that share a rate limit whenever a slot is free.

    A request holds a slot only while it waits for its reply. While the server is unreachable, no
    request is sent for the first time; if all requests in flight fail too, the scheduler gives up
    on the others.

    *concurrency* is the number of requests in flight, or None for the provider's own. Without
    *budget*, there is no limit.
    """

    def __init__(
        self, callbacks: SchedulerCallbacks, concurrency: int | None, budget: Budget | None
    ) -> None:
        self._callbacks, self._concurrency = callbacks, concurrency
        self._slots = Slots(self.send_waiting, budget, callbacks.fail)
        self._waiting: deque[Request] = deque()
        self._models: dict[tuple[str | None, str], _ModelState] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening: asyncio.Task[None] | None = None
        self._is_cancelled = False
        self._numbers = count()
        self._last_error = FtgateError("no reply")

    def add(self, request: Request, *, first: bool = False) -> None:
        """Put *request* at the end of the queue, or *first*; `send_waiting` sends it."""
        error = self.error_of(request)
        if error:
            self._callbacks.settle(request, error)
        elif first:
            self._waiting.appendleft(request)
        else:
            self._waiting.append(request)

    def _model(self, request: Request) -> _ModelState:
        return self._models.setdefault((request.base_url, request.model), _ModelState())

    @property
    def notices(self) -> list[str]:
        """What the open providers say of how they work; may be read in another thread."""
        providers = [model.provider for model in [*self._models.values()]]
        notices = [getattr(provider, "notice", "") for provider in providers]
        return [text for text in notices if isinstance(text, str) and text]

    def error_of(self, request: Request) -> FtgateError | None:
        """Return the error that affects all requests to the model of *request*, if there is one."""
        return self._model(request).error

    def send_waiting(self) -> None:
        """Send requests while slots are free: retries first, then the queue."""
        self._slots.grant()
        while self._waiting and self._slots.has_free_slot() and not self._slots.is_unreachable():
            model = self._model(self._waiting[0])
            if not self._has_open_provider(model):
                return
            self._start(self._waiting.popleft(), model)
        if self._slots.is_unreachable() and not any(
            model.active for model in self._models.values()
        ):
            self._slots.failed_in_a_row = 0
            self.give_up(self._last_error)

    def _start(self, request: Request, model: _ModelState) -> None:
        model.active += 1
        assert model.provider is not None  # noqa: S101 - the caller has just checked it
        lease = SlotLease(self._slots, model.provider, next(self._numbers))
        task = asyncio.get_running_loop().create_task(self._run(request, model, lease))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._check_task)

    def _check_task(self, task: asyncio.Task[None]) -> None:
        """End the run if *task* ended by an exception: its request has no result."""
        error = task_error(task)
        is_wanted = self._is_cancelled and isinstance(error, asyncio.CancelledError)
        if error is not None and not is_wanted:
            self._callbacks.fail(error)

    async def _run(self, request: Request, model: _ModelState, lease: SlotLease) -> None:
        try:
            result: Result = await self._callbacks.fetch_reply(lease, request)
        except FtgateError as failed:
            result = self._last_error = failed
        lease.release()
        model.active -= 1
        # Without a cache every further reply would be paid for and lost.
        error = _error_of_all(request, result)
        if error:
            model.error = error
            self.give_up(error, model)
        self._callbacks.settle(request, result)
        self._slots.wake()

    def _has_open_provider(self, model: _ModelState) -> bool:
        """Return True if the next request can be sent; if not, begin to open its provider."""
        if self._opening:
            return False
        if model.serves(self._waiting[0]):
            return True
        # Active requests still need the provider that is open.
        if not model.active:
            self._opening = asyncio.get_running_loop().create_task(self._open_provider(model))
            self._opening.add_done_callback(self._check_task)
        return False

    async def _open_provider(self, model: _ModelState) -> None:
        requests = [request for request in self._waiting if self._model(request) is model]
        try:
            # What waited may have been given up before this task began.
            if requests:
                await self._replace_provider(model, requests)
        except FtgateError as error:
            # With other options, such as another type of numbers, the model may load.
            self.give_up(error, model, requests[0].options)
        finally:
            self._opening = None
        self.send_waiting()

    async def _replace_provider(self, model: _ModelState, requests: Sequence[Request]) -> None:
        previous, model.provider = model.provider, None
        if previous is not None:
            await previous.close()
        provider = await self._callbacks.open_provider(requests)
        # All models share the limiter, so that they keep what it has learned about the server.
        if not any(other.provider for other in self._models.values()):
            self._slots.limiter = self._new_limiter(provider)
        model.provider = provider

    def _new_limiter(self, provider: Provider) -> RateLimiter:
        if self._concurrency:
            return RateLimiter(self._concurrency, self._concurrency)
        start = provider.concurrency
        return RateLimiter(start, max(start, getattr(provider, "max_concurrency", 0)))

    def give_up(
        self,
        error: FtgateError,
        model: _ModelState | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        """Settle the requests in the queue with *error*: all, or those of one model with *options*.

        None stands for all options.
        """
        waiting, self._waiting = self._waiting, deque()
        for request in waiting:
            is_one = model is None or self._model(request) is model
            if is_one and options in (None, request.options):
                self._callbacks.settle(request, error)
            else:
                self._waiting.append(request)

    def cancel(self) -> None:
        """Cancel the requests in flight."""
        self._is_cancelled = True
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Send nothing more, wait for the requests in flight, and close the providers."""
        self._slots.close()
        self.give_up(ReplyError("the run ended before this request was sent"))
        tasks = [*self._tasks, *([self._opening] if self._opening else [])]
        await asyncio.gather(*tasks, return_exceptions=True)
        for provider in [model.provider for model in self._models.values() if model.provider]:
            # All replies are in. Neither an error on closing nor sys.exit may affect the others.
            with suppress(BaseException):
                await provider.close()

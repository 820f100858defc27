"""The results of requests: from the cache, from the engine's thread, or from other processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import reduce
from threading import Event, Lock

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client.budget import RecentRate
from pytest_ftgate.client.rate_limit import RetryPolicy
from pytest_ftgate.client.redaction import redact, redact_text
from pytest_ftgate.errors import (
    CacheError,
    ConfigurationError,
    EngineError,
    FtgateError,
    NotRecorded,
    OutOfBudget,
    ProviderRejected,
    RepliesMissing,
    ReplyError,
)
from pytest_ftgate.requests.reply import Reply, TextFile, file_text
from pytest_ftgate.requests.request import Request, without_path
from pytest_ftgate.suite.providers import provider_spec

#: The result of one request.
Result = Reply | FtgateError

#: The most cached replies that are read at once: their long texts are in memory until then.
_READ_AT_ONCE = 1000
#: Seconds between two ticks of a waiting thread.
_TICK = 0.5


def task_error(task: asyncio.Task[None]) -> BaseException | None:
    """Return what ended *task*, the exception that cancelled it as well; None if it is done."""
    try:
        return task.exception()
    except asyncio.CancelledError as error:
        return error


class Results:
    """The results of one run: the engine's thread sets them, and other threads wait for them.

    Secrets in *environ* are removed from errors. If *fresh*, no cached reply of another run is
    used.
    """

    def __init__(self, cache: Cache, environ: Mapping[str, str], *, fresh: bool) -> None:
        self._cache, self._environ, self._fresh = cache, environ, fresh
        self._texts = TextFile()
        #: The results that have arrived, by fingerprint.
        self.arrived: dict[str, Result] = {}
        self.reused = self.received = self.failed = 0
        #: The rate of the replies and failures that are not reused.
        self.recent_rate = RecentRate()
        self._started = 0.0
        #: The requests whose results are expected and have not arrived, by fingerprint.
        self._pending: dict[str, Request] = {}
        #: Requests whose reply was in the cache: from an earlier run, or from another process.
        self._cached: set[str] = set()
        self._waiters: list[tuple[set[str], Event]] = []
        self._lock = Lock()
        #: The variables of the keys that requests name.
        self._key_names = set[str | None]()
        #: The exception that ended the engine, or None.
        self.failure: EngineError | None = None

    def fail(self, error: BaseException) -> EngineError:
        """End the run: *error* in the engine's thread was not expected, so results may not come."""
        environ, names = self._environ, tuple(self._key_names)
        with self._lock:
            pending = [*self._pending.values()]
            self.failure = self.failure or EngineError(
                error,
                lambda text: redact_text(reduce(without_path, pending, text), environ, *names),
            )
            for _, done in self._waiters:
                done.set()
            return self.failure

    def check(self) -> None:
        """Raise EngineError if an unexpected exception has ended the engine."""
        if self.failure is not None:
            raise self.failure from self.failure.cause

    def check_task(self, task: asyncio.Task[None]) -> None:
        """End the run if *task* ended by an exception; nothing cancels it from here."""
        error = task_error(task)
        if error is not None:
            self.fail(error)

    def start_clock(self) -> None:
        """Count the seconds from now on, if this is the first request."""
        self._started = self._started or time.monotonic()

    @property
    def seconds(self) -> float:
        """The seconds since the first request was sent; 0 before that."""
        return time.monotonic() - self._started if self._started else 0.0

    @property
    def expected(self) -> int:
        """The number of results that are expected or have arrived."""
        with self._lock:
            return len(self._pending) + len(self.arrived)

    def expects(self, request: Request) -> bool:
        """Return True if the result of *request* is expected or has arrived."""
        # In this order: a result arrives before it stops being pending.
        return request.fingerprint in self._pending or request.fingerprint in self.arrived

    def expect(self, requests: Iterable[Request]) -> list[Request]:
        """Expect the results of *requests*; return those that were not expected before."""
        new = {request.fingerprint: request for request in requests if not self.expects(request)}
        with self._lock:
            self._pending.update(new)
            self._key_names.update(*(request.key_names for request in new.values()))
        return [*new.values()]

    def pending_calls(self) -> list[Request]:
        """Return the expected requests to functions of the project."""
        with self._lock:
            pending = [*self._pending.values()]
        return [request for request in pending if provider_spec(request.provider).calls_code]

    def cached_replies(self, requests: Iterable[Request]) -> dict[str, Reply]:
        """Return the cached replies to *requests* that this run may use, by fingerprint."""
        keys = {
            request.fingerprint: request.cache_key
            for request in requests
            if request.cache_key and not provider_spec(request.provider).recorded
        }
        wanted, found = [*dict.fromkeys(keys.values())], dict[str, Reply]()
        for start in range(0, len(wanted), _READ_AT_ONCE):
            part = wanted[start : start + _READ_AT_ONCE]
            read = self._cache.replies(part, this_run=self._fresh)
            found |= {key: file_text(reply, self._texts) for key, reply in read.items()}
        replies = {name: found[key] for name, key in keys.items() if key in found}
        self._cached.update(replies)
        return replies

    def settle(self, request: Request, result: Result) -> None:
        """Set the result of *request*, and count it."""
        fingerprint = request.fingerprint
        if not isinstance(result, Reply):
            redact(result, self._environ, request)
            self.failed += 1
            self.recent_rate.add(self.seconds)
        elif provider_spec(request.provider).recorded or fingerprint in self._cached:
            self.reused += 1
        else:
            self.received += 1
            self.recent_rate.add(self.seconds)
        if isinstance(result, Reply):
            result = file_text(result, self._texts)
        with self._lock:
            self.arrived[fingerprint] = result
            self._pending.pop(fingerprint, None)
            if not self._pending:
                self._pending.clear()  # frees the memory of those that were pending
            for missing, done in self._waiters:
                missing.discard(fingerprint)
                if not missing:
                    done.set()

    def wait(self, requests: Iterable[Request], tick: Callable[[], None] | None) -> None:
        """Wait for the results of *requests*; call *tick* about twice a second while waiting.

        Raises:
            EngineError: an unexpected exception has ended the engine.
        """
        done = Event()
        with self._lock:
            missing = {request.fingerprint for request in requests} - self.arrived.keys()
            self._waiters.append((missing, done))
        try:
            while missing:
                self.check()
                done.wait(_TICK)
                if tick:
                    tick()
            # What has come is no evidence if anything else is lost.
            self.check()
        finally:
            with self._lock:
                self._waiters.remove((missing, done))


class CacheWriter:
    """Writes to *cache* once the callbacks that are due have run; used in the engine's loop only.

    A transaction for each request would take longer than all else that this package does with it.
    Replies are committed before their slots are used again, so that a killed run has never paid for
    more requests without a stored reply than may be in flight.
    """

    def __init__(self, cache: Cache, results: Results) -> None:
        self._cache, self._results = cache, results
        self._unclaimed: list[Request] = []
        self._unstored: list[tuple[Request, Reply]] = []
        self._claiming: asyncio.Task[Mapping[str, Reply | None]]
        self._storing: asyncio.Task[None]

    async def claim(self, request: Request) -> Mapping[str, Reply | None]:
        """Claim *request*; return the claimed requests of this pass, by fingerprint.

        Each has the reply that another process has stored since the look-up, or None. A request
        that another live process has claimed is missing.
        """
        if not self._unclaimed:
            self._claiming = asyncio.create_task(self._claim_all())
        self._unclaimed.append(request)
        # If one of those that wait is cancelled, the others still need the outcome.
        return await asyncio.shield(self._claiming)

    async def _claim_all(self) -> Mapping[str, Reply | None]:
        requests, self._unclaimed = self._unclaimed, []
        claimed = self._cache.claim_all([request.fingerprint for request in requests])
        return dict.fromkeys(claimed) | self._results.cached_replies(
            request for request in requests if request.fingerprint in claimed
        )

    async def store(self, request: Request, reply: Reply) -> None:
        """Commit *reply*, and release the claim of *request*."""
        if not self._unstored:
            self._storing = asyncio.create_task(self._store_all())
        self._unstored.append((request, reply))
        await asyncio.shield(self._storing)

    async def _store_all(self) -> None:
        exchanges, self._unstored = self._unstored, []
        self._cache.store_all(exchanges)


class PeerWaiter:
    """Waits for replies that other processes fetch; used in the loop of the engine only.

    *retry_policy* knows when the run ends. *interval* is the seconds between two looks into
    *cache*.
    """

    def __init__(
        self, cache: Cache, results: Results, retry_policy: RetryPolicy, interval: float
    ) -> None:
        self._cache, self._results = cache, results
        self._retry_policy, self._interval = retry_policy, interval
        self._waiting: dict[str, tuple[Request, asyncio.Future[Reply | None]]] = {}
        self._polling: asyncio.Task[None] | None = None

    def reply_to(self, request: Request) -> asyncio.Future[Reply | None]:
        """Wait for the process that has claimed *request*.

        Returns:
            A future of the reply; of None if that process gave up, and this one has the claim; of
            a ReplyError if the run ends first, or a CacheError if the cache cannot be read.
        """
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._waiting[request.fingerprint] = request, future
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        return future

    async def _poll(self) -> None:
        while self._waiting:
            try:
                if not await self._retry_policy.run_ends_within(self._interval):
                    self._look()
                    continue
                message = "the run ended while another process was sending this request"
                self._give_up(ReplyError(message))
            except FtgateError as error:
                self._give_up(error)
            except Exception as error:  # noqa: BLE001 - those who wait must learn of it
                self._results.fail(error)
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()

    def _look(self) -> None:
        requests: Sequence[Request] = [request for request, _ in self._waiting.values()]
        found: dict[str, Reply | None] = {**self._results.cached_replies(requests)}
        free = self._cache.claim_free([name for name in self._waiting if name not in found])
        for fingerprint, reply in (found | dict.fromkeys(free)).items():
            _, future = self._waiting.pop(fingerprint)
            if not future.done():
                future.set_result(reply)


#: With a larger share of failed requests a gate is not evaluated.
_MAX_UNANSWERED_SHARE = 0.5


def require_recorded(results: Collection[Result], suite: str) -> None:
    """Raise unless every reply is recorded.

    Raises:
        RepliesMissing: a reply of *suite* is not cached, and the run must not send requests.
    """
    missing = sum(isinstance(result, NotRecorded) for result in results)
    if missing:
        # The suite of a mark without a file cannot be exported.
        export = "" if "::" in suite else f" && pytest-ftgate cache export {suite}"
        raise RepliesMissing(
            f"{missing:,} of {len(results):,} replies are not recorded; with the keys, run\n"
            f"    pytest --ftgate {suite}{export}"
        )


def require_replies(results: Sequence[Result]) -> None:
    """Raise unless there are enough replies to evaluate.

    Raises:
        RepliesMissing: more than half of the requests failed, or an error affects all of them.
    """
    errors = [result for result in results if isinstance(result, FtgateError)]
    permanent = [
        error
        for error in errors
        if isinstance(error, ProviderRejected | ConfigurationError | CacheError)
    ]
    if permanent:
        raise RepliesMissing(str(permanent[0])) from permanent[0]
    failed = [error for error in errors if not isinstance(error, OutOfBudget)]
    if len(failed) > _MAX_UNANSWERED_SHARE * len(results):
        count = f"{len(failed)} of {len(results)} requests got no reply"
        raise RepliesMissing(f"{count}; the first: {failed[0]}") from failed[0]

"""The engine: one asyncio loop in a background thread sends all requests of a run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import chain
from pathlib import Path
from traceback import extract_tb
from typing import Any

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client.batches import Batches
from pytest_ftgate.client.budget import Budget, Progress
from pytest_ftgate.client.rate_limit import RetryPolicy
from pytest_ftgate.client.redaction import redact_message, redact_reply
from pytest_ftgate.client.results import CacheWriter, PeerWaiter, Result, Results
from pytest_ftgate.client.scheduler import (
    Phases,
    Scheduler,
    SchedulerCallbacks,
    SlotLease,
    rate_limit_key,
)
from pytest_ftgate.client.tools import run_tool_loop
from pytest_ftgate.errors import (
    CacheError,
    ConfigurationError,
    EngineError,
    NotRecorded,
    OutOfBudget,
    ReplyError,
    is_installed,
)
from pytest_ftgate.providers.base import Provider, ProviderFactory, import_providers, open_provider
from pytest_ftgate.providers.recorded import RecordedReplies
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.providers import provider_spec

_PACKAGE = str(Path(__file__).parents[1])


class EngineThread:
    """A thread that runs an event loop until it is stopped; no exception ends it.

    *on_error* is called in this thread with an exception that ends a callback of this package or
    of the user's code, or that would end the loop, as ``sys.exit`` does.
    """

    def __init__(self, on_error: Callable[[BaseException], object]) -> None:
        self._on_error = on_error
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(self._handle)
        self._thread = threading.Thread(target=self._run, name="ftgate", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                return self.loop.run_forever()
            except BaseException as error:  # noqa: BLE001 - what waits here would wait forever
                self._on_error(error)

    def _handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        # What callbacks of libraries raise, such as on a connection that breaks, is theirs.
        if "handle" in context and error is not None and _concerns_run(error):
            self._on_error(error)
        else:
            loop.default_exception_handler(context)

    def stop(self) -> None:
        """Stop the loop and wait for the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


def _concerns_run(error: BaseException) -> bool:
    """Return True if *error* went through this package, or through code that is not installed."""
    paths = [frame.filename for frame in extract_tb(error.__traceback__)]
    return any(path.startswith(_PACKAGE) or not is_installed(path) for path in paths)


#: Seconds between two looks for the replies of other processes.
_POLL = 0.1
_NOT_RECORDED = "no reply is recorded for this request; send it with --ftgate-replies=auto"


class Engine:
    """Sends each request once, in the order of submission; what a caller waits for goes first.

    *environ* has credentials and addresses. *replies* is ``auto``, ``fresh`` or ``recorded``.
    *concurrency* is the number of requests in flight for each model, or None for the provider's.
    *plugin_providers* are by name. Without *budget*, there is no limit.
    """

    def __init__(
        self,
        cache: Cache,
        environ: Mapping[str, str],
        *,
        replies: str = "auto",
        concurrency: int | None = None,
        plugin_providers: Mapping[str, ProviderFactory] | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._cache, self._environ = cache, environ
        #: Returns why a request must not be sent, or "".
        self.refusal: Callable[[Request], str] = lambda _: ""
        self._mode, self._concurrency, self._budget = replies, concurrency, budget
        self._plugin_providers = self._provider_factories(plugin_providers or {})
        self._results = Results(cache, environ, fresh=replies == "fresh")
        self._cache_writer = CacheWriter(cache, self._results)
        self._recorded = RecordedReplies()
        self._schedulers: dict[tuple[str | None, ...], Scheduler] = {}
        self._phases = Phases()
        self._callbacks = SchedulerCallbacks(
            self._open_provider, self._fetch_reply, self._settle, self._results.fail
        )
        self._in_flight: dict[str, Request] = {}
        self._peak_in_flight = 0
        self._ending, self._is_cancelled = asyncio.Event(), False
        self._retry_policy = RetryPolicy(self._ending)
        self._peers = PeerWaiter(cache, self._results, self._retry_policy, _POLL)
        self._batches = Batches(
            cache,
            environ,
            self._results,
            self._retry_policy,
            fresh=replies == "fresh",
            budget=budget,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = EngineThread(self._results.fail)
        self._loop = self._thread.loop

    def _provider_factories(
        self, plugin_providers: Mapping[str, ProviderFactory]
    ) -> Mapping[str, ProviderFactory]:
        """Return the factories of providers that this engine does not open by itself, by name."""
        return plugin_providers

    @property
    def progress(self) -> Progress:
        """The progress of the requests; thread-safe."""
        seconds = self._results.seconds
        return Progress(
            planned=self._results.expected,
            reused=self._results.reused,
            received=self._results.received,
            failed=self._results.failed,
            seconds=seconds,
            rate=self._results.recent_rate.per_second(seconds),
            batched=len(self._batches.in_flight),
            in_flight=len(self._in_flight),
            peak_in_flight=self._peak_in_flight,
            failing=self._failing(),
            notices=tuple(text for one in [*self._schedulers.values()] for text in one.notices),
        )

    def _failing(self) -> str:
        """Return why the request that failed last is sent again, without keys; "" if none is."""
        failing = self._retry_policy.failing
        if failing is None or not self._in_flight:
            return ""
        request, message = failing
        return redact_message(message, self._environ, request)

    @property
    def pending_batches(self) -> tuple[str, ...]:
        """A sentence on each batch that continues after the end of the run."""
        return tuple(self._batches.pending_batches)

    @property
    def failure(self) -> EngineError | None:
        """The unexpected exception that ended the engine, or None."""
        return self._results.failure

    def in_flight(self) -> Iterable[Request]:
        """Return the requests in flight, those in batches as well; for the loop only."""
        return chain(self._in_flight.values(), self._batches.unpaid.values())

    def submit(self, requests: Iterable[Request], *, first: bool = False) -> None:
        """Submit requests at the end of the queue, or *first* at its front.

        Requests that were submitted before are ignored.

        Raises:
            EngineError: an unexpected exception has ended the engine.
        """
        self._results.check()
        new = self._results.expect(requests)
        if not new:
            return
        try:
            unsettled = asyncio.run_coroutine_threadsafe(self._unsettled(new), self._loop).result()
            # In this thread only: pytest rewrites plugin modules on import, and some versions of
            # CPython cannot compile rewritten code in two threads at once.
            import_providers(unsettled)
        # The next gate would wait for them forever.
        except (Exception, SystemExit) as error:
            raise self._results.fail(error) from error
        self._loop.call_soon_threadsafe(partial(self._send, unsettled, first=first))

    def was_submitted(self, request: Request) -> bool:
        """Return True if *request* was submitted."""
        return self._results.expects(request)

    @property
    def results(self) -> Mapping[str, Result]:
        """The results so far, by fingerprint."""
        return self._results.arrived

    def wait(
        self, requests: Sequence[Request], tick: Callable[[Progress], None] | None = None
    ) -> Mapping[str, Result]:
        """Wait for the results of *requests* and return them, by fingerprint.

        New requests go to the front of the queue. *tick* is called with the progress about twice a
        second.

        Raises:
            EngineError: an unexpected exception has ended the engine.
        """
        self.submit(requests, first=True)
        self._results.wait(requests, (lambda: tick(self.progress)) if tick else None)
        names = (request.fingerprint for request in requests)
        return {name: self.results[name] for name in names}

    @property
    def pending_calls(self) -> list[Request]:
        """The requests to functions of the project that were submitted and have no result yet."""
        return self._results.pending_calls()

    def close(self) -> None:
        """Drop waiting requests, wait for the requests in flight, and stop.

        On KeyboardInterrupt the requests in flight are cancelled as well.
        """
        if not self._loop.is_closed():
            finishing = asyncio.run_coroutine_threadsafe(self._finish(), self._loop)
            try:
                self._await_end(finishing)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the caller checks *failure*
                self._results.fail(error)
            finally:
                self._thread.stop()
        self._cache.close()

    def _await_end(self, finishing: Future[None]) -> None:
        try:
            finishing.result()
        except KeyboardInterrupt:
            self._loop.call_soon_threadsafe(self._cancel)
            finishing.result()

    def cancel(self) -> None:
        """Let `close` cancel the requests in flight; a signal handler may call this meanwhile."""
        self._is_cancelled = True
        if self._ending.is_set() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._cancel)

    async def _unsettled(self, requests: list[Request]) -> list[Request]:
        """Settle the requests that need no provider; return the others."""
        settle, unsettled = self._results.settle, list[Request]()
        try:
            cached = self._results.cached_replies(requests)
        except CacheError as error:
            for request in requests:
                settle(request, error)
            return []
        with self._recorded:
            for request in requests:
                if request.fingerprint in cached:
                    settle(request, cached[request.fingerprint])
                elif provider_spec(request.provider).recorded:
                    settle(request, self._recorded.reply_or_error(request))
                elif message := self.refusal(request):
                    settle(request, ConfigurationError(message))
                elif self._mode == "recorded":
                    settle(request, NotRecorded(_NOT_RECORDED))
                else:
                    unsettled.append(request)
        return unsettled

    def _send(self, requests: list[Request], *, first: bool) -> None:
        batched = [request for request in requests if request.batch]
        if batched:
            self._results.start_clock()
            self._start(self._batches.run(batched)).add_done_callback(self._results.check_task)
        single = (request for request in requests if not request.batch)
        admitted = self._phases.admit(single, first=first)
        self._schedule(admitted[::-1] if first else admitted, first=first)

    def _schedule(self, requests: Iterable[Request], *, first: bool = False) -> None:
        for request in requests:
            self._scheduler(request).add(request, first=first)
        for scheduler in [*self._schedulers.values()]:
            scheduler.send_waiting()

    def _settle(self, request: Request, result: Result) -> None:
        self._results.settle(request, result)
        following = self._phases.finish(request)
        if following:
            # Not at once: the scheduler that settles the request is in the middle of its work.
            self._loop.call_soon(self._schedule, following)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task, which `close` waits for."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _scheduler(self, request: Request) -> Scheduler:
        key = rate_limit_key(request)
        if key not in self._schedulers:
            if request.only_for:
                self._end_other_tests(request.only_for)
            self._schedulers[key] = Scheduler(self._callbacks, self._concurrency, self._budget)
        return self._schedulers[key]

    def _end_other_tests(self, test: str) -> None:
        """Close what called functions for a test other than *test*: its calls have returned."""
        for key in [key for key in self._schedulers if key[-1] not in ("", test)]:
            self._start(self._schedulers.pop(key).close())

    async def _open_provider(self, requests: Sequence[Request]) -> Provider:
        provider = await asyncio.to_thread(
            open_provider, requests, self._environ, self._plugin_providers
        )
        self._results.start_clock()
        return provider

    async def _fetch_reply(self, lease: SlotLease, request: Request) -> Reply:
        stored = None
        if not request.only_for:
            claimed = await self._cache_writer.claim(request)
            if request.fingerprint not in claimed:
                lease.release()
                reply = await self._peers.reply_to(request)
                if reply is not None:
                    return reply
                claimed = self._results.cached_replies([request])
            stored = claimed.get(request.fingerprint)
        # What came with the claim may concern all requests to the model.
        if error := self._scheduler(request).error_of(request):
            self._cache.release(request.fingerprint)
            raise error
        try:
            return await self._fetch_claimed(lease, request, stored)
        except CacheError:
            raise
        # Whatever ends this request, another run of this process must not wait for it.
        except BaseException as failed:
            self._cache.release(request.fingerprint)
            if isinstance(failed, OutOfBudget):
                self._drop_held(failed)
                for scheduler in self._schedulers.values():
                    scheduler.give_up(failed)
            raise

    async def _fetch_claimed(
        self, lease: SlotLease, request: Request, stored: Reply | None
    ) -> Reply:
        if request.only_for:
            # No other run, process or test may find the reply: the results alone have it.
            return await self._send_with_retries(lease, request)
        if stored is not None:
            self._cache.release(request.fingerprint)
            return stored
        reply = await run_tool_loop(request, partial(self._send_turn, lease), self._cache.store)
        # Committed before use: a kill from here on loses nothing.
        await self._cache_writer.store(request, reply)
        return reply

    async def _send_turn(self, lease: SlotLease, request: Request) -> Reply:
        """Send one turn; a turn with tools is stored by itself, so that a kill loses none."""
        if not request.tools:
            return await self._send_with_retries(lease, request)
        cached = self._results.cached_replies([request])
        if cached:
            return cached[request.fingerprint]
        if request.steps and self._ending.is_set():
            raise ReplyError("the run ended between two turns of this request")
        reply = await self._send_with_retries(lease, request)
        self._cache.store(request, reply)
        return reply

    async def _send_with_retries(self, lease: SlotLease, request: Request) -> Reply:
        self._in_flight[request.fingerprint] = request
        self._peak_in_flight = max(self._peak_in_flight, len(self._in_flight))
        try:
            reply = await self._retry_policy.generate_with_retries(
                lease.generate, request, lease.backoff
            )
        finally:
            del self._in_flight[request.fingerprint]
        return redact_reply(reply, request, self._environ)

    def _drop_held(self, error: ReplyError) -> None:
        """Settle the requests that wait for their phase with *error*."""
        for request in self._phases.drop_held():
            self._results.settle(request, error)

    async def _finish(self) -> None:
        self._ending.set()
        self._drop_held(ReplyError("the run ended before this request was sent"))
        closing = asyncio.gather(*(scheduler.close() for scheduler in self._schedulers.values()))
        if self._is_cancelled:
            self._cancel()
        await closing
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _cancel(self) -> None:
        for scheduler in self._schedulers.values():
            scheduler.cancel()

"""The engine: one asyncio loop in a background thread sends all requests of a run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client.batches import Batches
from pytest_ftgate.client.budget import SpendingLimit
from pytest_ftgate.client.progress import Progress
from pytest_ftgate.client.redaction import redact
from pytest_ftgate.client.results import Result, Results, Spool
from pytest_ftgate.client.retry import RetryPolicy
from pytest_ftgate.client.scheduler import (
    Scheduler,
    SchedulerCallbacks,
    SlotLease,
    rate_limit_key,
)
from pytest_ftgate.client.tools import run_tool_loop
from pytest_ftgate.errors import CacheError, FtgateError, NotRecorded, OutOfBudget, ReplyError
from pytest_ftgate.providers.base import Provider, ProviderFactory, import_providers, open_provider
from pytest_ftgate.providers.recorded import RecordedReplies
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request
from pytest_ftgate.suite.providers import provider_spec

__all__ = ["Engine", "PeerWaiter"]

#: Seconds between two looks for the replies of other processes.
_POLL = 0.1


class PeerWaiter:
    """Waits for replies that other processes fetch; used in the loop of the engine only.

    Args:
        cache: the cache with their claims.
        stored_replies: returns the cached replies to requests that this run may use.
        ending: set when the run ends.
    """

    def __init__(
        self,
        cache: Cache,
        stored_replies: Callable[[Sequence[Request]], Mapping[str, Reply]],
        ending: asyncio.Event,
    ) -> None:
        self._cache, self._stored_replies, self._ending = cache, stored_replies, ending
        self._waiting: dict[str, tuple[Request, asyncio.Future[Reply | None]]] = {}
        self._polling: asyncio.Task[None] | None = None

    async def wait_for_reply(self, request: Request) -> Reply | None:
        """Wait for the process that has claimed *request*.

        Returns:
            The reply; None if that process gave up, and this process now has the claim.

        Raises:
            ReplyError: the run ended first.
            CacheError: the cache cannot be read.
        """
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._waiting[request.fingerprint] = request, future
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        return await future

    async def _poll(self) -> None:
        while self._waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _POLL)
            try:
                if self._ending.is_set():
                    raise ReplyError("the run ended while another process was sending this request")
                self._settle()
            except FtgateError as error:
                for _, future in self._waiting.values():
                    if not future.done():
                        future.set_exception(error)
                self._waiting.clear()

    def _settle(self) -> None:
        replies = self._stored_replies([request for request, _ in self._waiting.values()])
        for fingerprint, reply in replies.items():
            self._finish(fingerprint, reply)
        for fingerprint in self._cache.claim_free(list(self._waiting)):
            self._finish(fingerprint, None)

    def _finish(self, fingerprint: str, reply: Reply | None) -> None:
        _, future = self._waiting.pop(fingerprint)
        if not future.done():
            future.set_result(reply)


#: The number of cached replies in memory at once.
_PART = 1_000
_NOT_RECORDED = "no reply is recorded for this request; send it with --ftgate-replies=auto"


class Engine:
    """Sends each request once, in the order of submission.

    Args:
        cache: the cache, where replies are looked up and stored.
        environ: the environment, with credentials and addresses.
        replies: ``auto``, ``fresh`` or ``recorded``.
        concurrency: the number of requests in flight for each model, or None for the provider's.
        plugin_providers: the providers of other plugins, by name.
        budget: the budget of the run, or None for no limit.
    """

    def __init__(
        self,
        cache: Cache,
        environ: Mapping[str, str],
        *,
        replies: str = "auto",
        concurrency: int | None = None,
        plugin_providers: Mapping[str, ProviderFactory] | None = None,
        budget: SpendingLimit | None = None,
    ) -> None:
        self._cache, self._environ = cache, environ
        self._mode, self._concurrency, self._budget = replies, concurrency, budget
        self._plugin_providers = self._provider_factories(plugin_providers or {})
        self._results = Results(Spool(cache.path.parent))
        self._schedulers: dict[tuple[str | None, ...], Scheduler] = {}
        self._callbacks = SchedulerCallbacks(self._open_provider, self._fetch_reply, self._settle)
        self._reused = self._received = self._failed = 0
        #: Requests whose replies other processes have fetched.
        self._from_peers: set[str] = set()
        self._in_flight: dict[str, Request] = {}
        self._in_batches: dict[str, Request] = {}
        self._peak_in_flight, self._started = 0, 0.0
        self._ending = asyncio.Event()
        self._retry_policy = RetryPolicy(self._ending)
        self._batches = Batches(
            cache,
            environ,
            self._retry_policy,
            stored_replies=self._stored_replies,
            settle=self._settle,
            fresh=replies == "fresh",
            budget=budget,
            unpaid=self._in_batches,
        )
        self._batch_tasks: set[asyncio.Task[None]] = set()
        self._peers = PeerWaiter(cache, self._stored_replies, self._ending)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ftgate", daemon=True)
        self._thread.start()

    def _provider_factories(
        self, plugin_providers: Mapping[str, ProviderFactory]
    ) -> Mapping[str, ProviderFactory]:
        """Return the factories of providers that this engine does not open by itself, by name."""
        return plugin_providers

    @property
    def progress(self) -> Progress:
        """The progress of the requests; thread-safe."""
        seconds = time.monotonic() - self._started if self._started else 0.0
        return Progress(
            planned=self._results.expected,
            reused=self._reused,
            received=self._received,
            failed=self._failed,
            seconds=seconds,
            batched=len(self._batches.in_flight),
            in_flight=len(self._in_flight),
            peak_in_flight=self._peak_in_flight,
        )

    @property
    def pending_batches(self) -> tuple[str, ...]:
        """A sentence on each batch that continues after the end of the run."""
        return tuple(self._batches.pending_batches)

    def in_flight(self) -> Iterable[Request]:
        """Return the requests in flight, those in batches as well; for the loop only."""
        return chain(self._in_flight.values(), self._in_batches.values())

    def submit(self, requests: Iterable[Request]) -> None:
        """Submit requests; requests that were submitted before are ignored."""
        new = [request for request in requests if self._results.expect(request.fingerprint)]
        if not new:
            return
        unsettled = asyncio.run_coroutine_threadsafe(self._begin(new), self._loop).result()
        # In this thread only: pytest rewrites plugin modules on import, and some versions of
        # CPython cannot compile rewritten code in two threads at once.
        import_providers(unsettled)
        self._loop.call_soon_threadsafe(self._send, unsettled)

    def was_submitted(self, request: Request) -> bool:
        """Return True if *request* was submitted."""
        return self._results.expects(request.fingerprint)

    @property
    def results(self) -> Mapping[str, Result]:
        """The results so far, by fingerprint."""
        return self._results

    def wait(
        self, requests: Sequence[Request], tick: Callable[[Progress], None] | None = None
    ) -> Mapping[str, Result]:
        """Wait for the results of *requests*; return all results so far, by fingerprint.

        Args:
            requests: the requests; new ones are submitted.
            tick: called with the progress about twice a second while waiting.
        """
        self.submit(requests)
        fingerprints = (request.fingerprint for request in requests)
        self._results.wait(fingerprints, (lambda: tick(self.progress)) if tick else None)
        return self._results

    def close(self) -> None:
        """Drop waiting requests, wait for the requests in flight, and stop.

        On KeyboardInterrupt the requests in flight are cancelled as well.
        """
        if self._thread.is_alive():
            finishing = asyncio.run_coroutine_threadsafe(self._finish(), self._loop)
            try:
                finishing.result()
            except KeyboardInterrupt:
                self._loop.call_soon_threadsafe(self._cancel)
                finishing.result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        self._cache.close()

    def discard_replies(self) -> None:
        """Free the texts of all replies; they cannot be read afterwards."""
        self._results.close_spool()

    async def _begin(self, requests: list[Request]) -> list[Request]:
        """Settle the requests that need no provider; return the others."""
        parts = (requests[start : start + _PART] for start in range(0, len(requests), _PART))
        with RecordedReplies() as recorded:
            return [request for part in parts for request in self._unsettled(part, recorded)]

    def _unsettled(self, requests: list[Request], recorded: RecordedReplies) -> Iterator[Request]:
        try:
            stored = self._stored_replies(requests)
        except CacheError as error:
            for request in requests:
                self._settle(request, error)
            return
        for request in requests:
            if request.fingerprint in stored:
                self._reused += 1
                self._results.settle(request.fingerprint, stored[request.fingerprint])
            elif provider_spec(request.provider).recorded:
                self._settle(request, recorded.reply_or_error(request))
            elif self._mode == "recorded":
                self._settle(request, NotRecorded(_NOT_RECORDED))
            else:
                yield request

    def _send(self, requests: list[Request]) -> None:
        batched = [request for request in requests if request.batch]
        if batched:
            self._send_batches(batched)
        for request in requests:
            if not request.batch:
                self._scheduler(request).add(request)
        for scheduler in self._schedulers.values():
            scheduler.send_waiting()

    def _send_batches(self, requests: list[Request]) -> None:
        self._started = self._started or time.monotonic()
        task = self._loop.create_task(self._batches.run(requests))
        self._batch_tasks.add(task)
        task.add_done_callback(self._batch_tasks.discard)

    def _stored_replies(self, requests: Sequence[Request]) -> dict[str, Reply]:
        fingerprints = [
            request.fingerprint
            for request in requests
            if not provider_spec(request.provider).recorded
        ]
        return self._cache.replies(fingerprints, this_run=self._mode == "fresh")

    def _scheduler(self, request: Request) -> Scheduler:
        key = rate_limit_key(request)
        if key not in self._schedulers:
            self._schedulers[key] = Scheduler(self._callbacks, self._concurrency, self._budget)
        return self._schedulers[key]

    async def _open_provider(self, requests: Sequence[Request]) -> Provider:
        provider = await asyncio.to_thread(
            open_provider, requests, self._environ, self._plugin_providers
        )
        self._started = self._started or time.monotonic()
        return provider

    def _settle(self, request: Request, result: Result) -> None:
        if not isinstance(result, Reply):
            redact(result, self._environ, request.api_key_env)
            self._failed += 1
        elif provider_spec(request.provider).recorded or request.fingerprint in self._from_peers:
            self._reused += 1
        else:
            self._received += 1
        self._results.settle(request.fingerprint, result)

    async def _fetch_reply(self, lease: SlotLease, request: Request) -> Reply:
        if not self._cache.claim(request.fingerprint):
            return await self._wait_for_peer(lease, request)
        return await self._fetch_claimed(lease, request)

    async def _fetch_claimed(self, lease: SlotLease, request: Request) -> Reply:
        try:
            return await self._fetch_and_store(lease, request)
        except CacheError:
            raise
        except Exception as error:
            self._cache.release(request.fingerprint)
            if isinstance(error, OutOfBudget):
                for scheduler in self._schedulers.values():
                    scheduler.give_up(error)
            raise

    async def _fetch_and_store(self, lease: SlotLease, request: Request) -> Reply:
        # Another process may have stored the reply between the look-up and the claim.
        stored = self._stored_replies([request])
        if stored:
            self._cache.release(request.fingerprint)
            self._from_peers.add(request.fingerprint)
            return stored[request.fingerprint]
        reply = await run_tool_loop(request, partial(self._send_turn, lease), self._cache.store)
        # Committed before use: a kill from here on loses nothing.
        self._cache.store(request, reply)
        return reply

    async def _wait_for_peer(self, lease: SlotLease, request: Request) -> Reply:
        """Wait for the reply that another process fetches; take over if it gives up."""
        lease.release()
        reply = await self._peers.wait_for_reply(request)
        if reply is None:
            return await self._fetch_claimed(lease, request)
        self._from_peers.add(request.fingerprint)
        return reply

    async def _send_turn(self, lease: SlotLease, request: Request) -> Reply:
        """Send one turn; a turn with tools is stored by itself, so that a kill loses none."""
        if not request.tools:
            return await self._send_with_retries(lease, request)
        stored = self._stored_replies([request])
        if stored:
            return stored[request.fingerprint]
        if request.steps and self._ending.is_set():
            raise ReplyError("the run ended between two turns of this request")
        reply = await self._send_with_retries(lease, request)
        self._cache.store(request, reply)
        return reply

    async def _send_with_retries(self, lease: SlotLease, request: Request) -> Reply:
        self._in_flight[request.fingerprint] = request
        self._peak_in_flight = max(self._peak_in_flight, len(self._in_flight))
        try:
            return await self._retry_policy.generate_with_retries(lease, request, lease.is_healthy)
        finally:
            del self._in_flight[request.fingerprint]

    async def _finish(self) -> None:
        self._ending.set()
        await asyncio.gather(*(scheduler.close() for scheduler in self._schedulers.values()))
        await asyncio.gather(*self._batch_tasks, return_exceptions=True)

    def _cancel(self) -> None:
        for scheduler in self._schedulers.values():
            scheduler.cancel()

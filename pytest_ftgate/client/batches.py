"""Batches: sent, found again after a restart, awaited and read; no batch is paid for twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar
from uuid import uuid4

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.cache.sqlite import Batch
from pytest_ftgate.client.budget import Budget
from pytest_ftgate.client.rate_limit import RetryPolicy
from pytest_ftgate.client.redaction import redact_reply
from pytest_ftgate.client.results import PeerWaiter, Result, Results
from pytest_ftgate.errors import (
    CacheError,
    FtgateError,
    OutOfBudget,
    ReplyError,
    RequestRejected,
    RetryableError,
)
from pytest_ftgate.providers.api import BatchApi, open_batch_api
from pytest_ftgate.requests.request import Request


class _RunEnded(ReplyError):
    """The run ended before a batch did."""


_T = TypeVar("_T")

#: Seconds between two polls of a batch: the first and the longest wait, and the growth factor.
_FIRST_POLL, _MAX_POLL, _GROWTH = 2.0, 60.0, 1.5
#: How often in a row a request about a batch may fail with a retryable error.
_ATTEMPTS = 20
#: How often one run sends a request in a batch.
_ROUNDS = 3
#: Bytes around all requests of a batch, and between two of them.
_ENVELOPE_BYTES, _SEPARATOR_BYTES = 64, 2
#: Seconds for which the provider stores results.
_RETENTION = 29 * 86_400.0
#: The largest age of a batch whose results count as fresh, in seconds.
_MAX_FRESH_AGE = 86_400.0
#: Seconds between our note of a batch and its creation on the server, by different clocks.
_CLOCK_TOLERANCE = 900.0
#: Seconds between two looks for the replies of other processes.
_POLL = 2.0


def split_into_batches(
    items: Iterable[dict[str, Any]], max_requests: int, max_bytes: int
) -> Iterator[list[dict[str, Any]]]:
    """Yield the requests in *items* in their order, in as few batches as possible."""
    part: list[dict[str, Any]] = []
    part_bytes = _ENVELOPE_BYTES
    for item in items:
        item_bytes = len(json.dumps(item)) + _SEPARATOR_BYTES
        if part and (len(part) == max_requests or part_bytes + item_bytes > max_bytes):
            yield part
            part, part_bytes = [], _ENVELOPE_BYTES
        part.append(item)
        part_bytes += item_bytes
    if part:
        yield part


def _poll_intervals() -> Iterator[float]:
    """Yield the seconds to wait before each poll, without end."""
    interval = _FIRST_POLL
    while True:
        yield interval
        interval = min(interval * _GROWTH, _MAX_POLL)


def _address(request: Request) -> str:
    """Return what the requests of one batch share: address, key variable and API version."""
    return json.dumps([request.base_url, request.api_key_env, request.api_version])


class Batches:
    """Sends requests in batches, for one engine.

    *environ* has the key. *results* looks up cached replies, and receives the result of each
    request. If *fresh*, the results of older batches are ignored. Without *budget*, there is no
    limit.
    """

    def __init__(
        self,
        cache: Cache,
        environ: Mapping[str, str],
        results: Results,
        retry_policy: RetryPolicy,
        *,
        fresh: bool,
        budget: Budget | None,
    ) -> None:
        self.cache, self.environ, self.results = cache, environ, results
        self.retry_policy, self.budget = retry_policy, budget
        self.max_age = _MAX_FRESH_AGE if fresh else float("inf")
        self._peers = PeerWaiter(cache, results, retry_policy, _POLL)
        #: Requests whose cost is not known yet in batches of this run, by fingerprint.
        self.unpaid: dict[str, Request] = {}
        #: Fingerprints of requests in batches that have not ended.
        self.in_flight: set[str] = set()
        #: A sentence on each batch that continues after the end of the run.
        self.pending_batches: list[str] = []

    async def run(self, requests: Iterable[Request]) -> None:
        """Settle each of *requests*; call it once with all requests of a plan."""
        groups: dict[tuple[str, str], list[Request]] = defaultdict(list)
        for request in requests:
            groups[request.provider, _address(request)].append(request)
        await asyncio.gather(*(self._run_group(group) for group in groups.values()))

    async def _run_group(self, requests: Sequence[Request]) -> None:
        names = [request.fingerprint for request in requests]
        try:
            claimed = set(await asyncio.to_thread(self.cache.claim_free, names))
        except CacheError as error:
            self.settle_all(requests, error)
            return
        await asyncio.gather(
            self._send([request for request in requests if request.fingerprint in claimed]),
            self._wait_for_peers(
                [request for request in requests if request.fingerprint not in claimed]
            ),
        )

    async def _wait_for_peers(self, requests: Sequence[Request]) -> None:
        """Wait for replies that other processes fetch; send the requests that they give up."""
        waiting = {self._peers.reply_to(request): request for request in requests}
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            given_up: list[Request] = []
            for future in [future for future in waiting if future in done]:
                request = waiting.pop(future)
                try:
                    reply = future.result()
                except FtgateError as error:
                    self.results.settle(request, error)
                    continue
                if reply is None:
                    given_up.append(request)
                else:
                    self.results.settle(request, reply)
            await self._send(given_up)

    async def _send(self, requests: Sequence[Request]) -> None:
        """Settle each of *requests*, which this process has claimed and share one address."""
        try:
            # Another process may have stored replies between the look-up and the claim.
            cached = self.results.cached_replies(requests)
            for request in requests:
                if request.fingerprint in cached:
                    self.settle(request, cached[request.fingerprint])
            unsettled = self.unsettled(requests)
            if unsettled:
                api = await asyncio.to_thread(open_batch_api, unsettled[0], self.environ)
                try:
                    await _Group(self, api, unsettled).run()
                finally:
                    await api.close()
        except FtgateError as error:
            self.settle_all(requests, error)
        except Exception as error:  # noqa: BLE001 - the other groups go on until the run ends
            self.results.fail(error)

    def unsettled(self, requests: Iterable[Request]) -> list[Request]:
        """Return those of *requests* that have no result."""
        return [request for request in requests if request.fingerprint not in self.results.arrived]

    def settle(self, request: Request, result: Result) -> None:
        """Set the result of *request* and release its claim."""
        self.in_flight.discard(request.fingerprint)
        self.unpaid.pop(request.fingerprint, None)
        with suppress(CacheError):  # the claim expires with this process
            self.cache.release(request.fingerprint)
        self.results.settle(request, result)

    def settle_all(self, requests: Iterable[Request], error: FtgateError) -> None:
        """Set *error* as the result of those of *requests* that have none."""
        for request in self.unsettled(requests):
            self.settle(request, error)


class _Group:
    """Requests to one address, until the last of them is settled."""

    def __init__(self, batches: Batches, api: BatchApi[Any], requests: Sequence[Request]) -> None:
        self._batches, self._api, self._requests = batches, api, requests
        self._store, self._address = batches.cache.batches, _address(requests[0])
        self._last_errors: dict[str, str] = {}

    async def run(self) -> None:
        """Pick up pending batches, send the other requests, and read the results, in rounds."""
        for _ in range(_ROUNDS):
            unsettled = self._batches.unsettled(self._requests)
            if not unsettled:
                return
            pending = await self._find_sent({request.fingerprint for request in unsettled})
            covered = {fingerprint for batch in pending for fingerprint in batch.fingerprints}
            unsent = [request for request in unsettled if request.fingerprint not in covered]
            batches = [*pending, *await self._send(unsent)]
            await asyncio.gather(*(self._collect(batch) for batch in batches))
        for request in self._batches.unsettled(self._requests):
            last_error = self._last_errors.get(request.fingerprint, "no result")
            error = ReplyError(f"no reply in {_ROUNDS} batches; last: {last_error}")
            self._batches.settle(request, error)

    async def _find_sent(self, fingerprints: set[str]) -> list[Batch]:
        """Return the pending batches that contain any of *fingerprints*."""
        batches: list[Batch] = []
        for stored in self._store.sent_to(self._address):
            age = time.time() - stored.at
            if age > _RETENTION:
                self._store.delete(stored)
            elif age <= self._batches.max_age and not fingerprints.isdisjoint(stored.fingerprints):
                find = partial(self._find_created, stored)
                batch = stored if stored.id else await self._with_retries(find)
                if batch is None:
                    self._store.delete(stored)
                else:
                    batches.append(batch)
        return batches

    async def _send(self, requests: Sequence[Request]) -> list[Batch]:
        """Send *requests* and return their batches; settle the requests that cannot be sent."""
        await self._api.prepare(requests)
        parts: dict[str, list[Request]] = defaultdict(list)
        for request in requests:
            parts[request.model if self._api.one_model else ""].append(request)
        sent = [await self._send_together(part) for part in parts.values()]
        return [*chain.from_iterable(sent)]

    async def _send_together(self, requests: Sequence[Request]) -> list[Batch]:
        """Send *requests*, which may be in one batch, in as few batches as possible."""
        api, batches = self._api, list[Batch]()
        remaining, items_of_all = iter(requests), map(api.batch_item, requests)
        for items in split_into_batches(items_of_all, api.max_requests, api.max_bytes):
            part = self._reserve_affordable([next(remaining) for _ in items])
            if not part:
                continue
            try:
                batches.append(await self._send_batch(part, items[: len(part)]))
            except ReplyError as error:
                self._batches.settle_all(part, error)
        return batches

    def _reserve_affordable(self, requests: list[Request]) -> list[Request]:
        """Return the requests that the budget covers, and reserve their cost; settle the others."""
        budget = self._batches.budget
        count = budget.affordable_count(requests) if budget else len(requests)
        affordable, others = requests[:count], requests[count:]
        if budget and others:
            self._batches.settle_all(others, OutOfBudget(budget.stop_reason()))
        self._batches.unpaid.update((request.fingerprint, request) for request in affordable)
        return affordable

    async def _send_batch(self, requests: Sequence[Request], items: list[dict[str, Any]]) -> Batch:
        """Send one batch; it is stored before it is sent.

        *items* are the same *requests* as the provider expects them.

        Raises:
            RequestRejected: the batch as a whole is invalid.
            ProviderRejected: no batch can be sent to this address.
            ReplyError: the batch could not be sent, or the run ended.
        """
        batch = Batch(
            key=uuid4().hex,
            address=self._address,
            at=time.time(),
            fingerprints=tuple(request.fingerprint for request in requests),
            unsent=self._unsent(requests),
        )
        self._store.save(batch)
        try:
            return await self._with_retries(lambda: self._create(batch, items))
        except (_RunEnded, RetryableError):
            # The batch may exist on the server; the next run looks for it.
            raise
        except FtgateError:
            self._store.delete(batch)
            raise

    def _unsent(self, requests: Iterable[Request]) -> dict[str, list[str]]:
        """Return the settings that the items of *requests* leave out, by model."""
        unsent: dict[str, set[str]] = {}
        for request in requests:
            unsent.setdefault(request.model, set()).update(self._api.unsent(request))
        return {model: sorted(names) for model, names in unsent.items() if names}

    async def _create(self, batch: Batch, items: list[dict[str, Any]]) -> Batch:
        try:
            batch_id = await self._api.create(items, batch.key)
            return self._store.save(replace(batch, id=batch_id))
        except RetryableError:
            # A connection may break after the batch was created: a second batch would be paid for.
            created = await self._find_created(batch)
            if created is None:
                raise
            return created

    async def _find_created(self, batch: Batch) -> Batch | None:
        """Find *batch* on the server without its id; return it with the id, or None.

        The batch is recognised by its time and its number of requests, and by its results if it
        has ended.
        """
        known_ids = {stored.id for stored in self._store.sent_to(self._address)}
        times = batch.at - _CLOCK_TOLERANCE, batch.at + _CLOCK_TOLERANCE
        async for batch_id in self._api.similar(batch.key, len(batch.fingerprints), *times):
            if batch_id not in known_ids and await self._may_be(batch_id, batch):
                return self._store.save(replace(batch, id=batch_id))
        return None

    async def _may_be(self, batch_id: str, batch: Batch) -> bool:
        state = await self._api.state(batch_id)
        if state == "ended":
            results = self._api.results(batch_id, batch.fingerprints)
            return bool([fingerprint async for fingerprint, _ in results])
        return state == "running"

    async def _collect(self, batch: Batch) -> None:
        """Wait for the results of *batch* and store them one by one."""
        names = set(batch.fingerprints)
        own = [request for request in self._requests if request.fingerprint in names]
        expected = {request.fingerprint: request for request in self._batches.unsettled(own)}
        self._batches.in_flight |= expected.keys()
        try:
            if await self._wait_for_results(batch):
                await self._read_results(batch, expected)
                names -= {request.fingerprint for request in self._requests}
                self._store.reduce(batch, names)
            else:
                self._store.delete(batch)
        except _RunEnded as error:
            count = len(batch.fingerprints)
            self._batches.pending_batches.append(
                f"batch {batch.id} with {count:,} requests goes on"
            )
            self._batches.settle_all(expected.values(), error)
        except FtgateError as error:
            self._batches.settle_all(expected.values(), error)
        finally:
            self._batches.in_flight -= expected.keys()

    async def _wait_for_results(self, batch: Batch) -> bool:
        """Wait for the end of *batch*; return False if its results were deleted."""
        for interval in _poll_intervals():
            try:
                state = await self._with_retries(lambda: self._api.state(str(batch.id)))
            except RequestRejected:
                # The batch has failed for good, and the next run is to send another one.
                self._store.delete(batch)
                raise
            if state != "running":
                return state == "ended"
            await self._pause(interval, "it had no results yet")
        raise AssertionError("unreachable")  # pragma: no cover

    async def _read_results(self, batch: Batch, expected: Mapping[str, Request]) -> None:
        async def read() -> None:
            # Read again after a broken connection, when the first results are settled already.
            async for fingerprint, result in self._api.results(str(batch.id), expected):
                if fingerprint not in self._batches.results.arrived:
                    await self._store_result(batch, expected[fingerprint], result)

        try:
            await self._with_retries(read)
        except RetryableError as error:
            raise ReplyError(
                f"the results of batch {batch.id} cannot be read; they are kept 29 days"
            ) from error

    async def _store_result(self, batch: Batch, request: Request, result: Any) -> None:
        batches = self._batches
        try:
            reply = await self._api.read(result, request, batch.unsent.get(request.model, ()))
        except RetryableError as error:
            self._last_errors[request.fingerprint] = str(error)
            return
        except ReplyError as error:
            batches.settle(request, error)
            return
        reply = replace(reply, passages=request.passages)
        # An earlier run has paid for the batches that it sent.
        if batches.budget and request.fingerprint in batches.unpaid:
            batches.budget.record_cost(request, reply)
        # Committed before use: a kill from here on loses nothing.
        reply = redact_reply(reply, request, batches.environ)
        batches.cache.store(request, reply)
        batches.settle(request, reply)

    async def _with_retries(self, send: Callable[[], Awaitable[_T]]) -> _T:
        """Return the result of *send*; retry after retryable errors."""
        for interval in islice(_poll_intervals(), _ATTEMPTS - 1):
            try:
                return await send()
            except RetryableError as error:
                await self._pause(interval, error)
        return await send()

    async def _pause(self, seconds: float, reason: object) -> None:
        if await self._batches.retry_policy.run_ends_within(seconds):
            raise _RunEnded(f"the run ended before the batch did; last: {reason}")

"""Batches: sent, found again after a restart, awaited and read; no batch is paid for twice."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    MutableMapping,
    Sequence,
)
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client.budget import SpendingLimit
from pytest_ftgate.client.results import Result
from pytest_ftgate.client.retry import RetryPolicy
from pytest_ftgate.errors import CacheError, FtgateError, OutOfBudget, ReplyError, RetryableError
from pytest_ftgate.providers.base import open_batch_api
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request

if TYPE_CHECKING:
    from pytest_ftgate.providers.anthropic_batches import MessageBatches

__all__ = ["Batch", "BatchClient", "BatchStore", "Batches", "RunEnded", "split_into_batches"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    key TEXT PRIMARY KEY, id TEXT, address TEXT NOT NULL, at REAL NOT NULL,
    calls TEXT NOT NULL, unsent TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch that was sent and has not been read completely.

    Attributes:
        key: our own id, assigned before the batch is sent.
        id: the provider's id, or None if the process died before it was stored.
        address: the address, the variable with the key and the API version, as JSON.
        at: the time of sending, in seconds since the epoch.
        fingerprints: the fingerprints of its requests.
        unsent: the parameters that were left out of its requests, by model.
    """

    key: str
    id: str | None = None
    address: str
    at: float
    fingerprints: tuple[str, ...]
    unsent: Mapping[str, list[str]] = field(default_factory=dict)


class BatchStore:
    """The pending batches, in a table of the cache.

    Args:
        path: the file of the cache; it exists already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def sent_to(self, address: str) -> list[Batch]:
        """Return the batches that were sent to *address*, the oldest first."""
        sql = "SELECT key, id, at, calls, unsent FROM batches WHERE address = ? ORDER BY at"
        return [
            Batch(
                key=key,
                id=batch_id,
                address=address,
                at=at,
                fingerprints=tuple(fingerprints.split()),
                unsent=json.loads(unsent),
            )
            for key, batch_id, at, fingerprints, unsent in self._execute(sql, (address,))
        ]

    def save(self, batch: Batch) -> None:
        """Commit *batch* to the disk."""
        fingerprints, unsent = " ".join(batch.fingerprints), json.dumps(dict(batch.unsent))
        row = (batch.key, batch.id, batch.address, batch.at, fingerprints, unsent)
        self._execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?)", row)

    def reduce(self, batch: Batch, remaining: Collection[str]) -> None:
        """Reduce *batch* to the *remaining* fingerprints; delete it if there are none."""
        if not remaining:
            self.delete(batch)
            return
        sql = "UPDATE batches SET calls = ? WHERE key = ?"
        self._execute(sql, (" ".join(remaining), batch.key))

    def delete(self, batch: Batch) -> None:
        """Delete *batch*: no more results are expected from it."""
        self._execute("DELETE FROM batches WHERE key = ?", (batch.key,))

    def _execute(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        # A new connection each time: statements are few, and come from several threads.
        try:
            with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
                database.execute(_SCHEMA)
                return database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            message = f"the batches in {self._path} cannot be read or written: {error}"
            raise CacheError(message) from error


_T = TypeVar("_T")

#: Seconds between two polls of a batch: the first and the longest wait, and the growth factor.
_FIRST_POLL, _MAX_POLL, _GROWTH = 2.0, 60.0, 1.5
#: How often in a row a request about a batch may fail with a retryable error.
_ATTEMPTS = 20
#: The limits of one batch: requests and bytes.
_MAX_REQUESTS, _MAX_BYTES = 100_000, 256_000_000
#: Bytes around all requests of a batch, and between two of them.
_ENVELOPE_BYTES, _SEPARATOR_BYTES = 64, 2
#: Seconds for which the provider stores results.
_RETENTION = 29 * 86_400.0
#: Seconds between our note of a batch and its creation on the server, by different clocks.
_CLOCK_TOLERANCE = 900.0


class RunEnded(ReplyError):
    """The run ended before a batch did."""


def split_into_batches(
    requests: Iterable[dict[str, Any]],
    max_requests: int = _MAX_REQUESTS,
    max_bytes: int = _MAX_BYTES,
) -> Iterator[list[dict[str, Any]]]:
    """Yield *requests* in their order, in as few batches as possible.

    Args:
        requests: the requests as the provider expects them.
        max_requests: the largest number of requests in one batch.
        max_bytes: the largest size of one batch.
    """
    part: list[dict[str, Any]] = []
    part_bytes = _ENVELOPE_BYTES
    for request in requests:
        request_bytes = len(json.dumps(request)) + _SEPARATOR_BYTES
        if part and (len(part) == max_requests or part_bytes + request_bytes > max_bytes):
            yield part
            part, part_bytes = [], _ENVELOPE_BYTES
        part.append(request)
        part_bytes += request_bytes
    if part:
        yield part


def _poll_intervals() -> Iterator[float]:
    """Yield the seconds to wait before each poll, without end."""
    interval = _FIRST_POLL
    while True:
        yield interval
        interval = min(interval * _GROWTH, _MAX_POLL)


class BatchClient:
    """Sends batches to one address, and reads their results.

    Args:
        api: the client of the provider's API.
        store: the pending batches.
        address: the address under which *store* has them.
        retry_policy: the retry policy of the run.
    """

    def __init__(
        self, api: MessageBatches, store: BatchStore, address: str, retry_policy: RetryPolicy
    ) -> None:
        self.api, self._store, self._address = api, store, address
        self._retry_policy = retry_policy

    async def find_sent(self, fingerprints: Collection[str], max_age: float) -> list[Batch]:
        """Return the pending batches that contain any of *fingerprints*.

        Args:
            fingerprints: the fingerprints of the requests.
            max_age: the largest age of a batch, in seconds.
        """
        batches: list[Batch] = []
        for stored in self._store.sent_to(self._address):
            age = time.time() - stored.at
            if age > _RETENTION:
                self._store.delete(stored)
            elif age <= max_age and not set(fingerprints).isdisjoint(stored.fingerprints):
                batch: Batch | None = stored
                if not stored.id:
                    batch = await self._with_retries(partial(self._find_created, stored))
                if batch is None:
                    self._store.delete(stored)
                else:
                    batches.append(batch)
        return batches

    async def send(self, requests: Collection[Request], items: list[dict[str, Any]]) -> Batch:
        """Send one batch; it is stored before it is sent.

        Args:
            requests: the requests.
            items: the same requests as the provider expects them.

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
            unsent=self.api.unsent(requests),
        )
        self._store.save(batch)
        version = next(iter(requests)).api_version
        try:
            return await self._with_retries(lambda: self._create(batch, items, version))
        except (RunEnded, RetryableError):
            # The batch may exist on the server; the next run looks for it.
            raise
        except FtgateError:
            self._store.delete(batch)
            raise

    async def _create(
        self, batch: Batch, items: list[dict[str, Any]], version: str | None
    ) -> Batch:
        try:
            batch_id = await self.api.create(items, version)
        except RetryableError:
            # A connection may break after the batch was created: a second batch would be paid for.
            created = await self._find_created(batch)
            if created is None:
                raise
            return created
        return self._save(replace(batch, id=batch_id))

    def _save(self, batch: Batch) -> Batch:
        self._store.save(batch)
        return batch

    async def _find_created(self, batch: Batch) -> Batch | None:
        """Find *batch* on the server without its id; return it with the id, or None.

        The batch is recognised by its time and its number of requests, and by its results if it
        has ended.
        """
        known_ids = {stored.id for stored in self._store.sent_to(self._address)}
        async for listed in self.api.recent(batch.at - _CLOCK_TOLERANCE):
            is_similar = (
                listed.requests == len(batch.fingerprints)
                and listed.created <= batch.at + _CLOCK_TOLERANCE
            )
            if is_similar and listed.id not in known_ids and await self._may_be(listed.id, batch):
                return self._save(replace(batch, id=listed.id))
        return None

    async def _may_be(self, batch_id: str, batch: Batch) -> bool:
        state = await self.api.state(batch_id)
        if state == "ended":
            known_ids = self.api.fingerprints_by_id(batch.fingerprints)
            return any([name in known_ids async for name, _ in self.api.results(batch_id)])
        return state == "running"

    async def results(self, batch: Batch) -> AsyncIterator[tuple[str, Any]]:
        """Wait for the end of *batch*; yield the fingerprint and the result of each request.

        Raises:
            RunEnded: the run ended first; the batch continues.
        """
        if not await self._wait_for_results(batch):
            self._store.delete(batch)
            return
        fingerprints, seen = self.api.fingerprints_by_id(batch.fingerprints), set[str]()
        for interval in islice(_poll_intervals(), _ATTEMPTS):
            try:
                async for custom_id, result in self.api.results(str(batch.id)):
                    if custom_id in fingerprints and custom_id not in seen:
                        seen.add(custom_id)
                        yield fingerprints[custom_id], result
            except RetryableError as error:
                await self._pause(interval, error)
            else:
                return
        raise ReplyError(f"the results of batch {batch.id} cannot be read; they are kept 29 days")

    async def _wait_for_results(self, batch: Batch) -> bool:
        """Wait for the end of *batch*; return False if its results were deleted."""
        for interval in _poll_intervals():
            state = await self._with_retries(lambda: self.api.state(str(batch.id)))
            if state != "running":
                return state == "ended"
            await self._pause(interval, "it had no results yet")
        raise AssertionError("unreachable")  # pragma: no cover

    async def _with_retries(self, send: Callable[[], Awaitable[_T]]) -> _T:
        """Return the result of *send*; retry after retryable errors."""
        for interval in islice(_poll_intervals(), _ATTEMPTS - 1):
            try:
                return await send()
            except RetryableError as error:
                await self._pause(interval, error)
        return await send()

    async def _pause(self, seconds: float, reason: object) -> None:
        if await self._retry_policy.run_ends_within(seconds):
            raise RunEnded(f"the run ended before the batch did; last: {reason}")

    def reduce(self, batch: Batch, remaining: Collection[str]) -> None:
        """Store that *batch* only has results for the *remaining* fingerprints left."""
        self._store.reduce(batch, remaining)


#: How often one run sends a request in a batch.
_ROUNDS = 3
#: Seconds between two looks for the replies of other processes.
_POLL = 2.0
#: The largest age of a batch whose results count as fresh, in seconds.
_MAX_FRESH_AGE = 86_400.0

_Settle = Callable[[Request, Result], None]
_StoredReplies = Callable[[list[Request]], Mapping[str, Reply]]


class Batches:
    """Sends requests in batches, for one engine.

    Args:
        cache: the cache, with the replies and the pending batches.
        environ: the environment, with the key.
        retry_policy: the retry policy of the run.
        stored_replies: returns the cached replies to requests that this run may use.
        settle: receives the result of each request.
        fresh: True to ignore the results of older batches.
        budget: the budget of the run, or None for no limit.
        unpaid: requests in batches whose cost is not known yet; changed in place.
    """

    def __init__(  # noqa: PLR0913 - the parts of the engine, each by name
        self,
        cache: Cache,
        environ: Mapping[str, str],
        retry_policy: RetryPolicy,
        *,
        stored_replies: _StoredReplies,
        settle: _Settle,
        fresh: bool = False,
        budget: SpendingLimit | None = None,
        unpaid: MutableMapping[str, Request] | None = None,
    ) -> None:
        self.cache, self.environ, self.retry_policy = cache, environ, retry_policy
        self.stored_replies, self.settle = stored_replies, settle
        self.max_age = _MAX_FRESH_AGE if fresh else float("inf")
        self.budget, self.unpaid = budget, {} if unpaid is None else unpaid
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

    async def _run_group(self, requests: list[Request]) -> None:
        waiting = {request.fingerprint: request for request in requests}
        claimed = await self._take_claimed(waiting)
        await asyncio.gather(self._send(claimed), self._wait_for_peers(waiting))

    async def _take_claimed(self, waiting: dict[str, Request]) -> list[Request]:
        """Claim the *waiting* requests; remove and return those that no other process has."""
        claimed = await asyncio.to_thread(self.cache.claim_free, list(waiting))
        return [waiting.pop(fingerprint) for fingerprint in claimed]

    async def _send(self, requests: Sequence[Request]) -> None:
        group = _Group(self, requests)
        try:
            await group.run()
        except FtgateError as error:
            group.give_up(error)
        except Exception as error:  # noqa: BLE001 - an error here must not leave gates waiting
            group.give_up(ReplyError(f"{type(error).__name__}: {error}"))
        finally:
            await group.close()

    async def _wait_for_peers(self, waiting: dict[str, Request]) -> None:
        """Wait for replies that other processes fetch; send the requests that they give up."""
        while waiting and not await self.retry_policy.run_ends_within(_POLL):
            for fingerprint, reply in self.stored_replies(list(waiting.values())).items():
                self.settle(waiting.pop(fingerprint), reply)
            await self._send(await self._take_claimed(waiting))
        for request in waiting.values():
            message = "the run ended while another process was sending this request"
            self.settle(request, ReplyError(message))


class _Group:
    """Requests to one address, until the last of them is settled."""

    def __init__(self, batches: Batches, requests: Sequence[Request]) -> None:
        self._batches, self._requests = batches, requests
        #: The requests without a result, by fingerprint.
        self.unsettled = {request.fingerprint: request for request in requests}
        self._last_errors: dict[str, str] = {}
        self._client: BatchClient | None = None

    async def run(self) -> None:
        """Pick up pending batches, send the other requests, and read the results, in rounds."""
        # Another process may have stored replies between the look-up and the claim.
        for fingerprint, reply in self._batches.stored_replies(list(self._requests)).items():
            self.settle(self.unsettled[fingerprint], reply)
        for _ in range(_ROUNDS):
            if not self.unsettled:
                return
            client = await self._open_client()
            pending = await client.find_sent(self.unsettled.keys(), self._batches.max_age)
            covered = {fingerprint for batch in pending for fingerprint in batch.fingerprints}
            unsent = [
                request
                for fingerprint, request in self.unsettled.items()
                if fingerprint not in covered
            ]
            batches = [*pending, *await self._send(client, unsent)]
            await asyncio.gather(*(self._collect(client, batch) for batch in batches))
        for fingerprint, request in list(self.unsettled.items()):
            last_error = self._last_errors.get(fingerprint, "no result")
            self.settle(request, ReplyError(f"no reply in {_ROUNDS} batches; last: {last_error}"))

    async def _open_client(self) -> BatchClient:
        if self._client is None:
            request, batches = self._requests[0], self._batches
            api = await asyncio.to_thread(open_batch_api, request, batches.environ)
            store = BatchStore(batches.cache.path)
            self._client = BatchClient(api, store, _address(request), batches.retry_policy)
        return self._client

    async def _send(self, client: BatchClient, requests: Sequence[Request]) -> list[Batch]:
        """Send *requests* and return their batches; settle the requests that cannot be sent."""
        batches: list[Batch] = []
        remaining = iter(requests)
        for items in split_into_batches(client.api.batch_item(request) for request in requests):
            part = self._reserve_affordable([next(remaining) for _ in items])
            if not part:
                continue
            try:
                batches.append(await client.send(part, items[: len(part)]))
            except ReplyError as error:
                self.give_up(error, [request.fingerprint for request in part])
        return batches

    def _reserve_affordable(self, requests: list[Request]) -> list[Request]:
        """Return the requests that the budget covers, and reserve their cost; settle the others."""
        budget = self._batches.budget
        count = budget.affordable_count(requests) if budget else len(requests)
        affordable, others = requests[:count], requests[count:]
        if budget and others:
            error = OutOfBudget(budget.stop_reason())
            self.give_up(error, [request.fingerprint for request in others])
        self._batches.unpaid.update((request.fingerprint, request) for request in affordable)
        return affordable

    async def _collect(self, client: BatchClient, batch: Batch) -> None:
        """Wait for the results of *batch* and store them one by one."""
        expected = [name for name in batch.fingerprints if name in self.unsettled]
        self._batches.in_flight.update(expected)
        try:
            async for fingerprint, result in client.results(batch):
                await self._store_result(client, batch, fingerprint, result)
            requested = {request.fingerprint for request in self._requests}
            client.reduce(batch, [name for name in batch.fingerprints if name not in requested])
        except RunEnded as error:
            count = len(batch.fingerprints)
            self._batches.pending_batches.append(
                f"batch {batch.id} with {count:,} requests goes on"
            )
            self.give_up(error, expected)
        except FtgateError as error:
            self.give_up(error, expected)
        finally:
            self._batches.in_flight.difference_update(expected)

    async def _store_result(
        self, client: BatchClient, batch: Batch, fingerprint: str, result: Any
    ) -> None:
        request, batches = self.unsettled.get(fingerprint), self._batches
        if request is None:
            return
        try:
            reply = await client.api.read(result, request, batch.unsent.get(request.model, ()))
        except RetryableError as error:
            self._last_errors[fingerprint] = str(error)
            return
        except ReplyError as error:
            self.settle(request, error)
            return
        reply = replace(reply, passages=request.passages)
        # An earlier run has paid for the batches that it sent.
        if batches.budget and fingerprint in batches.unpaid:
            batches.budget.record_cost(request, reply)
        # Committed before use: a kill from here on loses nothing.
        batches.cache.store(request, reply)
        self.settle(request, reply)

    def settle(self, request: Request, result: Result) -> None:
        """Set the result of *request*."""
        del self.unsettled[request.fingerprint]
        self._batches.in_flight.discard(request.fingerprint)
        self._batches.unpaid.pop(request.fingerprint, None)
        self._batches.cache.release(request.fingerprint)
        self._batches.settle(request, result)

    def give_up(self, error: FtgateError, fingerprints: Collection[str] | None = None) -> None:
        """Settle the unsettled requests with *error*: all, or those of *fingerprints*."""
        for fingerprint in list(self.unsettled if fingerprints is None else fingerprints):
            if fingerprint in self.unsettled:
                self.settle(self.unsettled[fingerprint], error)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.api.close()


def _address(request: Request) -> str:
    """Return what the requests of one batch share: address, key variable and API version."""
    return json.dumps([request.base_url, request.api_key_env, request.api_version])

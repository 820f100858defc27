"""Micro-batches: requests that wait are sent together to a provider that answers many at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pytest_ftgate.errors import ProviderRejected
from pytest_ftgate.requests.request import weights_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ftgate.requests.reply import Reply
    from pytest_ftgate.requests.request import Request

#: Passes of the event loop without a new request after which no more are coming.
_QUIET_PASSES = 3


class MicroBatches:
    """Wraps a provider with ``generate_many``, so that it can be sent single requests.

    While one batch is computed, the next requests gather. A batch has requests to the same model
    and adapter alone, of similar length. As many requests again as one batch are in flight, so that
    it is full.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._waiting: list[tuple[Request, asyncio.Future[Reply]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._size: int = provider.batch_size
        self.concurrency = max(provider.concurrency, 2 * self._size)
        self.max_concurrency: int = provider.max_concurrency

    @property
    def rate_limit_headers(self) -> Mapping[str, str]:
        """The headers of the last response."""
        headers: Mapping[str, str] = self._provider.rate_limit_headers
        return headers

    def serves(self, request: Request) -> bool:
        """Return True if the provider can answer *request*."""
        return bool(self._provider.serves(request))

    async def generate(self, request: Request) -> Reply:
        """Return the reply to *request*, which is sent with others."""
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, reply))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())
        return await reply

    async def _send(self) -> None:
        while self._waiting:
            await self._gather()
            batch = self._take()
            try:
                results = await self._results([request for request, _ in batch])
            except BaseException as error:  # noqa: BLE001 - each waiting request gets it
                results = [error] * len(batch)
            for (_, reply), result in zip(batch, results, strict=True):
                if reply.done():
                    continue
                if isinstance(result, BaseException):
                    reply.set_exception(_awaitable(result))
                else:
                    reply.set_result(result)

    async def _gather(self) -> None:
        """Wait until no request is about to be added, so that there are similar ones."""
        quiet, count = 0, 0
        while quiet < _QUIET_PASSES and len(self._waiting) < self.concurrency:
            await asyncio.sleep(0)
            quiet = quiet + 1 if len(self._waiting) == count else 0
            count = len(self._waiting)

    def _take(self) -> list[tuple[Request, asyncio.Future[Reply]]]:
        """Take the request that waits longest, and those of the same weights nearest in length."""
        oldest = self._waiting[0]
        weights = weights_of(oldest[0])
        waiting = self._waiting
        fitting = [n for n, (request, _) in enumerate(waiting) if weights_of(request) == weights]
        # A batch is as long as its longest prompt and reply: the rest of each row is padding.
        fitting.sort(key=lambda n: _length(waiting[n][0]))
        end = max(fitting.index(0) + 1, min(self._size, len(fitting)))
        taken = fitting[max(0, end - self._size) : end]
        self._waiting = [pair for n, pair in enumerate(waiting) if n not in taken]
        return [waiting[n] for n in taken]

    async def _results(self, requests: Sequence[Request]) -> list[Any]:
        results = await self._provider.generate_many(requests)
        if not isinstance(results, list | tuple) or len(results) != len(requests):
            count = len(results) if isinstance(results, list | tuple) else type(results).__name__
            raise ProviderRejected(
                f"provider {requests[0].provider}: generate_many returned {count} for "
                f"{len(requests)} requests; return a list with a Reply, or an error, for each"
            )
        return [*results]

    async def close(self) -> None:
        """Close the provider."""
        await self._provider.close()


def _length(request: Request) -> tuple[int, int]:
    return request.max_tokens, sum(len(text) for _, text in request.messages)


def _awaitable(error: BaseException) -> BaseException:
    """Return *error* in a form that a future takes."""
    is_exit = not isinstance(error, Exception | asyncio.CancelledError)
    is_exit = is_exit or isinstance(error, StopIteration)
    return ProviderRejected(f"{type(error).__name__}: {error}") if is_exit else error

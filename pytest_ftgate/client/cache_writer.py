"""Claims and replies of one pass of the event loop, written to the cache in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from pytest_ftgate.cache.cache import Cache
from pytest_ftgate.client.results import Results
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Request


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

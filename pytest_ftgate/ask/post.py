"""Batches to one address: sent, found again, waited for, read; the ledger always knows of them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from pytest_ftgate.ask.patience import Patience
from pytest_ftgate.ask.sent import Batch, Sent
from pytest_ftgate.errors import FtgateError, ReplyError, Transient
from pytest_ftgate.plan.call import Call

if TYPE_CHECKING:
    # The SDK behind it is imported when the first batch is sent.
    from pytest_ftgate.ask.providers.anthropic_batches import MessageBatches

__all__ = ["Ended", "Post", "parts"]

_T = TypeVar("_T")

#: Seconds between two looks at a batch, at first and at most, and how much longer each is.
_FIRST, _LONGEST, _GROWTH = 2.0, 60.0, 1.5
#: How often in a row a request about a batch may fail in passing.
_ATTEMPTS = 20
#: What one batch takes: requests, and bytes.
_MOST, _LARGEST = 100_000, 256_000_000
#: Bytes that stand around the requests of a batch, and between two of them.
_AROUND, _BETWEEN = 64, 2
#: Seconds that the provider keeps results.
_KEPT = 29 * 86_400.0
#: Seconds by which two clocks may differ, and a batch may be created after it was noted.
_SLACK = 900.0


class Ended(ReplyError):
    """The run ended before a batch did."""


def parts(
    requests: Iterable[dict[str, Any]], most: int = _MOST, largest: int = _LARGEST
) -> Iterator[list[dict[str, Any]]]:
    """Split *requests* into as few batches as take them in their order.

    Args:
        requests: what is to be sent.
        most: requests that one batch takes.
        largest: bytes that one batch takes.
    """
    part: list[dict[str, Any]] = []
    size = _AROUND
    for request in requests:
        own = len(json.dumps(request)) + _BETWEEN
        if part and (len(part) == most or size + own > largest):
            yield part
            part, size = [], _AROUND
        part.append(request)
        size += own
    if part:
        yield part


def _waits() -> Iterator[float]:
    """Yield how long to wait before each further look, in seconds, for ever."""
    wait = _FIRST
    while True:
        yield wait
        wait = min(wait * _GROWTH, _LONGEST)


class Post:
    """Sends batches to one address, and brings their results.

    Args:
        api: talks to the provider.
        sent: knows which batches are on their way.
        address: what *sent* calls the address.
        patience: knows when the run ends.
    """

    def __init__(self, api: MessageBatches, sent: Sent, address: str, patience: Patience) -> None:
        self.api, self._sent, self._address, self._patience = api, sent, address, patience

    async def known(self, calls: Collection[str], oldest: float) -> list[Batch]:
        """Return the batches on their way that hold any of *calls*.

        Args:
            calls: fingerprints.
            oldest: seconds that a batch may be old.
        """
        found: list[Batch] = []
        for batch in self._sent.to(self._address):
            age = time.time() - batch.at
            if age > _KEPT:
                self._sent.forget(batch)
            elif age <= oldest and not set(calls).isdisjoint(batch.calls):
                named = batch if batch.id else await self._lasting(partial(self._found, batch))
                if named is None:
                    self._sent.forget(batch)
                else:
                    found.append(named)
        return found

    async def send(self, calls: Collection[Call], requests: list[dict[str, Any]]) -> Batch:
        """Send one batch; the ledger knows of it before anybody else does.

        Raises:
            Refused: the batch as a whole is wrong.
            Denied: no batch can be sent there.
            ReplyError: it could not be sent, or the run ended.
        """
        batch = Batch(
            key=uuid4().hex,
            address=self._address,
            at=time.time(),
            calls=tuple(call.fingerprint for call in calls),
            unsent=self.api.unsent(calls),
        )
        self._sent.note(batch)
        version = next(iter(calls)).api_version
        try:
            return await self._lasting(lambda: self._once(batch, requests, version))
        except (Ended, Transient):
            # Whether it was created is not known; the next run looks for it.
            raise
        except FtgateError:
            self._sent.forget(batch)
            raise

    async def _once(
        self, batch: Batch, requests: list[dict[str, Any]], version: str | None
    ) -> Batch:
        try:
            name = await self.api.create(requests, version)
        except Transient:
            # A connection may break after a batch was created: a second one would be paid as well.
            found = await self._found(batch)
            if found is None:
                raise
            return found
        return self._noted(replace(batch, id=name))

    def _noted(self, batch: Batch) -> Batch:
        self._sent.note(batch)
        return batch

    async def _found(self, batch: Batch) -> Batch | None:
        """Return *batch* with the name that nobody lived to note; None where there is none.

        It is looked for by when it was sent and how many requests it has; once it has results
        these tell whether it is ours.
        """
        known = {one.id for one in self._sent.to(self._address)}
        async for listed in self.api.recent(batch.at - _SLACK):
            alike = listed.requests == len(batch.calls) and listed.at <= batch.at + _SLACK
            if alike and listed.id not in known and await self._may_be(listed.id, batch):
                return self._noted(replace(batch, id=listed.id))
        return None

    async def _may_be(self, name: str, batch: Batch) -> bool:
        state = await self.api.state(name)
        if state == "ended":
            names = self.api.names(batch.calls)
            return any([custom_id in names async for custom_id, _ in self.api.results(name)])
        return state == "running"

    async def results(self, batch: Batch) -> AsyncIterator[tuple[str, Any]]:
        """Wait until *batch* has ended; yield each call's fingerprint and what became of it.

        Raises:
            Ended: the run ended first; the batch goes on.
        """
        if not await self._has_ended(batch):
            self._sent.forget(batch)
            return
        names, told = self.api.names(batch.calls), set[str]()
        for wait in islice(_waits(), _ATTEMPTS):
            try:
                async for name, result in self.api.results(str(batch.id)):
                    if name in names and name not in told:
                        told.add(name)
                        yield names[name], result
            except Transient as error:
                await self._pause(wait, error)
            else:
                return
        raise ReplyError(f"the results of batch {batch.id} cannot be read; they are kept 29 days")

    async def _has_ended(self, batch: Batch) -> bool:
        """Wait for the end of *batch*; False where its results are gone."""
        for wait in _waits():
            state = await self._lasting(lambda: self.api.state(str(batch.id)))
            if state != "running":
                return state == "ended"
            await self._pause(wait, "it had no results yet")
        raise AssertionError("unreachable")  # pragma: no cover

    async def _lasting(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask until it succeeds, does not fail in passing, or has failed too often in a row."""
        for wait in islice(_waits(), _ATTEMPTS - 1):
            try:
                return await ask()
            except Transient as error:
                await self._pause(wait, error)
        return await ask()

    async def _pause(self, seconds: float, why: object) -> None:
        if await self._patience.ends_within(seconds):
            raise Ended(f"the run ended before the batch did; last: {why}")

    def shorten(self, batch: Batch, left: Collection[str]) -> None:
        """Note that *batch* has only the calls *left* to bring, which nobody asks for now."""
        self._sent.shorten(batch, left)

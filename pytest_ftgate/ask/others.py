"""Calls that other processes are asking: awaited all together, by one look at the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from pytest_ftgate.ask.ledger.ledger import Ledger
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import FtgateError, ReplyError
from pytest_ftgate.plan.call import Call

__all__ = ["Others"]

_POLL = 0.1


class Others:
    """Waits for what other processes bring; lives in the loop that awaits it.

    Args:
        ledger: where their claims stand.
        kept: returns the replies that are there and may be used.
        ending: set when the run ends.
    """

    def __init__(
        self,
        ledger: Ledger,
        kept: Callable[[Sequence[Call]], Mapping[str, Reply]],
        ending: asyncio.Event,
    ) -> None:
        self._ledger, self._kept, self._ending = ledger, kept, ending
        self._waiting: dict[str, tuple[Call, asyncio.Future[Reply | None]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def brought(self, call: Call) -> Reply | None:
        """Wait for the process that asks *call*.

        Returns:
            The reply, or None where that process gave up, and this one now has the claim.

        Raises:
            ReplyError: the run ended first.
            LedgerError: the ledger cannot be read.
        """
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._waiting[call.fingerprint] = call, future
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await future

    async def _look(self) -> None:
        while self._waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _POLL)
            try:
                if self._ending.is_set():
                    raise ReplyError("the run ended while another process was asking this call")
                self._settle()
            except FtgateError as error:
                for _, future in self._waiting.values():
                    if not future.done():
                        future.set_exception(error)
                self._waiting.clear()

    def _settle(self) -> None:
        found = self._kept([call for call, _ in self._waiting.values()])
        for fingerprint, reply in found.items():
            self._end(fingerprint, reply)
        for fingerprint in self._ledger.free(list(self._waiting)):
            if self._ledger.claim(fingerprint):
                self._end(fingerprint, None)

    def _end(self, fingerprint: str, reply: Reply | None) -> None:
        _, future = self._waiting.pop(fingerprint)
        if not future.done():
            future.set_result(reply)

"""One asyncio loop in a background thread: all concurrency of the package is here."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from pytest_ftgate.ask.budget import Budget
from pytest_ftgate.ask.converse import converse
from pytest_ftgate.ask.ledger import Ledger
from pytest_ftgate.ask.patience import Patience
from pytest_ftgate.ask.progress import Progress
from pytest_ftgate.ask.provider import Open, Provider, open_provider
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.errors import (
    Denied,
    FtgateError,
    LedgerError,
    OutOfBudget,
    Refused,
    ReplyError,
)
from pytest_ftgate.plan.call import Call

__all__ = ["Answer", "Engine"]

#: What became of one call.
Answer = Reply | FtgateError

_POLL = 0.1
_NOT_RECORDED = "no reply is recorded for this call; ask it with --ftgate-replies=auto"


@dataclass(slots=True)
class _Lane:
    """The calls that share a provider, an address, a key and a model."""

    waiting: deque[Call] = field(default_factory=deque)
    provider: Provider | None = None
    workers: set[asyncio.Task[None]] = field(default_factory=set)
    dead: FtgateError | None = None


class Engine:
    """Asks calls, each once, in the order they were handed in.

    Args:
        ledger: where replies are looked for and kept.
        environ: where credentials and addresses are read.
        replies: ``auto``, ``fresh`` or ``recorded``.
        concurrency: calls in flight at once for each model, or None for the provider's own.
        others: providers that do not come with the package, by name.
        budget: may stop it, or None.
    """

    def __init__(
        self,
        ledger: Ledger,
        environ: Mapping[str, str],
        *,
        replies: str = "auto",
        concurrency: int | None = None,
        others: Mapping[str, Open] | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._budget = budget
        self._ledger, self._environ = ledger, environ
        self._mode, self._concurrency, self._others = replies, concurrency, others or {}
        self._futures: dict[str, Future[Answer]] = {}
        self._lanes: dict[tuple[str | None, ...], _Lane] = {}
        self._reused = self._asked = self._failed = 0
        self._flying: dict[str, Call] = {}
        self._peak = 0
        self._started = 0.0
        self._ending = asyncio.Event()
        self._patience = Patience(self._ending)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ftgate", daemon=True)
        self._thread.start()

    @property
    def progress(self) -> Progress:
        """How far the asking has come; may be read from any thread."""
        seconds = time.monotonic() - self._started if self._started else 0.0
        counts = (len(self._futures), self._reused, self._asked, self._failed)
        return Progress(*counts, seconds, len(self._flying), self._peak)

    def flying(self) -> Iterable[Call]:
        """Return the calls that are being asked right now; for the loop alone."""
        return self._flying.values()

    def submit(self, calls: Iterable[Call]) -> None:
        """Hand in calls; those handed in before are not asked again."""
        distinct = {call.fingerprint: call for call in calls}
        new = [call for name, call in distinct.items() if name not in self._futures]
        for call in new:
            self._futures[call.fingerprint] = Future()
        if new:
            asyncio.run_coroutine_threadsafe(self._begin(new), self._loop).result()

    def wait(
        self, calls: Sequence[Call], tick: Callable[[Progress], None] | None = None
    ) -> dict[str, Answer]:
        """Return what became of *calls*, by fingerprint, once all of it is known.

        Args:
            calls: handed in before, or now.
            tick: called about twice a second while there is something to wait for.
        """
        self.submit(calls)
        futures = {call.fingerprint: self._futures[call.fingerprint] for call in calls}
        pending = [future for future in futures.values() if not future.done()]
        while pending:
            pending = list(wait(pending, timeout=0.5).not_done)
            if tick:
                tick(self.progress)
        return {fingerprint: future.result() for fingerprint, future in futures.items()}

    def close(self) -> None:
        """Give up what was not sent, let what is in flight come home, and stop."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        self._ledger.close()

    async def _begin(self, calls: list[Call]) -> None:
        try:
            kept = self._kept(calls)
        except LedgerError as error:
            for call in calls:
                self._settle(call, error)
            return
        for call in calls:
            if call.fingerprint in kept:
                self._reused += 1
                self._futures[call.fingerprint].set_result(kept[call.fingerprint])
            elif self._mode == "recorded" and call.provider != "recorded":
                self._settle(call, Refused(_NOT_RECORDED))
            else:
                self._lane(call).waiting.append(call)
        for lane in self._lanes.values():
            self._staff(lane)

    def _kept(self, calls: list[Call]) -> dict[str, Reply]:
        wanted = [call.fingerprint for call in calls if call.provider != "recorded"]
        return self._ledger.replies(wanted, this_run=self._mode == "fresh")

    def _lane(self, call: Call) -> _Lane:
        key = (call.provider, call.base_url, call.api_key_env, call.model, call.function)
        return self._lanes.setdefault(key, _Lane())

    def _staff(self, lane: _Lane) -> None:
        # Not "if lane.workers": a task that has ended leaves the set only a turn of the loop later.
        if not lane.waiting or any(not task.done() for task in lane.workers):
            return
        task = self._loop.create_task(self._run(lane))
        lane.workers.add(task)
        task.add_done_callback(lane.workers.discard)

    async def _run(self, lane: _Lane) -> None:
        """Answer what waits in *lane*, opening its provider first."""
        while lane.waiting:
            try:
                provider = await self._opened(lane)
                hands = min(self._concurrency or provider.concurrency, len(lane.waiting))
                await asyncio.gather(*(self._work(lane, provider) for _ in range(hands)))
            except FtgateError as error:
                self._give_up(lane, error)
                return
            except Exception as error:  # noqa: BLE001 - a broken provider must not leave gates waiting
                self._give_up(lane, ReplyError(f"{type(error).__name__}: {error}"))
                return

    async def _opened(self, lane: _Lane) -> Provider:
        if lane.provider is None or not lane.provider.serves(lane.waiting[0]):
            if lane.provider is not None:
                await lane.provider.close()
            opening = asyncio.to_thread(
                open_provider, list(lane.waiting), self._environ, self._others
            )
            lane.provider = await opening
            self._started = self._started or time.monotonic()
        return lane.provider

    async def _work(self, lane: _Lane, provider: Provider) -> None:
        while lane.waiting and provider.serves(lane.waiting[0]):
            call = lane.waiting.popleft()
            try:
                answer = lane.dead or await self._answer(provider, call)
            except FtgateError as error:
                answer = error
            # Without a ledger every further reply would be paid for and lost.
            if isinstance(answer, Denied | LedgerError):
                lane.dead = answer
            self._settle(call, answer)

    def _give_up(self, lane: _Lane, error: FtgateError) -> None:
        while lane.waiting:
            self._settle(lane.waiting.popleft(), error)

    def _settle(self, call: Call, answer: Answer) -> None:
        if not isinstance(answer, Reply):
            self._failed += 1
        elif call.provider == "recorded":
            self._reused += 1
        else:
            self._asked += 1
        self._futures[call.fingerprint].set_result(answer)

    async def _answer(self, provider: Provider, call: Call) -> Answer:
        try:
            if call.provider == "recorded":
                return await provider.ask(call)
            if not self._ledger.claim(call.fingerprint):
                return await self._of_other_process(provider, call)
            return await self._claimed(provider, call)
        except FtgateError as error:
            if not isinstance(error, LedgerError):
                self._ledger.release(call.fingerprint)
            return error
        except Exception as error:  # noqa: BLE001 - a broken provider must not leave gates waiting
            self._ledger.release(call.fingerprint)
            return ReplyError(f"{type(error).__name__}: {error}")

    async def _claimed(self, provider: Provider, call: Call) -> Answer:
        # Another process may have brought it after we looked and before we claimed.
        found = self._kept([call])
        if found:
            self._ledger.release(call.fingerprint)
            return found[call.fingerprint]
        reply = await converse(call, partial(self._sent, provider), self._ledger.keep)
        # Committed before anything may use it: a kill from here on loses nothing.
        self._ledger.keep(call.fingerprint, reply)
        return reply

    async def _of_other_process(self, provider: Provider, call: Call) -> Answer:
        """Wait for the reply that another process is asking for; take over if it gives up."""
        while not await self._patience.ends_within(_POLL):
            found = self._kept([call])
            if found:
                return found[call.fingerprint]
            if self._ledger.claim(call.fingerprint):
                return await self._claimed(provider, call)
        raise ReplyError("the run ended while another process was asking this call")

    async def _sent(self, provider: Provider, call: Call) -> Reply:
        """Send one request; a turn with tools is kept by itself, so that a kill loses none."""
        if not call.tools:
            return await self._paid(provider, call)
        found = self._kept([call])
        if found:
            return found[call.fingerprint]
        if call.steps and self._ending.is_set():
            raise ReplyError("the run ended between two turns of this call")
        reply = await self._paid(provider, call)
        self._ledger.keep(call.fingerprint, reply)
        return reply

    async def _paid(self, provider: Provider, call: Call) -> Reply:
        """Send one request, unless the budget is against it."""
        self._flying[call.fingerprint] = call
        self._peak = max(self._peak, len(self._flying))
        try:
            reason = self._budget.check() if self._budget else None
            if reason:
                raise OutOfBudget(reason)
            reply = await self._patience.answered(provider, call)
        finally:
            del self._flying[call.fingerprint]
        if self._budget:
            self._budget.count(call, reply)
        return reply

    async def _end(self) -> None:
        self._ending.set()
        for lane in self._lanes.values():
            self._give_up(lane, ReplyError("the run ended before this call was sent"))
        working = [task for lane in self._lanes.values() for task in lane.workers]
        await asyncio.gather(*working, return_exceptions=True)
        for provider in [lane.provider for lane in self._lanes.values() if lane.provider]:
            # Every reply is home by now; one that cannot close must not keep others from it.
            with suppress(Exception):
                await provider.close()

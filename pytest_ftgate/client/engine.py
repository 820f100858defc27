"""The engine: one asyncio loop in a background thread answers all requests of a run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain

from pytest_ftgate.cache.cache import Ledger
from pytest_ftgate.client.batches import Batches
from pytest_ftgate.client.budget import Budget
from pytest_ftgate.client.progress import Progress
from pytest_ftgate.client.redaction import hide
from pytest_ftgate.client.results import Answer, Answers, Shelf
from pytest_ftgate.client.retry import Patience
from pytest_ftgate.client.scheduler import Lane, Sender, Work, lane_of
from pytest_ftgate.client.tools import converse
from pytest_ftgate.errors import FtgateError, LedgerError, NotRecorded, OutOfBudget, ReplyError
from pytest_ftgate.providers.base import Open, Provider, import_providers, open_provider
from pytest_ftgate.providers.recorded import Recorded
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call

__all__ = ["Engine", "Others"]

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


#: So many replies of the ledger are in memory at once.
_PART = 1_000
_NOT_RECORDED = "no reply is recorded for this call; ask it with --ftgate-replies=auto"


class Engine:
    """Asks calls, each once, in the order they were handed in.

    Args:
        ledger: where replies are looked for and kept.
        environ: where credentials and addresses are read.
        replies: ``auto``, ``fresh`` or ``recorded``.
        concurrency: calls in flight at once for each model, or None for the provider's own.
        others: providers that do not come with the package, by name.
        budget: what may be spent, or None for all.
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
        self._ledger, self._environ = ledger, environ
        self._mode, self._concurrency, self._others = replies, concurrency, others or {}
        self._budget = budget
        self._answers = Answers(Shelf(ledger.path.parent))
        self._lanes: dict[tuple[str | None, ...], Lane] = {}
        self._work = Work(self._open, self._answer, self._settle)
        self._reused = self._asked = self._failed = 0
        self._lent: set[str] = set()
        self._flying: dict[str, Call] = {}
        self._in_batches: dict[str, Call] = {}
        self._peak = 0
        self._started = 0.0
        self._ending = asyncio.Event()
        self._patience = Patience(self._ending)
        self._batches = Batches(
            ledger,
            environ,
            self._patience,
            kept=self._kept,
            settle=self._settle,
            fresh=replies == "fresh",
            budget=budget,
            unpaid=self._in_batches,
        )
        self._posting: set[asyncio.Task[None]] = set()
        self._elsewhere = Others(ledger, self._kept, self._ending)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ftgate", daemon=True)
        self._thread.start()

    @property
    def progress(self) -> Progress:
        """How far the asking has come; may be read from any thread."""
        seconds = time.monotonic() - self._started if self._started else 0.0
        return Progress(
            planned=self._answers.expected,
            reused=self._reused,
            asked=self._asked,
            failed=self._failed,
            seconds=seconds,
            batched=len(self._batches.flying),
            flying=len(self._flying),
            peak=self._peak,
        )

    @property
    def left(self) -> tuple[str, ...]:
        """A sentence on each batch that goes on though the run has ended."""
        return tuple(self._batches.left)

    def flying(self) -> Iterable[Call]:
        """Return the calls whose replies are on their way; for the loop alone."""
        return chain(self._flying.values(), self._in_batches.values())

    def submit(self, calls: Iterable[Call]) -> None:
        """Hand in calls; those handed in before are not asked again."""
        new = [call for call in calls if self._answers.expect(call.fingerprint)]
        if not new:
            return
        left = asyncio.run_coroutine_threadsafe(self._begin(new), self._loop).result()
        # Here and in no other thread: pytest rewrites modules of plugins as they are imported, and
        # not every CPython in use can compile rewritten code in two threads at once.
        import_providers(left)
        self._loop.call_soon_threadsafe(self._send, left)

    def was_handed(self, call: Call) -> bool:
        """Tell whether *call* was handed in."""
        return self._answers.expects(call.fingerprint)

    @property
    def answers(self) -> Mapping[str, Answer]:
        """What became of the calls handed in, by fingerprint, as far as it is known."""
        return self._answers

    def wait(
        self, calls: Sequence[Call], tick: Callable[[Progress], None] | None = None
    ) -> Mapping[str, Answer]:
        """Return what became of calls, by fingerprint, once all is known of *calls*.

        Args:
            calls: handed in before, or now.
            tick: called about twice a second while there is something to wait for.
        """
        self.submit(calls)
        names = (call.fingerprint for call in calls)
        self._answers.wait(names, (lambda: tick(self.progress)) if tick else None)
        return self._answers

    def close(self) -> None:
        """Give up what was not sent, let what is in flight come home, and stop.

        Interrupted from the keyboard, it lets go of what is in flight as well.
        """
        if self._thread.is_alive():
            ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
            try:
                ending.result()
            except KeyboardInterrupt:
                self._loop.call_soon_threadsafe(self._cancel)
                ending.result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        self._ledger.close()

    def forget(self) -> None:
        """Give up what replies said; nobody reads it any more."""
        self._answers.forget()

    async def _begin(self, calls: list[Call]) -> list[Call]:
        """Settle what needs no provider; return the rest."""
        parts = (calls[start : start + _PART] for start in range(0, len(calls), _PART))
        with Recorded() as recorded:
            return [call for part in parts for call in self._unsettled(part, recorded)]

    def _unsettled(self, calls: list[Call], recorded: Recorded) -> Iterator[Call]:
        try:
            kept = self._kept(calls)
        except LedgerError as error:
            for call in calls:
                self._settle(call, error)
            return
        for call in calls:
            if call.fingerprint in kept:
                self._reused += 1
                self._answers.settle(call.fingerprint, kept[call.fingerprint])
            elif call.provider == "recorded":
                self._settle(call, recorded.answer(call))
            elif self._mode == "recorded":
                self._settle(call, NotRecorded(_NOT_RECORDED))
            else:
                yield call

    def _send(self, calls: list[Call]) -> None:
        batched = [call for call in calls if call.batch]
        if batched:
            self._post(batched)
        for call in calls:
            if not call.batch:
                self._lane(call).add(call)
        for lane in self._lanes.values():
            lane.fill()

    def _post(self, calls: list[Call]) -> None:
        self._started = self._started or time.monotonic()
        task = self._loop.create_task(self._batches.answer(calls))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    def _kept(self, calls: Sequence[Call]) -> dict[str, Reply]:
        wanted = [call.fingerprint for call in calls if call.provider != "recorded"]
        return self._ledger.replies(wanted, this_run=self._mode == "fresh")

    def _lane(self, call: Call) -> Lane:
        key = lane_of(call)
        if key not in self._lanes:
            self._lanes[key] = Lane(self._work, self._concurrency, self._budget)
        return self._lanes[key]

    async def _open(self, calls: Sequence[Call]) -> Provider:
        opened = await asyncio.to_thread(open_provider, calls, self._environ, self._others)
        self._started = self._started or time.monotonic()
        return opened

    def _settle(self, call: Call, answer: Answer) -> None:
        if not isinstance(answer, Reply):
            hide(answer, self._environ, call.api_key_env)
            self._failed += 1
        elif call.provider == "recorded" or call.fingerprint in self._lent:
            self._reused += 1
        else:
            self._asked += 1
        self._answers.settle(call.fingerprint, answer)

    async def _answer(self, sender: Sender, call: Call) -> Reply:
        if not self._ledger.claim(call.fingerprint):
            return await self._of_other_process(sender, call)
        return await self._claimed(sender, call)

    async def _claimed(self, sender: Sender, call: Call) -> Reply:
        try:
            return await self._bring(sender, call)
        except LedgerError:
            raise
        except Exception as error:
            self._ledger.release(call.fingerprint)
            if isinstance(error, OutOfBudget):
                for lane in self._lanes.values():
                    lane.give_up(error)
            raise

    async def _bring(self, sender: Sender, call: Call) -> Reply:
        # Another process may have brought it after we looked and before we claimed.
        found = self._kept([call])
        if found:
            self._ledger.release(call.fingerprint)
            self._lent.add(call.fingerprint)
            return found[call.fingerprint]
        reply = await converse(call, partial(self._sent, sender), self._ledger.keep)
        # Committed before anything may use it: a kill from here on loses nothing.
        self._ledger.keep(call, reply)
        return reply

    async def _of_other_process(self, sender: Sender, call: Call) -> Reply:
        """Wait for the reply that another process is asking for; take over if it gives up."""
        sender.leave()
        found = await self._elsewhere.brought(call)
        if found is None:
            return await self._claimed(sender, call)
        self._lent.add(call.fingerprint)
        return found

    async def _sent(self, sender: Sender, call: Call) -> Reply:
        """Send one request; a turn with tools is kept by itself, so that a kill loses none."""
        if not call.tools:
            return await self._on_its_way(sender, call)
        found = self._kept([call])
        if found:
            return found[call.fingerprint]
        if call.steps and self._ending.is_set():
            raise ReplyError("the run ended between two turns of this call")
        reply = await self._on_its_way(sender, call)
        self._ledger.keep(call, reply)
        return reply

    async def _on_its_way(self, sender: Sender, call: Call) -> Reply:
        self._flying[call.fingerprint] = call
        self._peak = max(self._peak, len(self._flying))
        try:
            return await self._patience.answered(sender, call, sender.goes_well)
        finally:
            del self._flying[call.fingerprint]

    async def _end(self) -> None:
        self._ending.set()
        await asyncio.gather(*(lane.end() for lane in self._lanes.values()))
        await asyncio.gather(*self._posting, return_exceptions=True)

    def _cancel(self) -> None:
        for lane in self._lanes.values():
            lane.cancel()

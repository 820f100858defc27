"""Calls asked in batches: at half the price, answered within a day, and never paid for twice.

All calls of a plan to one address go out together, whichever suites they are of. A batch goes on
when the run that sent it ends; the ledger knows of it, and the next run picks it up.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_ftgate.ask.budget import Budget
from pytest_ftgate.ask.ledger.ledger import Ledger
from pytest_ftgate.ask.patience import Patience
from pytest_ftgate.ask.post import Ended, Post, parts
from pytest_ftgate.ask.reply import Reply
from pytest_ftgate.ask.sent import Batch, Sent
from pytest_ftgate.errors import FtgateError, OutOfBudget, ReplyError, Transient
from pytest_ftgate.plan.call import Call

__all__ = ["Batches"]

#: How often in a run a call is part of a batch.
_ROUNDS = 3
#: Seconds between two looks for what another process asks.
_POLL = 2.0
#: Seconds that a batch may be old whose results still count where all is to be asked afresh.
_FRESH = 86_400.0

_Answer = Reply | FtgateError
_Settle = Callable[[Call, _Answer], None]
_Kept = Callable[[list[Call]], Mapping[str, Reply]]


class Batches:
    """Asks calls in batches, for one engine.

    Args:
        ledger: where replies are kept, and which batches are on their way.
        environ: where the key is read.
        patience: knows when the run ends.
        kept: finds the replies that are here already.
        settle: is told what became of each call.
        fresh: whether results of an older batch are too old.
        budget: what may be spent, or None for all.
        unpaid: calls on their way whose cost is not known yet; grows and shrinks here.
    """

    def __init__(  # noqa: PLR0913 - what the engine lends, each by name
        self,
        ledger: Ledger,
        environ: Mapping[str, str],
        patience: Patience,
        *,
        kept: _Kept,
        settle: _Settle,
        fresh: bool = False,
        budget: Budget | None = None,
        unpaid: MutableMapping[str, Call] | None = None,
    ) -> None:
        self.ledger, self.environ, self.patience = ledger, environ, patience
        self.kept, self.settle = kept, settle
        self.oldest = _FRESH if fresh else float("inf")
        self.budget, self.unpaid = budget, {} if unpaid is None else unpaid
        #: Calls in batches that have not ended.
        self.flying: set[str] = set()
        #: A sentence on each batch that goes on without the run.
        self.left: list[str] = []

    async def answer(self, calls: Iterable[Call]) -> None:
        """Bring each of *calls*, a whole plan, to its end."""
        groups: dict[str, list[Call]] = defaultdict(list)
        for call in calls:
            groups[_address(call)].append(call)
        await asyncio.gather(*(self._of_plan(group) for group in groups.values()))

    async def _of_plan(self, calls: list[Call]) -> None:
        mine = await asyncio.to_thread(self._claimed, calls)
        claimed = {call.fingerprint for call in mine}
        theirs = [call for call in calls if call.fingerprint not in claimed]
        await asyncio.gather(self._asked(mine), self._of_others(theirs))

    def _claimed(self, calls: Iterable[Call]) -> list[Call]:
        # One look for all, before a claim of each that writes.
        free = set(self.ledger.free([call.fingerprint for call in calls]))
        return [c for c in calls if c.fingerprint in free and self.ledger.claim(c.fingerprint)]

    async def _asked(self, calls: Sequence[Call]) -> None:
        group = _Group(self, calls)
        try:
            await group.ask()
        except FtgateError as error:
            group.give_up(error)
        except Exception as error:  # noqa: BLE001 - what breaks here must not leave gates waiting
            group.give_up(ReplyError(f"{type(error).__name__}: {error}"))
        finally:
            await group.close()

    async def _of_others(self, calls: Sequence[Call]) -> None:
        """Wait for the replies to calls that another process asks; ask those that it gives up."""
        waiting = {call.fingerprint: call for call in calls}
        while waiting and not await self.patience.ends_within(_POLL):
            for fingerprint, reply in self.kept(list(waiting.values())).items():
                self.settle(waiting.pop(fingerprint), reply)
            free = await asyncio.to_thread(self._claimed, list(waiting.values()))
            for call in free:
                del waiting[call.fingerprint]
            await self._asked(free)
        for call in waiting.values():
            told = "the run ended while another process was asking this call"
            self.settle(call, ReplyError(told))


class _Group:
    """Calls to one address, until the last of them is settled."""

    def __init__(self, batches: Batches, calls: Sequence[Call]) -> None:
        self._of, self._calls = batches, calls
        self.open = {call.fingerprint: call for call in calls}
        self._why: dict[str, str] = {}
        self._post: Post | None = None

    async def ask(self) -> None:
        """Pick up what is on its way, send the rest, and read the results, as often as it takes."""
        # Another process may have brought some after the engine looked and before it claimed.
        for fingerprint, reply in self._of.kept(list(self._calls)).items():
            self.settle(self.open[fingerprint], reply)
        for _ in range(_ROUNDS):
            if not self.open:
                return
            post = await self._opened()
            known = await post.known(self.open.keys(), self._of.oldest)
            covered = {fingerprint for batch in known for fingerprint in batch.calls}
            rest = [call for name, call in self.open.items() if name not in covered]
            batches = [*known, *await self._sent(post, rest)]
            await asyncio.gather(*(self._finish(post, batch) for batch in batches))
        for fingerprint, call in list(self.open.items()):
            why = self._why.get(fingerprint, "no result")
            self.settle(call, ReplyError(f"no reply in {_ROUNDS} batches; last: {why}"))

    async def _opened(self) -> Post:
        if self._post is None:
            call, of = self._calls[0], self._of
            api = await asyncio.to_thread(_open, call, of.environ)
            self._post = Post(api, Sent(of.ledger.path), _address(call), of.patience)
        return self._post

    async def _sent(self, post: Post, calls: Sequence[Call]) -> list[Batch]:
        """Send *calls*, and return the batches they are in; what cannot be sent is settled."""
        batches: list[Batch] = []
        left = iter(calls)
        for requests in parts(post.api.request(call) for call in calls):
            part = self._affordable([next(left) for _ in requests])
            if not part:
                continue
            try:
                batches.append(await post.send(part, requests[: len(part)]))
            except ReplyError as error:
                self.give_up(error, [call.fingerprint for call in part])
        return batches

    def _affordable(self, part: list[Call]) -> list[Call]:
        """Return the calls that the budget takes, and hold their price back; settle the others."""
        budget = self._of.budget
        most = budget.affords(part) if budget else len(part)
        if budget and most < len(part):
            self.give_up(OutOfBudget(budget.check()), [call.fingerprint for call in part[most:]])
        self._of.unpaid.update((call.fingerprint, call) for call in part[:most])
        return part[:most]

    async def _finish(self, post: Post, batch: Batch) -> None:
        """Wait for the results of *batch* and keep them one by one."""
        mine = [name for name in batch.calls if name in self.open]
        self._of.flying.update(mine)
        try:
            async for fingerprint, result in post.results(batch):
                await self._take(post, batch, fingerprint, result)
            asked = {call.fingerprint for call in self._calls}
            post.shorten(batch, [name for name in batch.calls if name not in asked])
        except Ended as error:
            self._of.left.append(f"batch {batch.id} with {len(batch.calls):,} calls goes on")
            self.give_up(error, mine)
        except FtgateError as error:
            self.give_up(error, mine)
        finally:
            self._of.flying.difference_update(mine)

    async def _take(self, post: Post, batch: Batch, fingerprint: str, result: Any) -> None:
        call = self.open.get(fingerprint)
        if call is None:
            return
        try:
            reply = await post.api.read(result, call, batch.unsent.get(call.model, ()))
        except Transient as error:
            self._why[fingerprint] = str(error)
            return
        except ReplyError as error:
            self.settle(call, error)
            return
        reply = replace(reply, passages=call.passages)
        # What an earlier run has sent was paid for by that one.
        if self._of.budget and fingerprint in self._of.unpaid:
            self._of.budget.count(call, reply)
        # Committed before anything may use it: a kill from here on loses nothing.
        self._of.ledger.keep(call, reply)
        self.settle(call, reply)

    def settle(self, call: Call, answer: _Answer) -> None:
        """Say what became of *call*."""
        del self.open[call.fingerprint]
        self._of.flying.discard(call.fingerprint)
        self._of.unpaid.pop(call.fingerprint, None)
        self._of.ledger.release(call.fingerprint)
        self._of.settle(call, answer)

    def give_up(self, error: FtgateError, calls: Collection[str] | None = None) -> None:
        """Settle the open calls, or those of *calls* that are open, with *error*."""
        for fingerprint in list(self.open if calls is None else calls):
            if fingerprint in self.open:
                self.settle(self.open[fingerprint], error)

    async def close(self) -> None:
        """Close the connections."""
        if self._post is not None:
            await self._post.api.close()


def _address(call: Call) -> str:
    """Return what calls of one batch share: where it goes, whose key, which version of the API."""
    return json.dumps([call.base_url, call.api_key_env, call.api_version])


def _open(call: Call, environ: Mapping[str, str]) -> Any:
    from pytest_ftgate.ask.providers.anthropic_batches import open_batches

    return open_batches(call, environ)

"""Batches: sent, found again after a restart, awaited, and read; no batch is paid for twice."""

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

from pytest_ftgate.cache.cache import Ledger
from pytest_ftgate.client.budget import Budget
from pytest_ftgate.client.retry import Patience
from pytest_ftgate.errors import FtgateError, LedgerError, OutOfBudget, ReplyError, Transient
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Call

if TYPE_CHECKING:
    from pytest_ftgate.providers.anthropic_batches import MessageBatches

__all__ = ["Batch", "Batches", "Ended", "Post", "Sent", "parts"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    key TEXT PRIMARY KEY, id TEXT, address TEXT NOT NULL, at REAL NOT NULL,
    calls TEXT NOT NULL, unsent TEXT NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch on its way.

    Attributes:
        key: our own name for it, which it has before it is sent.
        id: the provider's name for it, or None where nobody lived to note it.
        address: where it was sent, and the variable that holds the key.
        at: when it was sent, in seconds since the epoch.
        calls: the fingerprints of its calls.
        unsent: settings that its requests were sent without, by model.
    """

    key: str
    id: str | None = None
    address: str
    at: float
    calls: tuple[str, ...]
    unsent: Mapping[str, list[str]] = field(default_factory=dict)


class Sent:
    """The batches on their way that one ledger knows of.

    Args:
        path: the ledger's file, which is there already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def to(self, address: str) -> list[Batch]:
        """Return the batches that were sent to *address*, the oldest first."""
        sql = "SELECT key, id, at, calls, unsent FROM batches WHERE address = ? ORDER BY at"
        return [
            Batch(
                key=key,
                id=name,
                address=address,
                at=at,
                calls=tuple(calls.split()),
                unsent=json.loads(unsent),
            )
            for key, name, at, calls, unsent in self._execute(sql, (address,))
        ]

    def note(self, batch: Batch) -> None:
        """Keep what is known of *batch*; when this returns it survives the death of the process."""
        calls, unsent = " ".join(batch.calls), json.dumps(dict(batch.unsent))
        row = (batch.key, batch.id, batch.address, batch.at, calls, unsent)
        self._execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?)", row)

    def shorten(self, batch: Batch, left: Collection[str]) -> None:
        """Keep of *batch* only the calls *left*; drop it where none are."""
        if not left:
            self.forget(batch)
            return
        sql = "UPDATE batches SET calls = ? WHERE key = ?"
        self._execute(sql, (" ".join(left), batch.key))

    def forget(self, batch: Batch) -> None:
        """Drop *batch*, which brings nothing any more."""
        self._execute("DELETE FROM batches WHERE key = ?", (batch.key,))

    def _execute(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        # A connection for each: there are few, from several threads.
        try:
            with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
                database.execute(_SCHEMA)
                return database.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            told = f"the batches in {self._path} cannot be read or written: {error}"
            raise LedgerError(told) from error


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
    from pytest_ftgate.providers.anthropic_batches import open_batches

    return open_batches(call, environ)

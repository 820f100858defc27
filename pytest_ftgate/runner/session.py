"""The session: the state of one run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.cache.cache import Ledger
from pytest_ftgate.cache.entry import Entry
from pytest_ftgate.cache.export import read_replies
from pytest_ftgate.client.budget import JUDGES, Bill, Came, Purse, bill
from pytest_ftgate.client.engine import Engine
from pytest_ftgate.client.progress import Progress
from pytest_ftgate.client.results import Answer
from pytest_ftgate.errors import (
    Denied,
    FtgateError,
    LedgerError,
    NotRecorded,
    OutOfBudget,
    RepliesMissing,
    Unavailable,
)
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.providers.base import Open
from pytest_ftgate.requests.reply import Reply
from pytest_ftgate.requests.request import Ask, Call
from pytest_ftgate.runner.imports import accepted_record, import_judges, uncollected, unhooked
from pytest_ftgate.runner.judges import Hearings
from pytest_ftgate.runner.scores import Columns
from pytest_ftgate.runner.workloads import Asks, Judged
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.model import Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.gates.identity import Identity
    from pytest_ftgate.gates.usage import Times
    from pytest_ftgate.results.accepted import Record

__all__ = ["Session", "Till", "all_recorded", "enough", "session_key", "whole"]

#: Whose replies those are that prove a variant and are scored for nobody.
_PROOFS = "proofs of identity"


class Till:
    """Keeps a run within its limits, and tells what it cost.

    Args:
        settings: the limits.
        flying: tells which calls are in flight.
    """

    def __init__(self, settings: Settings, flying: Callable[[], Iterable[Call]]) -> None:
        limits = {"max_usd": settings.max_usd, "max_minutes": settings.max_minutes}
        self.purse = Purse(flying, time.monotonic, **limits)

    def bill(
        self,
        scored: Iterable[tuple[str, Iterable[Ask]]],
        all_: Iterable[Iterable[Ask]],
        answers: Mapping[str, Answer],
    ) -> Bill:
        """Return what the replies cost.

        Args:
            scored: variants, and what they were asked.
            all_: whatever was asked, the proofs of identity among it.
            answers: what became of it.
        """
        parts = [*scored, *((_PROOFS, asks) for asks in all_)]
        came = ((name, _came(asks, answers)) for name, asks in parts)
        made = bill(float(self.purse.spent), came)
        unasked = sum(isinstance(one, OutOfBudget) for one in answers.values())
        return replace(made, stopped=self.purse.stopped, unasked=unasked)


def _came(asks: Iterable[Ask], answers: Mapping[str, Answer]) -> Iterator[Came]:
    for ask in asks:
        answer = answers.get(ask.call.fingerprint)
        if isinstance(answer, Reply):
            yield ask.call, answer


#: With more calls than this unanswered there is nothing to judge.
_MOST_UNANSWERED = 0.5


def all_recorded(answers: Collection[Answer], suite: str) -> None:
    """Make sure that nothing is missing because nothing may be asked.

    Raises:
        RepliesMissing: a reply of *suite* is not kept.
    """
    missing = sum(isinstance(answer, NotRecorded) for answer in answers)
    if missing:
        raise RepliesMissing(
            f"{missing:,} of {len(answers):,} replies are not recorded; where they can be asked: "
            f"pytest --ftgate {suite} && pytest-ftgate ledger export {suite}"
        )


def enough(answers: Sequence[Answer]) -> None:
    """Make sure that there is something to judge.

    Raises:
        RepliesMissing: more than half of the calls brought no reply, or none of them can.
    """
    wrong = [answer for answer in answers if isinstance(answer, FtgateError)]
    hopeless = [error for error in wrong if isinstance(error, Denied | Unavailable | LedgerError)]
    if hopeless:
        raise RepliesMissing(str(hopeless[0])) from hopeless[0]
    broken = [error for error in wrong if not isinstance(error, OutOfBudget)]
    if len(broken) > _MOST_UNANSWERED * len(answers):
        told = f"{len(broken)} of {len(answers)} calls brought no reply; the first: {broken[0]}"
        raise RepliesMissing(told) from broken[0]


_Key = tuple[str, str, object]


class Session:
    """The state of one run: the engine, and what has been worked out once.

    Args:
        settings: what the user asked for.
        run: a name that all processes of the run share.
        environ: where credentials and addresses are read.
        others: providers that do not come with the package, by name.
    """

    def __init__(
        self,
        settings: Settings,
        run: str,
        environ: Mapping[str, str] = os.environ,
        others: Mapping[str, Open] | None = None,
    ) -> None:
        self.settings, self._run, self._environ = settings, run, environ
        #: Grows while suites are collected, each of which may be offered its own.
        self.others = dict(others or {})
        self._engine: Engine | None = None
        #: Puts the calls of a plan into the order in which they are asked.
        self.order: Callable[[Iterable[Call]], Iterable[Call]] = lambda calls: calls
        #: Nothing can be asked any more.
        self.closed = False
        self._till = Till(settings, self._flying)
        self.asks = Asks(environ)
        #: What is known of variants by what they were asked, whose ids stay for the session.
        self.claims: dict[tuple[str, str, int], tuple[Identity, ...]] = {}
        #: What was scored so far.
        self.hearings = Hearings(self.asks, environ, self._waited, self._heard)
        self.columns = Columns(self.asks, self._waited, self.hearings)
        #: Called now and then while judges are awaited.
        self.tick: Callable[[Progress], None] | None = None
        self._accepted: dict[str, Record | None] = {}
        #: Committed replies, by fingerprint; grows while suites are collected.
        self.beside: dict[str, Entry] = {}
        #: What the user should read of the ledger, a sentence each.
        self.told: list[str] = []
        #: Which calls of a baseline were asked anew, by whose sake and how far.
        self.anew: dict[object, tuple[tuple[Ask, ...], tuple[Ask, ...]]] = {}
        self._begun: set[_Key] = set()
        #: Asks that are answered, and those of them that enough came of, by their ids; the asks
        #: are kept so that no other takes the id.
        self._here: dict[int, Sequence[Ask]] = {}
        self._sound: set[int] = set()

    @property
    def progress(self) -> Progress:
        """How far the asking has come, and what it cost."""
        asking = self._engine.progress if self._engine else Progress()
        return replace(asking, usd=float(self._till.purse.spent))

    def _flying(self) -> Iterable[Call]:
        return self.engine.flying()

    @property
    def stopped(self) -> str:
        """Why the budget stopped the asking, or ""."""
        return self._till.purse.stopped

    @property
    def left(self) -> tuple[str, ...]:
        """What goes on at a provider though the run has ended."""
        return self._engine.left if self._engine else ()

    @property
    def engine(self) -> Engine:
        """The engine, started when it is first needed."""
        if self._engine is None:
            self._engine = self._of_choice()(
                self.ledger(),
                self._environ,
                replies=self.settings.replies,
                concurrency=self.settings.concurrency,
                others=self.others,
                budget=self._till.purse,
            )
        return self._engine

    def _of_choice(self) -> type[Engine]:
        if self.settings.engine == "local":
            return Engine
        from pytest_ftgate.client.ray import RayEngine

        return RayEngine

    def ledger(self) -> Ledger:
        """Open the ledger.

        Raises:
            LedgerError: it cannot be opened.
        """
        return Ledger(
            self.settings.ledger,
            run=self._run,
            clock=time.time,
            recorded=self.settings.replies == "recorded",
            beside=self.beside,
            say=self.told.append,
        )

    def take_in(self, suite: Suite) -> None:
        """Use the replies committed beside *suite*, where the ledger lacks them.

        Raises:
            SuiteFaults: the file cannot be read.
        """
        path, folder = suite.replies_path, suite.name.rpartition("/")[0]
        # A recorded variant may have taken the name for its own file.
        if self.settings.replies != "fresh" and path not in suite.files_of_replies:
            self.beside |= read_replies(path, f"{folder}/{path.name}" if folder else path.name)

    def close(self) -> None:
        """Stop asking; what is in flight comes home to the ledger."""
        self.closed = True
        if self._engine is not None:
            self._engine.close()

    def forget(self) -> None:
        """Give up what replies said, once all reports are made."""
        if self._engine is not None:
            self._engine.forget()

    # Asking -------------------------------------------------------------------------------

    def spared(self, gates: Iterable[Judged]) -> int:
        """Return how many calls were never asked because gates of *gates* stopped early."""
        calls: dict[str, Call] = {}
        for judged in gates:
            last = self.asks.looks(judged)[-1]
            if last.cases is None:
                continue
            with suppress(FtgateError):
                groups = self.asks.of(judged, last)
                calls |= {ask.call.fingerprint: ask.call for group in groups for ask in group}
        return sum(not self.engine.was_handed(call) for call in calls.values())

    def has_begun(self, judged: Judged) -> bool:
        """Tell whether the calls of *judged* were handed in."""
        return _key(judged) in self._begun

    def begin(self, gates: Iterable[Judged]) -> None:
        """Hand in the calls of all *gates*, in their order, so that no capacity lies idle.

        A gate that cannot be planned is passed over here: its own setup will say why.
        """
        gates = list(gates)
        with uncollected(), unhooked():
            self.engine.submit(self.order(ask.call for ask in self._planned(gates)))
            if self.progress.to_ask:
                import_judges(gates, lambda: self.progress)

    def _planned(self, gates: Iterable[Judged]) -> Iterator[Ask]:
        for judged in gates:
            if self.has_begun(judged):
                continue
            self._begun.add(_key(judged))
            with suppress(FtgateError):
                yield from chain.from_iterable(self.asks.of(judged))

    def answers(
        self,
        groups: Sequence[Sequence[Ask]],
        tick: Callable[[Progress], None] | None,
        suite: str = "SUITE",
    ) -> Mapping[str, Answer]:
        """Return what became of calls, once all is known of *groups*.

        Args:
            groups: what is asked, a group for each side.
            tick: called now and then with the progress.
            suite: whose they are, for messages.

        Raises:
            RepliesMissing: more than half of one group brought no reply, or none of it can; or
                nothing may be asked, and a reply is not kept. Those that the budget forbade are
                missing, but nothing is wrong with them.
        """
        for asks in groups:
            self._waited(asks, tick)
        found = self.engine.answers
        # Gates of a suite share most of what they ask, and it is told once.
        new = [asks for asks in groups if id(asks) not in self._sound]
        names = {ask.call.fingerprint for asks in new for ask in asks}
        all_recorded([found[name] for name in names], suite)
        for asks in new:
            enough([found[ask.call.fingerprint] for ask in asks])
        self._sound.update(map(id, new))
        return found

    def waited(self, asks: Sequence[Ask]) -> Mapping[str, Answer]:
        """Return what became of *asks*, however many of them brought no reply."""
        return self._waited(asks)

    def _waited(
        self, asks: Sequence[Ask], tick: Callable[[Progress], None] | None = None
    ) -> Mapping[str, Answer]:
        if id(asks) not in self._here:
            self._here[id(asks)] = asks
            calls = [ask.call for ask in asks]
            self.engine.wait(calls, tick and (lambda _: tick(self.progress)))
        return self.engine.answers

    def _heard(self, asks: Sequence[Ask], suite: str) -> Mapping[str, Answer]:
        """Return what judges answered; too little of it is an error, as of a variant."""
        try:
            return self.answers([asks], self.tick, suite) if asks else {}
        except RepliesMissing as error:
            raise RepliesMissing(f"the judge: {error}") from error

    def bill(self) -> Bill:
        """Return what the replies of this process cost."""
        if self._engine is None:
            return Bill()
        return self._till.bill(
            [*self.columns.asked, (JUDGES, self.hearings.asked)],
            self._here.values(),
            self.engine.answers,
        )

    def times(self, suite: Suite, variant: Variant, look: Look) -> Times:
        """Return how long the replies of *variant* took that were asked in this run."""
        from pytest_ftgate.gates.usage import times

        asks = self.asks.task(suite, variant, look)
        found = self._waited(asks)
        ledger = self.ledger()
        fresh = ledger.replies((ask.call.fingerprint for ask in asks), this_run=True)
        ledger.close()
        return times(variant.name, asks, found, fresh)

    def accepted(self, suite: Suite) -> Record | None:
        """Return the accepted record beside *suite*, or None where there is none.

        Raises:
            SuiteFaults: the file is no record.
        """
        if suite.name not in self._accepted:
            self._accepted[suite.name] = accepted_record(suite)
        return self._accepted[suite.name]


def _key(judged: Judged) -> _Key:
    return (judged.judged_by.name, judged.variant.name, judged.name)


def whole(suite: Suite) -> Look:
    """Return the look that takes in what is asked of every case anyway."""
    return Look(repeats=suite.repeats or 1)


session_key = pytest.StashKey[Session]()

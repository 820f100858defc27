"""Lines the stages up for one pytest run: what to ask, in which order, and who judges what."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.ask.answers import Answer
from pytest_ftgate.ask.engine import Engine
from pytest_ftgate.ask.ledger import Ledger
from pytest_ftgate.ask.progress import Progress
from pytest_ftgate.ask.provider import Open
from pytest_ftgate.asks import Asks, Judged
from pytest_ftgate.errors import Denied, FtgateError, RepliesMissing, Unavailable
from pytest_ftgate.gate.looks import Look
from pytest_ftgate.gate.must import AGAIN, ids_of, to_ask_again
from pytest_ftgate.plan.asks import anew, varies
from pytest_ftgate.plan.call import Ask, distinct
from pytest_ftgate.score.sheet import Column, score
from pytest_ftgate.settings import Settings
from pytest_ftgate.suite.model import ForgettingGate, RateGate, Suite, Variant

if TYPE_CHECKING:
    from pytest_ftgate.record import Record

__all__ = ["Session", "session_key", "whole"]

#: With more calls than this unanswered there is nothing to judge.
_MOST_UNANSWERED = 0.5

#: A baseline that was recorded at most so many seconds before its variant was not checked.
_RECENT = 86_400.0
#: Providers whose model is a file here, so that nobody can change it under its name.
_SAME_FOR_EVER = ("llamacpp", "recorded", "classical")

_Key = tuple[str, str, object]

_REPORT = "pytest_ftgate.report.terminal"


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
        #: Nothing can be asked any more.
        self.closed = False
        self.asks = Asks(environ)
        self._columns: dict[_Key, Column] = {}
        self._accepted: dict[str, Record | None] = {}
        self._begun: set[_Key] = set()
        self._handed_in: set[str] = set()

    @property
    def progress(self) -> Progress:
        """How far the asking has come."""
        return self._engine.progress if self._engine else Progress()

    @property
    def engine(self) -> Engine:
        """The engine, started when it is first needed."""
        if self._engine is None:
            self._engine = Engine(
                self.ledger(),
                self._environ,
                replies=self.settings.replies,
                concurrency=self.settings.concurrency,
                others=self.others,
            )
        return self._engine

    def ledger(self) -> Ledger:
        """Open the ledger."""
        return Ledger(self.settings.ledger, run=self._run, clock=time.time)

    def close(self) -> None:
        """Stop asking; what is in flight comes home to the ledger."""
        self.closed = True
        if self._engine is not None:
            self._engine.close()

    # Asking -------------------------------------------------------------------------------

    def spared(self, gates: Iterable[Judged]) -> int:
        """Return how many calls were never asked because gates of *gates* stopped early."""
        calls: set[str] = set()
        for judged in gates:
            last = self.asks.looks(judged)[-1]
            if last.cases is None:
                continue
            with suppress(FtgateError):
                groups = self.asks.of(judged, last)
                calls.update(ask.call.fingerprint for group in groups for ask in group)
        return len(calls - self._handed_in)

    def has_begun(self, judged: Judged) -> bool:
        """Tell whether the calls of *judged* were handed in."""
        return _key(judged) in self._begun

    def begin(self, gates: Iterable[Judged]) -> None:
        """Hand in the calls of all *gates*, in their order, so that no capacity lies idle.

        A gate that cannot be planned is passed over here: its own setup will say why.
        """
        gates, asks = list(gates), list[Ask]()
        for judged in gates:
            if self.has_begun(judged):
                continue
            self._begun.add(_key(judged))
            try:
                asks += chain.from_iterable(self.asks.of(judged))
            except FtgateError:
                continue
        self._handed_in.update(ask.call.fingerprint for ask in asks)
        self.engine.submit(distinct(asks))
        if self.progress.to_ask:
            _import_early(*_judges(gates))

    def answers(
        self, groups: Sequence[Sequence[Ask]], tick: Callable[[Progress], None] | None
    ) -> dict[str, Answer]:
        """Return what became of the asks of all *groups*, once all of it is known.

        Raises:
            RepliesMissing: more than half of one group brought no reply, or none of it can.
        """
        found = self.engine.wait(distinct(chain.from_iterable(groups)), tick)
        self._handed_in.update(found)
        for asks in groups:
            _enough([found[ask.call.fingerprint] for ask in asks])
        return found

    def drifted(self, judged: Judged, look: Look) -> str:
        """Say how the baseline has drifted since it was recorded; "" where it has not.

        Where it was recorded more than a day before the variant, a tenth of it is asked anew for
        the run that the variant's replies came in, and never again for that run.
        """
        from pytest_ftgate.gate.drift import drift, to_ask_anew
        from pytest_ftgate.gate.side import side

        suite, baseline = judged.suite, judged.suite.variants[judged.suite.baseline]
        if judged.variant is baseline or baseline.provider in _SAME_FOR_EVER:
            return ""
        theirs, mine = (self.asks.task(suite, v, look) for v in (baseline, judged.variant))
        sample = Look(cases=to_ask_anew(suite.cases))
        chosen = self.asks.task(suite, baseline, sample)
        ledger = self.ledger()
        then, now = (ledger.made(a.call.fingerprint for a in asks) for asks in (theirs, mine))
        kept = ledger.replies(ask.call.fingerprint for ask in chosen)
        ledger.close()
        old = tuple(ask for ask in chosen if ask.call.fingerprint in kept)
        if not then or not now or not old or now[-1][0] - then[0][0] < _RECENT:
            return ""
        columns = [
            self._column(suite, baseline, "then", old),
            self._column(suite, baseline, "now", anew(old, now[-1][1])),
        ]
        return drift(*(side(column, judged.gate.kind) for column in columns))

    def accepted(self, suite: Suite) -> Record | None:
        """Return the accepted record beside *suite*, or None where there is none.

        Raises:
            SuiteFaults: the file is no record.
        """
        if suite.name not in self._accepted:
            self._accepted[suite.name] = _accepted(suite)
        return self._accepted[suite.name]

    # Scoring ------------------------------------------------------------------------------

    def task_column(self, suite: Suite, variant: Variant, look: Look) -> Column:
        """Return the scores of *variant* on as many of the suite's cases as *look* takes in."""
        seen = (look.cases, look.repeats)
        return self._column(suite, variant, seen, self.asks.task(suite, variant, look))

    def must_pass(
        self, suite: Suite, variant: Variant, look: Look
    ) -> tuple[Column, Column | None] | None:
        """Return the must-pass cases, and the wrong ones among them asked again; None for none."""
        must = Look(cases=ids_of(suite), repeats=look.repeats)
        if not must.cases:
            return None
        column = self.task_column(suite, variant, must)
        return column, self._asked_again(suite, variant, column, look)

    def _asked_again(
        self, suite: Suite, variant: Variant, column: Column, look: Look
    ) -> Column | None:
        wrong = to_ask_again(column) if varies(variant) else ()
        if not wrong:
            return None
        again = Look(cases=frozenset(wrong), repeats=max(AGAIN, look.repeats))
        return self.task_column(suite, variant, again)

    def skills_column(self, suite: Suite, variant: Variant, gate: ForgettingGate) -> Column:
        """Return the scores of *variant* on the skills cases of *gate*."""
        return self._column(suite, variant, "skills", self.asks.skills(suite, variant, gate.cases))

    def _column(self, suite: Suite, variant: Variant, of: object, asks: tuple[Ask, ...]) -> Column:
        key = (suite.name, variant.name, of)
        if key not in self._columns:
            found = self.engine.wait(distinct(asks))
            self._columns[key] = score(variant.name, asks, found, Path(suite.path.parent))
        return self._columns[key]


@cache
def _import_early(*modules: str) -> None:
    """Import what judges while replies are on the wire; SciPy alone takes half a second."""
    Thread(target=lambda: [*map(import_module, modules)], daemon=True).start()


def _judges(gates: Iterable[Judged]) -> tuple[str, ...]:
    """Return the modules that judging will need, those that are needed first in front."""
    asked = [judged.gate for judged in gates]
    rates = [gate for gate in asked if isinstance(gate, RateGate)]
    heavy = {
        "pytest_ftgate.gate.forgetting": len(rates) < len(asked),
        "scipy.optimize": any(gate.max_drop is not None for gate in asked),
        "sklearn.metrics": any(gate.metric == "macro_f1" for gate in rates),
    }
    needed = (name for name, wanted in heavy.items() if wanted)
    return (
        "pytest_ftgate.proofs",
        "pytest_ftgate.record",
        *needed,
        "pytest_ftgate.report.terminal",
    )


def _accepted(suite: Suite) -> Record | None:
    # Most suites have none, and reading one needs what judges.
    if not suite.accepted_path.exists():
        return None
    from pytest_ftgate.record import read_record

    return read_record(suite.accepted_path, suite.name)


def _key(judged: Judged) -> _Key:
    return (judged.suite.name, judged.variant.name, judged.gate.kind)


def whole(suite: Suite) -> Look:
    """Return the look that takes in what is asked of every case anyway."""
    return Look(repeats=suite.repeats or 1)


def _enough(answers: Sequence[Answer]) -> None:
    wrong = [answer for answer in answers if isinstance(answer, FtgateError)]
    hopeless = [error for error in wrong if isinstance(error, Denied | Unavailable)]
    if hopeless:
        raise RepliesMissing(str(hopeless[0])) from hopeless[0]
    if len(wrong) > _MOST_UNANSWERED * len(answers):
        told = f"{len(wrong)} of {len(answers)} calls brought no reply; the first: {wrong[0]}"
        raise RepliesMissing(told) from wrong[0]


session_key = pytest.StashKey[Session]()

"""A marked function as the gate of one variant."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from inspect import iscoroutinefunction
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ftgate.errors import FtgateError, ScorerError
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.plugin.item import Stopped, Trial
from pytest_ftgate.plugin.marked.attempt import Attempt, Talk, explained
from pytest_ftgate.plugin.marked.marks import NAMES, Slot
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.requests.workload import varies
from pytest_ftgate.runner.evaluate import left_out, settled
from pytest_ftgate.runner.identity import asked_anew
from pytest_ftgate.runner.scores import heard
from pytest_ftgate.runner.workloads import Judged
from pytest_ftgate.scoring.scores import Column, Row
from pytest_ftgate.settings import settings_key
from pytest_ftgate.suite.model import Case, Variant

if TYPE_CHECKING:
    from pytest_ftgate.gates.rates import Sides

__all__ = ["Bench", "FunctionGate", "gate_of", "slot_of"]

#: A conversation that has not ended after so many turns asks something else each time.
_MOST_TURNS = 50
#: What functions made of the baseline's replies, by gate: its items of other variants share it.
_baselines_key = pytest.StashKey[dict[tuple[str, str], Column]]()


@dataclass(slots=True)
class _Seat:
    """One case: its calls, why they brought no reply, and the runs of the function on it."""

    case: Case
    attempts: list[Attempt]
    calls: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Side:
    """The cases of one variant, and what the function makes of them."""

    variant: str
    seats: list[_Seat] = field(default_factory=list)

    @property
    def attempts(self) -> Iterator[Attempt]:
        return chain.from_iterable(seat.attempts for seat in self.seats)

    def column(self, rules: Mapping[str, Case]) -> Column:
        """Return the scores, with the cases as *rules* has them; what was left out is not there."""
        rows = (_row(seat, rules[seat.case.id]) for seat in self.seats)
        return Column(self.variant, {row.case.id: row for row in rows if row})


class Bench:
    """Runs go over it once; what they come to is read from it afterwards.

    Args:
        trial: the gate.
        talks: the function takes ``ask``.
    """

    def __init__(self, trial: Trial, *, talks: bool) -> None:
        self._trial, self._talks = trial, talks
        self._sides: dict[str, _Side] = {}
        self._columns: dict[str, Column] = {}
        self._asked: dict[str, Ask] = {}
        #: The function has been run on everything.
        self.finished = False

    def prepare(self) -> None:
        """Lay out the replies that the function is to be run on."""
        judged, session = self._trial.judged, self._trial.session
        suite, look = judged.suite, self._trial.look
        baseline = suite.variants[suite.baseline]
        self._sides = {"mine": self._side(judged.variant)}
        if not judged.gate.compares or judged.variant.name == baseline.name:
            return
        if self._gate not in self._baselines:
            self._sides["theirs"] = self._side(baseline)
        old, again = asked_anew(session, judged, look) if judged.planned else ((), ())
        for name, asks in (("then", old), ("now", again)):
            mine = tuple(ask for ask in asks if look.takes(ask.case.id, 0))
            if mine:
                column = heard(baseline.name, mine, session.waited(mine))
                self._sides[name] = self._heard(baseline, column)

    def _side(self, variant: Variant) -> _Side:
        suite, look = self._trial.judged.suite, self._trial.look
        if self._trial.judged.planned:
            return self._heard(variant, self._trial.session.columns.heard(suite, variant, look))
        repeats = look.repeats if varies(variant) else 1
        seen = self._trial.session.asks.leaked(suite, variant)
        cases = [one for one in suite.cases if look.takes(one.id, 0) and one.id not in seen]
        return _Side(
            variant.name,
            [
                _Seat(c, [Attempt(c, None, self._talk(variant, c, r)) for r in range(repeats)])
                for c in cases
            ],
        )

    def _heard(self, variant: Variant, column: Column) -> _Side:
        seats = []
        for row in column.rows.values():
            case = row.case
            attempts = [
                Attempt(case, reply, self._talk(variant, case, n, row) if self._talks else None)
                for n, reply in enumerate(row.replies)
            ]
            seats.append(_Seat(case, attempts, row.calls, row.missing))
        return _Side(variant.name, seats)

    def _talk(self, variant: Variant, case: Case, repeat: int, row: Row | None = None) -> Talk:
        turns = self._trial.session.asks.turns(self._trial.judged.suite, variant)
        begun = row.replies[repeat] if row else None
        return Talk(case, turns, self._trial.session.engine.answers, begun, repeat)

    # Running --------------------------------------------------------------------------------

    def attempts(self) -> Iterator[Attempt]:
        """Yield each run that is to be made; those that wait for a reply again when it is there.

        Raises:
            RepliesMissing: too few turns brought a reply to judge anything.
            ScorerError: the function leaves out everything, or does not come to an end.
        """
        waiting = [*chain.from_iterable(side.attempts for side in self._sides.values())]
        for _ in range(_MOST_TURNS):
            yield from waiting
            waiting = [attempt for attempt in waiting if attempt.pending]
            if not waiting:
                self._finish()
                return
            self._bring([attempt.pending for attempt in waiting if attempt.pending])
        case = waiting[0].case
        raise ScorerError(
            f'the conversation about case "{case.id}" ({case.where}) has not ended after '
            f"{_MOST_TURNS} turns; the function must say the same whenever it is run again"
        )

    def _bring(self, asks: Sequence[Ask]) -> None:
        self._asked |= {ask.call.fingerprint: ask for ask in asks}
        self._trial.waited([tuple(self._asked.values())])

    def _finish(self) -> None:
        judged = self._trial.judged
        rules = {case.id: case for case in judged.judged_by.cases}
        self._columns = {name: side.column(rules) for name, side in self._sides.items()}
        if not self.mine.rows:
            first = next((one.left_out for one in self.own if one.left_out), "")
            raise ScorerError(f"the function left out all {len(self.own)} cases: {first}")
        for side in self._sides.values() if self._talks else ():
            asks = [ask for one in side.attempts if one.ask for ask in one.ask.asks]
            self._trial.session.columns.asked.append((side.variant, asks))
        own = judged.variant.name == judged.suite.baseline
        theirs = self.mine if own else self._columns.get("theirs")
        if theirs is not None:
            self._baselines[self._gate] = theirs
        self.finished = True

    def clear(self) -> None:
        """Let go of what only a failure shows: a run has many functions, of many cases each."""
        self._sides, self._columns, self._asked = {}, {}, {}

    @property
    def _gate(self) -> tuple[str, str]:
        return self._trial.judged.judged_by.name, self._trial.judged.name

    @property
    def _baselines(self) -> dict[tuple[str, str], Column]:
        return self._trial.item.config.stash.setdefault(_baselines_key, {})

    # What it came to ------------------------------------------------------------------------

    def proven(self) -> str:
        """Return why the variant is not what it claims to be, by what the function asked it."""
        mine = tuple(ask for one in self.own if one.ask for ask in one.ask.asks)
        return self._trial.proven(self._trial.session.engine.answers, mine) if mine else ""

    @property
    def own(self) -> list[Attempt]:
        """The runs on the variant's own replies."""
        return [*self._sides["mine"].attempts]

    @property
    def mine(self) -> Column:
        """The variant's scores."""
        return self._columns["mine"]

    def sides(self) -> Sides:
        """Return the scores of the variant, and of what it is compared with."""
        from pytest_ftgate.gates.identity import drift
        from pytest_ftgate.gates.rates import Sides
        from pytest_ftgate.gates.samples import side

        judged = self._trial.judged
        is_baseline = judged.variant.name == judged.suite.baseline
        alone = is_baseline or not judged.gate.compares
        theirs = self.mine if alone else self._baselines[self._gate]
        pair = [self._columns[name] for name in ("then", "now") if name in self._columns]
        said = drift(*(side(one, "accuracy") for one in pair)) if pair else ""
        return Sides(self.mine, theirs, drifted=said)

    def worst(self) -> Mapping[str, Attempt]:
        """Return the first run that found a case's reply less than right, by case."""
        short = [one for one in self.own if one.value is not None and one.value < 1]
        return {one.case.id: one for one in reversed(short)}


def _row(seat: _Seat, case: Case) -> Row | None:
    """Return the scores of one case; None where the function left it out."""
    kept = [one for one in seat.attempts if one.value is not None]
    unanswered = [one.unanswered for one in seat.attempts if one.unanswered]
    missing = (*seat.missing, *unanswered)
    if not kept and not missing:
        return None
    turns = [ask.call.fingerprint for one in kept if one.ask for ask in one.ask.asks]
    return Row(
        case=case,
        replies=tuple([reply for one in kept if (reply := one.heard)]),
        scores=tuple([one.score for one in kept]),
        calls=(*seat.calls, *turns),
        missing=missing,
    )


#: What a run of the function has of its own; its fixtures are those of the item.
_GIVEN = (*NAMES, "subtests")
_gate_key = pytest.StashKey["FunctionGate"]()


class FunctionGate:
    """What makes a gate of a test function.

    The function is put in a wrapper of its own kind, plain or async, so that whoever runs such
    functions (pytest, pytest-asyncio, anyio) runs it once an item; the wrapper goes over the cases.
    """

    def __init__(self, item: pytest.Function, slot: Slot) -> None:
        marked, variant = slot.ftgate_marked, slot.ftgate_variant
        gate = replace(marked.gate, called=_called(item, variant.name))
        sides = (variant, marked.suite.variants[marked.suite.baseline])
        judged = Judged(
            suite=marked.suite,
            gate=gate,
            variant=variant,
            look=replace(marked.look, vary=any(varies(one) for one in sides)),
            rules=replace(marked.rules, gates={"accuracy": gate}),
            planned=marked.planned,
        )
        self.item, self.gate = item, gate
        self.trial = Trial(item, judged, late=_is_late(item))
        self.bench = Bench(self.trial, talks="ask" in item.fixturenames)
        #: The failure section: the verdict, then the worst cases and what they broke.
        self.section = ""
        self._scored = self._wrapped = self._judged = False
        self._stopped: Stopped | None = None
        item.stash[_gate_key] = self

    def setup(self) -> None:
        """Ask, prove, and run the function on every reply: trouble is an error of this gate."""
        if self.trial.asks_nothing or self._scored:
            return
        try:
            trouble = self._prepare() or self._score()
        except FtgateError as error:
            trouble = str(error)
        if trouble:
            self.trial.fail(trouble)

    def _prepare(self) -> str:
        self.trial.begin()
        self.trial.session.accepted(self.trial.judged.judged_by)
        return self.trial.answered(self.trial.session.asks.looks(self.trial.judged)[0])

    def _score(self) -> str:
        self.bench.prepare()
        self._wrap()
        self.item.runtest()
        if not self.bench.finished:
            raise ScorerError("another plugin ran the function, but on none of the cases")
        self._scored = True
        return self.bench.proven()

    def _wrap(self) -> None:
        if self._wrapped:
            return
        self._wrapped = True
        original: Callable[..., Any] = self.item.obj
        self.item.obj = (
            self._awaiting(original) if iscoroutinefunction(original) else self._calling(original)
        )

    def _calling(self, original: Callable[..., Any]) -> Callable[..., None]:
        @wraps(original)
        def run(**given: Any) -> None:
            __tracebackhide__ = True
            if self._scored:
                return self._judge()
            takes = [name for name in _GIVEN if name in given]
            for attempt in self.bench.attempts():
                given |= [(name, getattr(attempt, name)) for name in takes]
                with attempt:
                    attempt.returned(original(**given))
            return None

        return run

    def _awaiting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def run(**given: Any) -> None:
            __tracebackhide__ = True
            if self._scored:
                return self._judge()
            takes = [name for name in _GIVEN if name in given]
            for attempt in self.bench.attempts():
                given |= [(name, getattr(attempt, name)) for name in takes]
                with attempt:
                    attempt.returned(await original(**given))
            return None

        return run

    # Judging --------------------------------------------------------------------------------

    def _judge(self) -> None:
        # A plugin may run a test again; its verdict is never rolled again.
        if self._stopped is None and not self._judged:
            self._judged = True
            try:
                self.trial.conclude(self._verdict())
            except Stopped as stopped:
                self._stopped, self.section = stopped, self._section(stopped.verdict)
            self.bench.clear()
        if self._stopped is not None:
            raise self._stopped

    def _verdict(self) -> Verdict:
        from pytest_ftgate.gates.rates import judge_rate
        from pytest_ftgate.results.accepted import accepted_of

        judged, session = self.trial.judged, self.trial.session
        rules, record = judged.judged_by, session.accepted(judged.judged_by)
        accepted = accepted_of(record, rules, self._key, self.gate.kind)
        sides = replace(self.bench.sides(), accepted=accepted)
        verdict = settled(session, judge_rate(rules, self.gate, sides, self.trial.look))
        notes = (*verdict.notes, *left_out(session, judged), *self._left_out())
        verdict = replace(verdict, node=self.item.nodeid, notes=notes)
        if self.trial.accepts:
            self._keep_cells()
        return self._with_all_wrong(verdict)

    @property
    def _key(self) -> str:
        """What the accepted record calls it: a module has many functions, and each its own."""
        return f"{self.gate.name}[{self.trial.judged.variant.name}]"

    def _keep_cells(self) -> None:
        from pytest_ftgate.results.accepted import kept

        cells = kept(self.bench.mine, self.item.path.parent)
        self.trial.keep("ftgate_cells", json.dumps(cells))
        self.trial.keep("ftgate_cells_of", self._key)

    def _left_out(self) -> Iterator[str]:
        found = {one.case.id: one.left_out for one in self.bench.own if one.left_out is not None}
        if found:
            reason, count = Counter(found.values()).most_common(1)[0]
            what = f'"{reason}" ({count})' if count < len(found) else f'"{reason}"'
            cases = f"{len(found)} case{'s are' if len(found) != 1 else ' is'}"
            yield f"{cases} left out by the function itself: {what}"

    def _with_all_wrong(self, verdict: Verdict) -> Verdict:
        """Where a floor decided, show every wrong reply: those of the baseline are no excuse."""
        from pytest_ftgate.gates.flips import flips, turned
        from pytest_ftgate.gates.samples import side

        check = verdict.check
        if check is None or check.before is not None or verdict.outcome is Outcome.PASSED:
            return verdict
        mine = self.bench.mine
        told = turned(None, side(mine, self.gate.kind))
        shown = flips(None, mine, told)
        return replace(verdict, flips=shown, lost=len(told.lost), gained=0)

    # Telling --------------------------------------------------------------------------------

    def _section(self, verdict: Verdict) -> str:
        from pytest_ftgate.reporting.verdict import section

        config, worst = self.item.config, self.bench.worst()
        shown = [flip.case for flip in verdict.flips if flip.case in worst]
        told = {case: [*explained(worst[case], config)] for case in shown}
        most = config.stash[settings_key].show
        return section(verdict, config.get_verbosity(), most, told)


def slot_of(item: pytest.Item) -> Slot | None:
    """Return what a marked function was given in place of its case and reply, or None."""
    given: dict[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    return next((one for one in given.values() if isinstance(one, Slot)), None)


def gate_of(item: pytest.Item) -> FunctionGate | None:
    """Return what makes a gate of *item*, or None."""
    return item.stash.get(_gate_key, None)


def _called(item: pytest.Function, variant: str) -> str:
    """Return the item's name in its module less the variant: TestTone::test_polite[formal]."""
    name, _, params = item.nodeid.partition("::")[2].partition("[")
    parts = f"-{params.removesuffix(']')}-".replace(f"-{variant}-", "-", 1).strip("-")
    return f"{name}[{parts}]" if parts else name


def _is_late(item: pytest.Function) -> bool:
    """Tell whether fixtures or a condition may decide what is asked, or whether it is at all."""
    given = {*item.callspec.params, "request"}
    may_skip = any(True for name in ("skip", "skipif") for _ in item.iter_markers(name))
    return may_skip or not set(item.fixturenames) <= given

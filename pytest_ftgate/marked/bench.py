"""Where a marked function meets replies: those of its variant, and those it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from pytest_ftgate.errors import ScorerError
from pytest_ftgate.marked.attempt import Attempt
from pytest_ftgate.marked.talk import Talk
from pytest_ftgate.plan.asks import varies
from pytest_ftgate.plan.call import Ask
from pytest_ftgate.run.columns import heard
from pytest_ftgate.run.drifting import asked_anew
from pytest_ftgate.run.trial import Trial
from pytest_ftgate.score.sheet import Column, Row
from pytest_ftgate.suite.model import Case, Variant

if TYPE_CHECKING:
    from pytest_ftgate.gate.rates import Sides

__all__ = ["Bench"]

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
        from pytest_ftgate.gate.drift import drift
        from pytest_ftgate.gate.rates import Sides
        from pytest_ftgate.gate.side import side

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

"""A marked function as the gate of one variant: run on every case in setup, judged in its call."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

import pytest

from pytest_ftgate.errors import FtgateError, ScorerError
from pytest_ftgate.gate.verdict import Outcome, Verdict
from pytest_ftgate.marked.bench import Bench
from pytest_ftgate.marked.explain import explained
from pytest_ftgate.marked.slot import NAMES, Slot
from pytest_ftgate.plan.asks import varies
from pytest_ftgate.run.asks import Judged
from pytest_ftgate.run.judging import left_out, settled
from pytest_ftgate.run.trial import Stopped, Trial
from pytest_ftgate.settings import settings_key

__all__ = ["FunctionGate", "gate_of", "slot_of"]

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
        from pytest_ftgate.gate.rates import judge_rate
        from pytest_ftgate.record.accepted import accepted_of

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
        from pytest_ftgate.record.accepted import kept

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
        from pytest_ftgate.gate.flips import flips, turned
        from pytest_ftgate.gate.side import side

        check = verdict.check
        if check is None or check.before is not None or verdict.outcome is Outcome.PASSED:
            return verdict
        mine = self.bench.mine
        told = turned(None, side(mine, self.gate.kind))
        shown = flips(None, mine, told)
        return replace(verdict, flips=shown, lost=len(told.lost), gained=0)

    # Telling --------------------------------------------------------------------------------

    def _section(self, verdict: Verdict) -> str:
        from pytest_ftgate.report.terminal import section

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

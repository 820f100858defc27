"""Collector and items: a suite file is a collector, a gate of a variant is a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import pytest

from pytest_ftgate.client.results import Answer
from pytest_ftgate.errors import FtgateError, SuiteFaults
from pytest_ftgate.gates.feasibility import refuse_impossible
from pytest_ftgate.gates.looks import Look
from pytest_ftgate.gates.verdict import Outcome, Verdict
from pytest_ftgate.plugin.suites import suite_at
from pytest_ftgate.reporting.text import guarded
from pytest_ftgate.requests.request import Ask
from pytest_ftgate.runner.evaluate import is_clear, judge, measured, sides_of
from pytest_ftgate.runner.progress import ticking
from pytest_ftgate.runner.recommend import Judgement, advised, has_ladder
from pytest_ftgate.runner.session import Session, session_key
from pytest_ftgate.runner.workloads import Judged
from pytest_ftgate.scoring.scores import ready
from pytest_ftgate.settings import settings_key
from pytest_ftgate.suite.model import DataGate, ForgettingGate, RateGate

__all__ = ["GateItem", "Stopped", "SuiteFile", "Trial", "gates_of", "judged_of", "trial_of"]

_trial_key = pytest.StashKey["Trial"]()


class Stopped(Exception):
    """Ends an item whose verdict blocks; carries the verdict to the failure section."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(verdict.headline)


class Trial:
    """What the two kinds of gate share, suite files' and marked functions'.

    Args:
        item: the test that stands for the gate.
        judged: the gate.
        late: what it asks is known once the test's own fixtures are set up, and no earlier.
    """

    def __init__(self, item: pytest.Item, judged: Judged, *, late: bool = False) -> None:
        self.item, self.judged, self.late = item, judged, late
        #: How far it has asked.
        self.look = Look()
        #: What it has come to, if it has.
        self.verdict: Verdict | None = None
        self._notes: tuple[str, ...] = ()
        self._facts: dict[str, str] = {}
        item.stash[_trial_key] = self
        if item.config.pluginmanager.has_plugin("rerunfailures"):
            # A second run would find the same replies, and a verdict is never rolled again.
            item.add_marker(pytest.mark.flaky(reruns=0), append=False)

    @property
    def session(self) -> Session:
        """The run's own state."""
        return self.item.config.stash[session_key]

    @property
    def asks_nothing(self) -> bool:
        """Whether the user wants to see how tests are set up, and no more."""
        return bool(self.item.config.getoption("setuponly"))

    @property
    def accepts(self) -> bool:
        """Whether the run is to be accepted."""
        return self.item.config.stash[settings_key].accept

    def begin(self) -> None:
        """Hand in the calls, with those of all gates that can be planned by now."""
        if self.session.has_begun(self.judged):
            return
        # A pytest-xdist worker does not know which gates it will be given, so it plans its own.
        alone = self.late or hasattr(self.item.config, "workerinput")
        self.session.begin([self.judged] if alone else _together(self.item.session))

    def answered(self, look: Look) -> str:
        """Wait for what *look* takes in; return what makes the variant invalid, or "".

        Raises:
            FtgateError: it cannot be asked, or too little of it was answered.
        """
        found = self.waited(self.session.asks.of(self.judged, look))
        self.look = look
        return self.proven(found) if look.number == 1 else ""

    def waited(self, groups: list[tuple[Ask, ...]]) -> Mapping[str, Answer]:
        """Wait for the asks of *groups*, and show how far that has come."""
        with ticking(self.item.config) as tick:
            return self.session.answers(groups, tick, self.judged.suite.name)

    def proven(self, found: Mapping[str, Answer], asked: tuple[Ask, ...] = ()) -> str:
        """Return why the variant is not what it claims to be, or "".

        Args:
            found: what became of its calls.
            asked: those of its calls that no plan foresaw.
        """
        from pytest_ftgate.runner.identity import invalid, known, proofs

        proven = proofs(self.session, self.judged, found, asked)
        self._facts = known(self.session, self.judged, found, asked)
        self._notes = tuple(p.sentence for p in proven if p.outcome is Outcome.INCONCLUSIVE)
        for proof in proven:
            if proof.outcome is Outcome.INVALID:
                node = self.item.nodeid if self.judged.rules else ""
                self._keep(invalid(self.judged, proof.sentence, self._facts, node))
                return f"not what it claims: {proof.sentence}"
        return ""

    def fail(self, trouble: str) -> None:
        """End the item's setup: it could not be judged."""
        pytest.fail(guarded(f"{self.judged.variant.name}: {trouble}"), pytrace=False)

    def conclude(self, verdict: Verdict) -> None:
        """Keep the verdict, and stop the item where it blocks."""
        verdict = replace(verdict, notes=(*verdict.notes, *self._notes), facts=self._facts)
        self._keep(verdict)
        lenient = self.item.config.stash[settings_key].inconclusive == "warn"
        open_ = verdict.outcome is Outcome.INCONCLUSIVE
        if verdict.outcome is not Outcome.PASSED and not (open_ and lenient):
            raise Stopped(verdict)

    def _keep(self, verdict: Verdict) -> None:
        from pytest_ftgate.results.verdicts import verdict_to_json

        self.verdict = verdict
        self.keep("ftgate", verdict_to_json(verdict))

    def keep(self, name: str, value: str) -> None:
        """Let the item's report carry *value*, in place of what a run before has left there."""
        own = self.item.user_properties
        own[:] = [*(one for one in own if one[0] != name), (name, value)]


def trial_of(item: Any) -> Trial | None:
    """Return the trial of an item that stands for a gate, or None."""
    found: Trial | None = item.stash.get(_trial_key, None)
    return found


def judged_of(item: pytest.Item) -> Judged | None:
    """Return the gate that *item* stands for, or None."""
    trial = trial_of(item)
    return trial.judged if trial else None


def gates_of(items: list[pytest.Item]) -> list[Judged]:
    """Return the gates among *items*."""
    return [judged for item in items if (judged := judged_of(item))]


def _together(session: pytest.Session) -> Iterator[Judged]:
    trials = (trial_of(item) for item in session.items)
    return (trial.judged for trial in trials if trial and not trial.late)


class SuiteFile(pytest.File):
    """One ``*.ftgate.yaml`` file."""

    def collect(self) -> Iterator[GateItem]:
        """Yield the gates of each gated variant."""
        try:
            suite = suite_at(self.session, self.path)
            refuse_impossible(suite)
        except SuiteFaults as error:
            raise self.CollectError(str(error)) from error
        for variant in suite.variants.values():
            for gate in suite.gates_of(variant):
                name = f"{gate.kind}[{variant.name}]"
                judged = Judged(suite, gate, variant)
                # The id is given whole, so that pytest reads the variant as a parameter.
                node = f"{self.nodeid}::{name}"
                yield GateItem.from_parent(self, name=name, nodeid=node, judged=judged)


class GateItem(pytest.Item):
    """One gate of one variant."""

    def __init__(self, *, judged: Judged, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.judged = judged
        self.trial = Trial(self, judged)
        self.add_marker("ftgate")

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return the gate's line in the suite file, and the title of its failure section."""
        line = self.judged.gate.line
        return self.path, line - 1, f"{self.judged.suite.name}:{line} {self.name}"

    # Asking and identity: trouble here is an error of this gate alone -----------------------

    def setup(self) -> None:
        """Ask what the gate rests on, and prove that the variant is what it claims."""
        if self.trial.asks_nothing:
            return
        try:
            trouble = self._prepare()
        except FtgateError as error:
            trouble = str(error)
        if trouble:
            self.trial.fail(trouble)

    def _prepare(self) -> str:
        """Ask, prove and score; return what makes the variant invalid, or an empty string."""
        judged, session = self.judged, self.trial.session
        if isinstance(judged.gate, DataGate):
            return ""
        # A scorer that cannot be used is better found before anything is paid for.
        ready(judged.suite.cases, self.path.parent)
        if isinstance(judged.gate, ForgettingGate):
            ready(judged.gate.cases, self.path.parent)
        if judged.suite.judges and judged.gate.kind == "accuracy":
            self._awaiting(partial(session.hearings.examined, judged.suite))
        self.trial.begin()
        session.accepted(judged.suite)
        for look in session.asks.looks(judged):
            invalid = self.trial.answered(look)
            if invalid:
                return invalid
            # Judges are asked here, about what has come.
            self._awaiting(partial(sides_of, session, judged, look))
            # What is accepted is what later runs are compared with: all cases, not the first block.
            whole_wanted = self.trial.accepts and look.cases is not None
            if (
                look.number < look.of
                and not whole_wanted
                and is_clear(judge(session, judged, look))
            ):
                break
        return ""

    def _awaiting(self, asks_judges: Callable[[], object]) -> None:
        """Do what may ask judges, and show how far that has come."""
        session = self.trial.session
        try:
            with ticking(self.config) as session.tick:
                asks_judges()
        finally:
            session.tick = None

    # Judging --------------------------------------------------------------------------------

    def runtest(self) -> None:
        """Judge, and stop the item where the verdict blocks."""
        verdict = judge(self.trial.session, self.judged, self.trial.look)
        if self.trial.accepts and isinstance(self.judged.gate, RateGate):
            self._keep_cells()
        self.trial.conclude(verdict)

    def _keep_cells(self) -> None:
        from pytest_ftgate.results.accepted import kept

        judged, columns = self.judged, self.trial.session.columns
        column = columns.task(judged.suite, judged.variant, self.trial.look)
        self.trial.keep("ftgate_serves", judged.suite.serves or judged.suite.baseline)
        self.trial.keep("ftgate_cells", json.dumps(kept(column, self.path.parent)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a verdict as its own section; everything else as pytest does."""
        if isinstance(excinfo.value, Stopped):
            from pytest_ftgate.reporting.verdict import section

            shown = self.config.stash[settings_key].show
            return section(excinfo.value.verdict, self.config.get_verbosity(), shown)
        if isinstance(excinfo.value, FtgateError):
            return guarded(f"{self.judged.variant.name}: {excinfo.value}")
        return super().repr_failure(excinfo, style)

    # Variants that are measured beside the judged ones ----------------------------------------

    def teardown(self) -> None:
        """After a suite's last gate, measure the variants that have none, and be advised."""
        if not self._is_last_of_whole_suite() or self.trial.asks_nothing:
            return
        from pytest_ftgate.results.run import advice_to_json
        from pytest_ftgate.results.verdicts import verdict_to_json

        session, suite = self.trial.session, self.judged.suite
        own = self.user_properties
        own[:] = [one for one in own if one[0] not in ("ftgate_measured", "ftgate_advice")]
        beside = list(measured(session, suite, self.config))
        own += [("ftgate_measured", verdict_to_json(verdict)) for verdict in beside]
        if self.config.stash[settings_key].ladder or has_ladder(suite):
            found = advised(session, suite, self._judgements(), beside, self.config)
            own += [("ftgate_advice", advice_to_json(found))] if found else []

    def _judgements(self) -> dict[tuple[str, str], Judgement]:
        """Return what this process has judged of the suite."""
        mine = (item.trial for item in self.session.items if _is_gate(item))
        return {
            (trial.judged.variant.name, trial.judged.gate.kind): Judgement(
                trial.verdict, trial.look
            )
            for trial in mine
            if trial.judged.suite.name == self.judged.suite.name and trial.verdict is not None
        }

    def _is_last_of_whole_suite(self) -> bool:
        name = self.judged.suite.name
        mine = [i for i in self.session.items if _is_gate(i) and i.judged.suite.name == name]
        suite = self.judged.suite
        whole = sum(len(suite.gates_of(variant)) for variant in suite.variants.values())
        return (
            len(mine) == whole
            and mine[-1] is self
            # After an interruption pytest tears down once the engine has ended.
            and not (
                self.session.shouldstop or self.session.shouldfail or self.trial.session.closed
            )
        )


def _is_gate(item: pytest.Item) -> TypeGuard[GateItem]:
    return isinstance(item, GateItem)
